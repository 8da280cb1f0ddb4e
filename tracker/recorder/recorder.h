/*
 * recorder/recorder.h - runs a program under the shim and writes its recording.
 *
 *     recorder_start()    arena, recording, program: waiting, checked, let go
 *     recorder_wait()     ticks the clock, looks, writes, until the program has ended
 *     recorder_detach()   leaves descendants that still run to a process in the background
 *     recorder_free()
 *
 * Context: recorder; one recorder in a process, before it has threads.
 * Memory:  the arena's mapping; of each living process a bounded state.
 * Threads: one.
 */
#ifndef MEMTRACK_RECORDER_RECORDER_H
#define MEMTRACK_RECORDER_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "arena/layout.h"
#include "foundation/error.h"

/* A return address of a stack, as far as it is known. */
struct recorder_address {
    const char *path;        /* of the module's file; "" if unknown */
    const uint8_t *build_id; /* [0..build_id_bytes) */
    size_t build_id_bytes;
    uint64_t offset; /* the address less the module's load bias */
};

/* Blocks of one stack, innermost address first. */
struct recorder_site {
    uint64_t blocks;
    uint64_t bytes;
    const struct recorder_address *addresses;
    size_t address_count;
};

struct recorder_options {
    char *const *arguments;  /* of the program, NULL-terminated; [0] is looked up in PATH */
    const char *output;      /* with %p, %e, %h; NULL: memtrack.%e.%p.mtk */
    bool overwrite;          /* an existing output */
    bool is_quiet;           /* no progress line */
    int snapshot_signal;     /* takes a snapshot instead of being passed on; 0: none */
    uint64_t snapshot_every_ns; /* 0: every second at first, then ever less often */
    uint64_t leaks_every_ns;    /* scans of the running processes; 0: none */
    struct arena_config config;
    const char *shim;           /* absolute path of libmemtrack.so */
    const char *allocator;      /* absolute path of a library to preload, or NULL */
    const char *allocator_name; /* as the user said it, for the recording */
    const char *const *suppressions; /* files, [0..suppression_count) */
    size_t suppression_count;
    /* Called when the program asks to see sites: names and prints them. */
    void (*print_sites)(void *context, const char *title, const struct recorder_site *sites,
                        size_t count);
    void *print_context;
    /* Called in the background process, after the last descendant's part was written. */
    void (*finished)(const char *recording);
};

struct recorder_result {
    pid_t pid;
    int wait_status;          /* of the program, as from wait() */
    char output[4096];        /* the recording */
    bool is_recorded;         /* it was written, perhaps in part: see lost */
    bool is_tracked;          /* the shim registered at least one process */
    unsigned still_running;   /* descendants at the program's end */
    struct mt_error lost;     /* code 0, or why a part of the recording is missing */
    uint64_t recorder_cpu_ns; /* memtrack's own, until the program's end */
};

struct recorder;
struct recording_writer;

/* Starts the program. Returns NULL and *error when it was not started. options and what
 * it points to must stay until recorder_free(). */
struct recorder *recorder_start(const struct recorder_options *options, struct mt_error *error);

/* What is known so far; after recorder_start() that is pid, output, and `lost` when the
 * recording could not be made. */
const struct recorder_result *recorder_result(const struct recorder *recorder);

/* Returns when the program has ended and all of the run is committed. The result lives as
 * long as the recorder. */
const struct recorder_result *recorder_wait(struct recorder *recorder);

/* After recorder_wait(): the recording, still open, so that names can be added without
 * opening it again; the caller finishes it. NULL when processes still run, or nothing
 * could be recorded. Not taken: recorder_free() closes it. */
struct recording_writer *recorder_take_writer(struct recorder *recorder);

/*
 * With descendants that still run: forks a process that goes on recording in a session
 * of its own, without the standard streams. It touches the recording only after this
 * process has ended or called recorder_free(). Returns 0 or a negative errno.
 */
int recorder_detach(struct recorder *recorder, struct mt_error *error);

void recorder_free(struct recorder *recorder);

/*
 * Expands %p, %e, %h and %% of an output name. Returns 0, or -EINVAL for another %,
 * -ENAMETOOLONG.
 */
int recorder_expand_name(const char *pattern, pid_t pid, const char *program, char *name,
                         size_t name_bytes, struct mt_error *error);

#endif
