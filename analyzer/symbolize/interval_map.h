/*
 * symbolize/interval_map.h - which of many nested address ranges is the innermost here?
 *
 *   [------------- f -------------)          f  g  h  g  f  k  -
 *        [----- g -----)   [-- k --)   =>    |  |  |  |  |  |  |
 *            [ h )                           starts, sorted
 *
 * Built once from ranges in any order, then answers by one binary search.
 *
 * Context: analyzer, recorder.   Memory: the map's, freed by deinit.
 * Threads: one while it is built, any afterwards.
 */
#ifndef MEMTRACK_SYMBOLIZE_INTERVAL_MAP_H
#define MEMTRACK_SYMBOLIZE_INTERVAL_MAP_H

#include <stddef.h>
#include <stdint.h>

#define INTERVAL_MAP_NONE UINT32_MAX

struct interval {
    uint64_t low;
    uint64_t high; /* exclusive */
    uint32_t value;
    uint32_t depth; /* greater: further inside */
};

struct interval_map {
    uint64_t *starts; /* starts[0..count), rising */
    uint32_t *values; /* of [starts[i], starts[i+1]) */
    size_t count;
};

/*
 * Sorts intervals[0..count) in place and builds the map. Empty ones are ignored. Of equal
 * ranges the deepest wins, then the lowest value. Ranges that overlap without being
 * nested do not occur in sound files: there the one that starts later wins.
 * Returns 0 or -ENOMEM.
 */
int interval_map_init(struct interval_map *map, struct interval *intervals, size_t count);
void interval_map_deinit(struct interval_map *map);

/* Value of the innermost interval that contains `address`, or INTERVAL_MAP_NONE. */
uint32_t interval_map_find(const struct interval_map *map, uint64_t address);

#endif
