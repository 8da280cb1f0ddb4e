/*
 * core/process.h - what one tracked process knows of itself.
 *
 * Start-up finds the arena and registers the process; a fork is noticed at the child's
 * first event, because the page of `process_hot` is wiped in the child by the kernel.
 *
 * Context: inside the tracked program, async-signal-safe.
 * Memory:  static, and extents of the arena.
 * Threads: process_hot is written at start-up and at fork, when there is one thread
 *          (is_shared excepted, see there).
 */
#ifndef MEMTRACK_CORE_PROCESS_H
#define MEMTRACK_CORE_PROCESS_H

#include <stdbool.h>

#include "arena/arena.h"

/* Read by every event; wiped to zero in a forked child (MADV_WIPEONFORK). */
struct process_hot {
    uint32_t is_tracking; /* 0: not started, not tracked, or freshly forked */
    _Atomic uint32_t is_shared; /* has (had) a second thread; only ever set */
    struct arena_process *process;
    uint64_t sample_bytes; /* 0: every allocation */
    /* Births of this process run ahead of the clock by one tick for each mark, so that
     * blocks of before and after a mark differ. */
    _Atomic uint32_t tick_offset;
    uint32_t is_own_clock; /* nobody ticks from outside: core/own_arena.h */
    _Atomic int64_t mark_peak_bytes; /* the most live bytes since the latest mark */
};

#define PROCESS_PAGE_BYTES 4096u
union process_hot_page {
    struct process_hot hot;
    char page[PROCESS_PAGE_BYTES];
};
extern union process_hot_page process_hot_page;
#define process_hot (process_hot_page.hot)

/* What survives a fork. */
struct process_cold {
    struct arena arena;
    struct arena_image *image;
    struct arena_process *process; /* of this process, or after a fork still the parent's */
    uint32_t image_index;
    uint32_t mark_count; /* process_hot.tick_offset, for a forked child to go on with */
    /* Reads the allocator's figures; NULL where it has none that we know. */
    void (*read_allocator)(struct arena_allocator_figures *figures);
    bool read_allocator_walks; /* it takes a walk through all that is free */
    bool is_started;  /* the arena is there */
    _Atomic bool has_dropped; /* some blocks have no record, here or in a fork's parent */
    bool is_refused;  /* no arena, or not to be tracked: nothing will ever be recorded */
};
extern struct process_cold process_cold;

/*
 * Finds the arena named by MEMTRACK_ARENA, registers this image and process. Called by
 * the first event or by the constructor, whichever is first. Returns whether events are
 * to be recorded.
 */
bool process_start(void);

/* First event of a forked child: a process record of its own that inherits the live
 * blocks. Returns whether events are to be recorded. */
bool process_forked(void);

/* The address space is limited to limit_bytes from now on: returns most of the arena's, so
 * that the program has what it asked for. What is in use stays; the rest is enough for
 * ordinary runs, and beyond it events are dropped and counted. */
void process_limit_address_space(uint64_t limit_bytes);

/* The arguments, known to the constructor only. */
void process_set_arguments(int argument_count, char *const *arguments);

void process_set_allocator(const char *name);

/* Answers a request of the recorder for the allocator's figures. Called at the first event
 * of a tick, when the thread is in none of the allocator's functions. */
void process_answer_allocator(void);

/* This process is about to end with that status, as far as it says so itself. */
void process_exiting(int status);

/* From now on totals are shared between threads. */
void process_set_shared(void);

/* Tells the recorder that there is something to look at. */
void process_wake_recorder(void);

/* Counts an event that could not be recorded. */
void process_drop_event(void);

#endif
