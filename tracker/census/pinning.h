/*
 * census/pinning.h - which sites keep mostly empty pages in memory.
 *
 * A page of the heap can only be returned when nothing in it is live. A page less than a
 * quarter full is counted for the site that has most of it, with what is not live as
 * what would be returned.
 *
 * Context: inside the tracked program, async-signal-safe. Memory: none. Threads: one.
 */
#ifndef MEMTRACK_CENSUS_PINNING_H
#define MEMTRACK_CENSUS_PINNING_H

#include "census/block_index.h"
#include "census/findings.h"

void pinning_count(const struct block_index *index, struct findings *findings);

#endif
