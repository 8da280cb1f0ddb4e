/*
 * arena/arena.h - reaching into the shared memory safely.
 *
 * Context: any; arena_extent_new() is async-signal-safe and lock-free.
 * Memory:  the mapping is the caller's; nothing here allocates anything else.
 */
#ifndef MEMTRACK_ARENA_ARENA_H
#define MEMTRACK_ARENA_ARENA_H

#include <stdbool.h>

#include "arena/layout.h"

/* A mapped arena. `mapped_bytes` may be less than the arena's size where address
 * space is limited: offsets beyond it count as full. */
struct arena {
    struct arena_header *header;
    uint64_t mapped_bytes;
    /* Gives memory to a range before it is handed out; false: there is none. NULL: not
     * needed, memory comes as it is touched. */
    bool (*back)(void *start, uint64_t size_bytes);
};

/*
 * Returns the address of [offset, offset + size_bytes), or NULL where that range is
 * not inside the mapping, does not begin a cache line, or where offset is 0: what is
 * handed out begins extents, and its fields may be read with aligned loads. Every offset
 * read from the arena goes through here: the recorder trusts none of them.
 */
static inline void *arena_at(const struct arena *arena, uint64_t offset, uint64_t size_bytes)
{
    if (offset == 0 || offset % ARENA_CACHE_LINE != 0 || offset > arena->mapped_bytes
        || size_bytes > arena->mapped_bytes - offset) {
        return NULL;
    }
    return (char *)arena->header + offset;
}

/* Returns the offset of size_bytes of zeroed memory, aligned to ARENA_EXTENT_BYTES;
 * 0 when the arena is full. */
uint64_t arena_extent_new(const struct arena *arena, uint64_t size_bytes);

/*
 * Makes chunk number `index` of a directory if it is not there yet and returns its
 * address; NULL when the arena is full. Several threads may ask at once: one wins,
 * the others' extents are lost (rare, bounded by the number of threads).
 */
void *arena_chunk_get(const struct arena *arena, _Atomic uint64_t *directory, uint32_t index,
                      uint64_t chunk_bytes);

#endif
