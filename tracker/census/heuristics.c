#include "census/heuristics.h"

#include "census/marking.h"

#if defined(__SANITIZE_ADDRESS__)
#define HEURISTICS_READS_ANYTHING __attribute__((no_sanitize("address")))
#else
#define HEURISTICS_READS_ANYTHING
#endif

HEURISTICS_READS_ANYTHING static uintptr_t word_at(uintptr_t address)
{
    return *(const volatile uintptr_t *)address;
}

/* [address, address + bytes) can be read. */
static const struct memory_range *readable_at(const struct memory_map *map, uintptr_t address,
                                              size_t bytes)
{
    const struct memory_range *range = memory_map_find(map, address);
    return range != NULL && range->is_readable && range->end - address >= bytes ? range : NULL;
}

/* How many functions of a virtual table are looked at. */
enum { VTABLE_FUNCTIONS = 3 };

/* A virtual table's address point: in a file's data that is not code, with the address of
 * a type description or nothing before it and functions after it. Pure virtual and
 * deleted functions are functions too. */
static bool is_vtable(const struct memory_map *map, uintptr_t address)
{
    if ((address & 7) != 0) {
        return false;
    }
    const struct memory_range *range = readable_at(map, address, sizeof(uintptr_t));
    if (range == NULL || range->kind != MEMORY_MODULE || range->is_executable
        || address - range->start < 2 * sizeof(uintptr_t)) {
        return false;
    }
    for (size_t i = 0; i < VTABLE_FUNCTIONS && address + (i + 1) * 8 <= range->end; i++) {
        uintptr_t function = word_at(address + i * 8);
        const struct memory_range *code = memory_map_find(map, function);
        if (code != NULL && code->is_executable) {
            return true;
        }
        if (function != 0) {
            return false;
        }
    }
    return false;
}

bool heuristics_match(uint32_t which, const struct memory_map *map, uintptr_t address,
                      uint64_t size_bytes, uintptr_t value)
{
    uintptr_t offset = value - address;
    if (size_bytes < 2 * sizeof(uintptr_t) || (offset & 7) != 0
        || (map != NULL && readable_at(map, address, sizeof(uintptr_t)) == NULL)) {
        return false;
    }
    uintptr_t first = word_at(address);
    if (offset == sizeof(uintptr_t)) {
        if ((which & MARKING_HEURISTIC_LENGTH64) != 0 && first == size_bytes - sizeof(uint64_t)) {
            return true;
        }
        if ((which & MARKING_HEURISTIC_NEWARRAY) != 0 && first > 0
            && first <= size_bytes - sizeof(uintptr_t)
            && (size_bytes - sizeof(uintptr_t)) % first == 0) {
            return true;
        }
    }
    /* length, capacity, number of references, then the characters and a final 0. */
    if ((which & MARKING_HEURISTIC_STDSTRING) != 0 && offset == 3 * sizeof(uintptr_t)
        && size_bytes > 3 * sizeof(uintptr_t)
        && (map == NULL || readable_at(map, address, 3 * sizeof(uintptr_t)) != NULL)) {
        uintptr_t capacity = word_at(address + sizeof(uintptr_t));
        if (first <= capacity && capacity == size_bytes - 3 * sizeof(uintptr_t) - 1) {
            return true;
        }
    }
    /* The block begins with an object, and the pointer leads to its second base. */
    return (which & MARKING_HEURISTIC_MULTIPLE_INHERITANCE) != 0 && map != NULL
           && size_bytes - offset >= sizeof(uintptr_t) && is_vtable(map, first)
           && readable_at(map, value, sizeof(uintptr_t)) != NULL && is_vtable(map, word_at(value));
}
