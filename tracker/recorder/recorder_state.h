/*
 * recorder/recorder_state.h - the inside of a recorder, shared by its own files alone:
 *
 *   recorder.c          start, the loop, the program's end, the background
 *   recorder_scan.c     which processes there are: new ones, replaced ones, ended ones
 *   recorder_write.c    transactions: snapshots, ended processes, facts of the run
 *   recorder_signals.c  what reaches memtrack and is meant for the program
 *
 * Context: recorder. Threads: one.
 */
#ifndef MEMTRACK_RECORDER_RECORDER_STATE_H
#define MEMTRACK_RECORDER_RECORDER_STATE_H

#include "recorder/handover.h"
#include "recorder/image_writer.h"
#include "recorder/launch.h"
#include "recorder/progress.h"
#include "recorder/recorder.h"
#include "recorder/tracked.h"
#include "recorder/waker.h"

/* Kinds of event in epoll's data, in the upper half; the lower half is an index. */
#define RECORDER_EVENT_SIGNAL (UINT64_C(1) << 32)
#define RECORDER_EVENT_HANDOVER (UINT64_C(2) << 32)
#define RECORDER_EVENT_TRACKED (UINT64_C(3) << 32)
#define RECORDER_EVENT_UNSEEN (UINT64_C(4) << 32)
#define RECORDER_EVENT_FOREGROUND (UINT64_C(5) << 32)
#define RECORDER_EVENT_WAKE (UINT64_C(6) << 32)
#define RECORDER_EVENT_KIND(data) ((data) & ~UINT64_C(0xffffffff))

#define RECORDER_UNSEEN_MAX 256

/* Descendants that carry the arena but have not registered (yet). */
struct recorder_unseen {
    int32_t pid;
    int pidfd; /* -1: slot is free */
};

/* What stays of every process, also of those that ended. */
struct recorder_entry {
    int32_t pid;
    bool is_awaited; /* its index is handed out, its record is not complete yet */
    bool is_swept;   /* nothing of it is in the arena any more */
    uint32_t image;
    uint64_t offset; /* of its record; 0: never complete */
    struct tracked *tracked; /* NULL once its end is written */
};

struct recorder {
    const struct recorder_options *options;
    struct launch_origin origin;
    struct executable program;
    struct launch launch;
    char **environment;
    struct arena_file file;
    struct handover handover;
    struct progress progress;
    struct waker waker;
    int epoll_fd;
    int signal_fd;

    bool has_program_ended;
    bool is_stop_pending; /* memtrack got a stop signal that the program got too */
    bool is_program_stopped;
    bool is_background;

    struct recorder_entry *entries; /* [0..entry_count), by index in the arena */
    uint32_t entry_count;
    uint32_t entry_capacity;
    uint32_t awaited_first; /* no entry below is awaited */
    uint32_t alive_count;
    /* Indices of entries with a `tracked`: what a round looks at, so that its cost
     * does not grow with the processes that are gone. */
    uint32_t *active;
    uint32_t active_count;
    uint32_t active_capacity;
    struct image_writer **images; /* [0..image_count); NULL: not met yet */
    uint32_t image_count;
    struct recorder_unseen unseen[RECORDER_UNSEEN_MAX];
    uint32_t unseen_count;
    uint32_t wake_seen;
    uint64_t round_ns;  /* when the last look was */
    uint64_t active_ns; /* when a process was last seen active */

    struct recording_writer *writer; /* NULL: failed, or the recording is not ours (yet) */
    int64_t snapshot_next;
    uint64_t snapshot_next_ns;
    uint64_t census_next_ns; /* when processes are asked for leak scans; 0: not known yet */
    uint64_t sweep_next_ns;
    uint64_t sweep_next_bytes; /* of the arena handed out */
    uint64_t sites_next_ns; /* full counters are written again */
    int foreground_fd[2]; /* pipe: the foreground holds [1] until it is done */
    uint64_t background_next_ns; /* the background opens the recording again */

    struct recorder_result result;
};

/* ---- recorder_scan.c ------------------------------------------------------ */

/* Takes note of processes that registered since the last call. */
void recorder_scan(struct recorder *recorder, uint64_t now_ns);
/* Answers requests for snapshots. */
void recorder_serve_requests(struct recorder *recorder, uint64_t now_ns);

/* Asks the processes for leak scans, when they are due (recorder_options.leaks_every_ns). */
void recorder_ask_censuses(struct recorder *recorder, uint64_t now_ns);
/* One look at every living process; returns whether any was active. */
bool recorder_poll(struct recorder *recorder, uint64_t now_ns);
/* The process of this entry is gone; wait_status or -1. */
void recorder_end_entry(struct recorder *recorder, uint32_t index, uint64_t ended_ns,
                        int wait_status);
/* Finds descendants that carry the arena without having registered. */
void recorder_find_unseen(struct recorder *recorder);

/*
 * Gives the arena's memory of ended processes back, now and then in a run of thousands of
 * them. An image's stacks go when none of its processes lives and no process carries the
 * arena without having registered: such a one may be a forked child that will use them.
 */
void recorder_sweep(struct recorder *recorder, uint64_t now_ns);

/* ---- recorder_write.c ----------------------------------------------------- */

/* The run's row, as far as it is known. */
void recorder_fill_run(const struct recorder *recorder, struct recording_run *run);
/* Writes what ended since the last call, and forgets it. */
void recorder_write_ended(struct recorder *recorder);
/* Takes a snapshot; label may be NULL. */
void recorder_write_snapshot(struct recorder *recorder, uint64_t now_ns, const char *cause,
                             const char *label);
/* Leak scans that were asked for and are done. */
void recorder_write_censuses(struct recorder *recorder);
/* Everything that is known of all living processes. */
void recorder_write_living(struct recorder *recorder);
/* Takes the writer's failure, if there is one, as the recorder's loss. */
bool recorder_check_writer(struct recorder *recorder, int code, const struct mt_error *error);
/* In the background: opens the recording for one snapshot, what ended and, at last, the
 * end; it is free for readers in between. Tries again later when somebody has it open. */
void recorder_write_background(struct recorder *recorder, uint64_t now_ns, bool is_last);
/* Writes what is known at the end. */
void recorder_finish_run(struct recorder *recorder, bool is_complete);
/* Closes the recording. */
void recorder_close_writer(struct recorder *recorder, bool is_complete);

/* ---- recorder_signals.c --------------------------------------------------- */

/* Reads what came and forwards it; reaps the program. */
void recorder_handle_signals(struct recorder *recorder, uint64_t now_ns);

#endif
