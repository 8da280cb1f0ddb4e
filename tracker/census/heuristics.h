/*
 * census/heuristics.h - pointers into a block that are as good as pointers to its start,
 * because of how C++ and its libraries lay out objects.
 *
 * Context: inside the tracked program, async-signal-safe. Memory: none.
 * Source:  Valgrind User Manual, 4.3 "--leak-check-heuristics".
 */
#ifndef MEMTRACK_CENSUS_HEURISTICS_H
#define MEMTRACK_CENSUS_HEURISTICS_H

#include "census/memory_map.h"

/* `which`: bits MARKING_HEURISTIC_*. The block is [address, address + size_bytes), value
 * lies in it and not at its start. Without a map no virtual tables are recognised. */
bool heuristics_match(uint32_t which, const struct memory_map *map, uintptr_t address,
                      uint64_t size_bytes, uintptr_t value);

#endif
