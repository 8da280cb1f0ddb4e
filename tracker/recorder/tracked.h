/*
 * recorder/tracked.h - one process of a run as the recorder sees it: from its record in
 * the arena, from the kernel, and what of it has been written.
 *
 * Context: recorder. Memory: bounded by the timeline's points and two counters sets of
 * the process's sites. Threads: one.
 */
#ifndef MEMTRACK_RECORDER_TRACKED_H
#define MEMTRACK_RECORDER_TRACKED_H

#include <stdbool.h>

#include "recorder/arena_file.h"
#include "recorder/procfs.h"
#include "recorder/site_sums.h"
#include "recorder/timeline.h"
#include "recording/writer.h"

/* What a snapshot row holds, to see what changed since the one before. */
struct tracked_counters {
    uint64_t allocations;
    uint64_t allocated_bytes;
    uint64_t frees;
    uint64_t freed_bytes;
    uint64_t temporaries;
};

struct tracked {
    /* Copied when it was found: what the program may scribble over later. */
    uint32_t index; /* in the arena, and its id in the recording */
    uint64_t offset;
    struct arena_process *shared;
    int32_t pid;
    int32_t parent_pid;
    uint32_t image;
    uint32_t start; /* enum arena_start */
    int64_t parent; /* id, or RECORDING_UNKNOWN */
    uint64_t started_ns;

    bool is_alive;
    int pidfd; /* -1: it ended before it could be watched, or is not ours to watch */
    uint64_t active_ns; /* last time it was seen active */
    uint64_t ended_ns;
    bool was_replaced;
    int64_t exit_status; /* RECORDING_UNKNOWN */
    int64_t signal;

    struct procfs procfs;
    int64_t rss_bytes;
    int64_t peak_rss_bytes;
    int64_t user_ns;
    int64_t system_ns;
    int64_t minor_faults; /* RECORDING_UNKNOWN */
    int64_t major_faults;
    uint64_t procfs_next_ns; /* not read again before */
    uint64_t procfs_gap_ns;

    struct timeline timeline;
    size_t points_written;
    uint32_t points_generation;
    uint32_t tick_polled;
    int64_t peak_polled_bytes;
    uint64_t counted_ns;    /* when they were summed up last */
    uint64_t count_next_ns; /* allocations not summed up again before */
    uint64_t figures_next_ns;
    int64_t figures_live_bytes; /* when they were answered last to a ledger; 0: never */
    uint64_t ledger_next_ns; /* where its memory is: not looked up again before */

    struct site_sums sums; /* latest reading */
    bool sums_are_last;    /* read after its end: nothing changes any more */
    bool is_in_use;        /* sums are being written: no new reading now */
    uint32_t census_written; /* number of the latest census in the recording */
    uint32_t census_asked;   /* one that was asked for; 0: none */
    uint32_t censuses_left;  /* to be asked for after it: several must agree */
    int64_t census_snapshot; /* and the snapshot that it belongs to */
    struct tracked_counters *snapshot; /* [0..snapshot_count), by stack id */
    size_t snapshot_count;
};

/*
 * Begins to watch the process whose record is at `offset`. Returns NULL when the record
 * is unreadable or memory is out.
 */
struct tracked *tracked_new(const struct arena_file *file, uint32_t index, uint64_t offset);
void tracked_free(struct tracked *tracked);

/* One look at a living process: extremes, RSS, CPU, a point of the timeline. Returns
 * whether it allocated or released anything since the last look. */
bool tracked_poll(struct tracked *tracked, const struct arena_file *file, uint64_t now_ns);

/* The process is gone: the last point, the peak of its RSS, how it ended. wait_status as
 * from wait(), or -1 when it is not known. */
void tracked_end(struct tracked *tracked, const struct arena_file *file, uint64_t now_ns,
                 int wait_status);

/* All below: inside a transaction of `recording`; 0 or the error that stuck. */

/* The process's own row and arguments, as of now. */
int tracked_write_process(const struct tracked *tracked, const struct arena_file *file,
                          struct recording_writer *recording);
/* Timeline: what is new, or all when older points changed. */
int tracked_write_points(struct tracked *tracked, struct recording_writer *recording);
/* Reads the counters anew and writes those that changed since the last snapshot. */
int tracked_write_snapshot(struct tracked *tracked, const struct arena_file *file,
                           struct recording_writer *recording, int64_t snapshot);
/* Where its resident memory is, at this snapshot: always at a deep one, else now and then, as
 * it takes a while. */
int tracked_write_ledger(struct tracked *tracked, struct recording_writer *recording,
                         int64_t snapshot, uint64_t now_ns, bool is_deep);
/* Where it was when the process ended, if that told. */
int tracked_write_last_ledger(const struct tracked *tracked, struct recording_writer *recording);
/* Sites, lifetimes, CPU samples, threads, defects over the whole run until now. */
int tracked_write_sites(struct tracked *tracked, const struct arena_file *file,
                        struct recording_writer *recording);

/* Returns the memory of an ended process in the arena to the system. */
void tracked_drop(const struct tracked *tracked, const struct arena_file *file);
/* The same for its record and its threads' tables: when no forked child that has not
 * registered yet can need them any more. */
void tracked_sweep(uint64_t process_offset, const struct arena_file *file);

#endif
