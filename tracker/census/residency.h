/*
 * census/residency.h - which pages of private memory hold anything, so that a census
 * neither reads nor backs what the program only reserved.
 *
 * Context: inside the tracked program, async-signal-safe. Source: Linux,
 * Documentation/admin-guide/mm/pagemap.rst (bits 63 and 62, readable without privilege).
 * Memory: 4 KiB, in the struct. Threads: one.
 */
#ifndef MEMTRACK_CENSUS_RESIDENCY_H
#define MEMTRACK_CENSUS_RESIDENCY_H

#include <stdbool.h>
#include <stdint.h>

#define RESIDENCY_ENTRIES 512u

struct residency {
    long fd; /* of /proc/self/pagemap, or negative: mincore() is asked, which misses swapped pages */
    uint64_t first_page;
    uint32_t count; /* entries that are valid */
    uint64_t entries[RESIDENCY_ENTRIES];
};

void residency_open(struct residency *residency);
void residency_close(struct residency *residency);

/* Returns the first address >= `address` and < `end` of a page that is in memory or
 * swapped out; `end` when there is none. */
uintptr_t residency_next(struct residency *residency, uintptr_t address, uintptr_t end);

/* Returns the first address > `address` of a page that is not, at most `end`. */
uintptr_t residency_stretch(struct residency *residency, uintptr_t address, uintptr_t end);

#endif
