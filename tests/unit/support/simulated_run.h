/*
 * support/simulated_run.h - the recorder's own code, driven by a clock that runs as fast as one
 * likes: what a run of a day or a week leaves behind.
 *
 * A process is simulated in an arena of its own: so many sites, of which each allocates all the
 * time, the first ones often, the last ones seldom; a total that goes up and down; and extremes
 * that last for a few milliseconds. Polls, snapshots, thinning and the timeline are the recorder's.
 *
 * Memory: released by simulated_run_finish(). Threads: one.
 */
#ifndef MEMTRACK_SUPPORT_SIMULATED_RUN_H
#define MEMTRACK_SUPPORT_SIMULATED_RUN_H

#include "recorder/recorder_state.h"

struct simulated_run {
    struct recorder_options options;
    struct recorder *recorder;
    struct arena_process *process;
    struct arena_thread *thread;
    uint32_t sites;
    uint64_t now_ns;
};

/* Begins a recording at `path`. Returns whether that worked. */
bool simulated_run_begin(struct simulated_run *run, const char *path, uint32_t sites);

/* Lets time pass until `until_ns`, with a look every step_ns, and snapshots when the recorder wants
 * them. Returns false when the recording failed. */
bool simulated_run_pass(struct simulated_run *run, uint64_t until_ns, uint64_t step_ns);

/* Between two looks, for a few milliseconds, live bytes are low_bytes and high_bytes. */
bool simulated_run_spike(struct simulated_run *run, int64_t low_bytes, int64_t high_bytes);

/* A snapshot with a label, now. */
bool simulated_run_label(struct simulated_run *run, const char *label);

/* Ends the recording. Returns whether all of it was written. */
bool simulated_run_finish(struct simulated_run *run);

#endif
