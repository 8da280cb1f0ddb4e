#include "arena/arena.h"

uint64_t arena_extent_new(const struct arena *arena, uint64_t size_bytes)
{
    if (size_bytes > arena->mapped_bytes) {
        return 0; /* the rounding below must not overflow */
    }
    uint64_t size = (size_bytes + ARENA_EXTENT_BYTES - 1) & ~(ARENA_EXTENT_BYTES - 1);
    uint64_t used = atomic_load_explicit(&arena->header->used_bytes, memory_order_relaxed);
    do {
        if (used > arena->mapped_bytes || size > arena->mapped_bytes - used) {
            return 0;
        }
        /* Relaxed: fresh extents are zero; what is put there is published by its offset. */
    } while (!atomic_compare_exchange_weak_explicit(&arena->header->used_bytes, &used, used + size,
                                                    memory_order_relaxed, memory_order_relaxed));
    if (arena->back != NULL && !arena->back((char *)arena->header + used, size)) {
        return 0;
    }
    return used;
}

void *arena_chunk_get(const struct arena *arena, _Atomic uint64_t *directory, uint32_t index,
                      uint64_t chunk_bytes)
{
    uint64_t offset = atomic_load_explicit(&directory[index], memory_order_acquire);
    if (offset == 0) {
        uint64_t fresh = arena_extent_new(arena, chunk_bytes);
        if (fresh == 0) {
            return NULL;
        }
        if (atomic_compare_exchange_strong_explicit(&directory[index], &offset, fresh,
                                                    memory_order_release, memory_order_acquire)) {
            offset = fresh;
        }
    }
    return arena_at(arena, offset, chunk_bytes);
}
