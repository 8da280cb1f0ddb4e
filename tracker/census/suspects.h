/*
 * census/suspects.h - which blocks several censuses in a row found lost.
 *
 * In mid-run a pointer may be where no scan looks just then: in a vector register, in the
 * hands of the kernel, half written. So a block is called lost only when as many censuses in
 * a row as were asked for found nothing that leads to it. Each leaves a list of the blocks
 * that seemed lost in the arena, for the next: by address, with the live map's record, that
 * tells a block from a later one at the same address (same site, size and birth).
 *
 * Context: inside the tracked program, a forked child; async-signal-safe.
 * Memory:  in the arena: 16 bytes for each block that seems lost, for at most
 *          ARENA_CENSUS_SUSPECTS_MAX of them; those beyond never agree.
 * Threads: one.
 */
#ifndef MEMTRACK_CENSUS_SUSPECTS_H
#define MEMTRACK_CENSUS_SUSPECTS_H

#include "arena/layout.h"
#include "census/block_index.h"

/* What the comparison found. */
struct suspects {
    uint32_t count; /* blocks that seem lost, for suspects_write() */
    uint64_t suspended_blocks;
    uint64_t suspended_bytes;
};

/*
 * After marking_possible(): counts for each block without a mark how many censuses in a row
 * found it so, and suspends (marking_suspend) those with less than `agreement`.
 * previous[0..previous_count): the list of the census before, by address.
 */
void suspects_compare(struct block_index *index, const struct arena_census_suspect *previous,
                      uint32_t previous_count, uint32_t agreement, struct suspects *suspects);

/* Writes this census's list to list[0..suspects->count). */
void suspects_write(const struct block_index *index, const struct suspects *suspects,
                    struct arena_census_suspect *list);

#endif
