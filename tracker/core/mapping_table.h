/*
 * core/mapping_table.h - the program's own anonymous mappings, with --mmap.
 *
 * Kept apart from the live map: a mapping is released in parts, by address range, and
 * there are few of them. Ranges that a release cuts become several.
 *
 * Context: inside the tracked program; never on the path of malloc and free.
 * Memory:  a static table of MAPPING_TABLE_MAX ranges; beyond it events are dropped and
 *          counted.
 * Threads: a spin lock that is given up after MAPPING_TABLE_SPINS (a signal handler may
 *          have interrupted its holder): that event is dropped and counted.
 */
#ifndef MEMTRACK_CORE_MAPPING_TABLE_H
#define MEMTRACK_CORE_MAPPING_TABLE_H

#include "core/live_map.h"

#define MAPPING_TABLE_MAX 16384u
#define MAPPING_TABLE_SPINS 1000000u

struct mapping {
    uintptr_t start;
    struct live_block block; /* size_bytes: its length; 0 in an unused entry */
};

/* Adds a range. Returns false when there is no room, or the lock could not be had. */
bool mapping_table_add(uintptr_t start, const struct live_block *block);

/*
 * Takes [start, start + size_bytes) out of the table and calls released for each piece of
 * a mapping in it (block->size_bytes is the piece's length), without the lock held.
 * Returns false when the lock could not be had, or a cut range found no room.
 */
typedef void mapping_released(void *context, uintptr_t start, const struct live_block *piece);
bool mapping_table_remove(uintptr_t start, size_t size_bytes, mapping_released *released,
                          void *context);

#endif
