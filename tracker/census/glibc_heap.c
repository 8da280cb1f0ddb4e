#include "census/glibc_heap.h"

/* Offsets in struct malloc_state. */
enum {
    ARENA_TOP = 96,
    ARENA_LISTS = 112,
    ARENA_LIST_PAIRS = 127, /* the last one is never used: always empty */
    ARENA_NEXT = 2160
};

/* Offsets in heap_info, at the start of each heap. */
enum { HEAP_ARENA = 0, HEAP_PREVIOUS = 8, HEAP_MAPPED_BYTES = 24 };

/* A list that is empty points to where its chunk would begin. */
enum { LIST_DISTANCE = 16, EMPTY_LISTS_MIN = 24 };

enum { ARENAS_MAX = 65536, HEAPS_MAX = 1 << 20 };

enum { CHUNK_IS_MAPPED = 2, CHUNK_FLAGS = 7 };

static uintptr_t word_at(uintptr_t address)
{
    return *(const volatile uintptr_t *)address;
}

static bool is_empty_list(uintptr_t address)
{
    return word_at(address) == address - LIST_DISTANCE
           && word_at(address + 8) == address - LIST_DISTANCE;
}

uintptr_t glibc_heap_find_arena(uintptr_t start, uintptr_t end)
{
    start = (start + 7) & ~(uintptr_t)7;
    if (end < start + GLIBC_ARENA_BYTES) {
        return 0;
    }
    for (uintptr_t last = end - 16; last >= start + ARENA_LISTS + 126 * 16; last -= 8) {
        if (!is_empty_list(last)) {
            continue;
        }
        uintptr_t arena = last - (ARENA_LIST_PAIRS - 1) * 16 - ARENA_LISTS;
        unsigned empty = 0;
        for (unsigned i = 0; i < ARENA_LIST_PAIRS; i++) {
            empty += is_empty_list(arena + ARENA_LISTS + i * 16);
        }
        if (empty >= EMPTY_LISTS_MIN && arena + GLIBC_ARENA_BYTES <= end) {
            return arena;
        }
    }
    return 0;
}

static bool can_read(const struct memory_map *map, uintptr_t address, size_t bytes)
{
    const struct memory_range *range = memory_map_find(map, address);
    return (address & 7) == 0 && range != NULL && range->is_readable
           && range->end - address >= bytes;
}

/* The heaps of one arena, from the newest, which the arena's top lies in. */
static void heaps_visit(const struct memory_map *map, uintptr_t arena, glibc_heap_visitor *visit,
                        void *context)
{
    uintptr_t heap = word_at(arena + ARENA_TOP) & ~(GLIBC_HEAP_BYTES_MAX - 1);
    for (unsigned i = 0; i < HEAPS_MAX && can_read(map, heap, 64); i++) {
        uint64_t bytes = word_at(heap + HEAP_MAPPED_BYTES);
        if (word_at(heap + HEAP_ARENA) != arena || bytes > GLIBC_HEAP_BYTES_MAX) {
            return;
        }
        visit(context, heap, heap + bytes);
        heap = word_at(heap + HEAP_PREVIOUS);
    }
}

void glibc_heap_visit(const struct memory_map *map, uintptr_t main_arena,
                      glibc_heap_visitor *visit, void *context)
{
    uintptr_t arena = word_at(main_arena + ARENA_NEXT);
    for (unsigned i = 0; i < ARENAS_MAX && arena != main_arena; i++) {
        if (!can_read(map, arena, GLIBC_ARENA_BYTES)) {
            return;
        }
        heaps_visit(map, arena, visit, context);
        arena = word_at(arena + ARENA_NEXT);
    }
}

bool glibc_heap_mapped_chunk(const struct memory_map *map, uintptr_t address, uintptr_t *start,
                             uintptr_t *end)
{
    uintptr_t chunk = address - 16;
    if (!can_read(map, chunk, 24)) {
        return false;
    }
    uint64_t before = word_at(chunk);
    uint64_t size = word_at(chunk + 8);
    if ((size & CHUNK_IS_MAPPED) == 0) {
        return false;
    }
    *start = chunk - before;
    *end = chunk + (size & ~(uint64_t)CHUNK_FLAGS);
    return before <= chunk && *end > *start && (*start & 4095) == 0 && (*end & 4095) == 0;
}
