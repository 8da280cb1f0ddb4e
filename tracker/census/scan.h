/*
 * census/scan.h - the scan itself, on memory that stands still.
 *
 * Context: inside the tracked program, a forked child or (when no fork was possible) with
 *          the other threads parked. Memory: see census.h. Threads: one.
 */
#ifndef MEMTRACK_CENSUS_SCAN_H
#define MEMTRACK_CENSUS_SCAN_H

#include "arena/arena.h"
#include "census/parking.h"
#include "census/roots.h"

struct scan_request {
    const struct arena *arena;
    struct arena_census *census; /* in the arena; its results are written there */
    struct arena_census_slot *slot;
    uint32_t stack_end; /* stack ids in use are below it */
    uint32_t since_tick; /* blocks born earlier are not counted; 0: all are */
    uint32_t agreement;  /* how many censuses in a row must find a block lost; 0: as 1 */
    /* What the census before found lost, by address: [0..suspect_count). */
    const struct arena_census_suspect *suspects;
    uint32_t suspect_count;
    bool is_final; /* nobody compares with it */
    const struct parked_thread *threads; /* all that stand still, the asking one too */
    uint32_t thread_count;
    struct census_local allocator_local;
    uintptr_t libc_function;
    uintptr_t allocator_function;
    uintptr_t own_start; /* memory of the census that is no root */
    uintptr_t own_end;
};

/* Scans and fills in *census but for its state. Returns NULL, or why it could not be
 * done (constant text). */
const char *scan_run(const struct scan_request *request);

#endif
