/*
 * report/lifetimes.h - how long blocks lived, in a few words.
 *
 * Context: analyzer. Memory: the region's.
 */
#ifndef MEMTRACK_REPORT_LIFETIMES_H
#define MEMTRACK_REPORT_LIFETIMES_H

#include "model/model.h"

/* Blocks by how long they lived: below 10 ms, 80 ms, 0.64 s, 5 s, 41 s, longer; and those that
 * live still. (The recording has 16 classes, each twice as long as the one before.) */
#define LIFETIMES_CLASSES 7u
struct lifetimes {
    int64_t blocks[LIFETIMES_CLASSES];
};

/* Adds those of a site. */
void lifetimes_add(struct lifetimes *lifetimes, const struct model_site *site);

/* Such as "<10ms 92%, <5s 7%, live 1%": the largest shares, at most three, in order of time;
 * "" where there are no blocks. */
const char *lifetimes_text(struct region *region, const struct lifetimes *lifetimes);

#endif
