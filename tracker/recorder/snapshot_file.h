/*
 * recorder/snapshot_file.h - a recording of one moment, taken of a process that runs, or of
 * the arena that a process left behind.
 *
 * Copies counters out of the shared memory; the process is neither stopped nor asked,
 * unless a leak scan is wanted.
 *
 * Context: commands. Memory: counters of the sites, for as long as it takes.
 */
#ifndef MEMTRACK_RECORDER_SNAPSHOT_FILE_H
#define MEMTRACK_RECORDER_SNAPSHOT_FILE_H

#include <stdbool.h>

#include "recorder/arena_file.h"

struct snapshot_file_options {
    const char *output;
    const char *label; /* NULL: none */
    const char *cause; /* "request" */
    bool overwrite;
    int64_t only; /* index of a process in the arena, -1: all */
    bool with_census; /* ask the processes that run for a leak scan: they stand still for
                         some milliseconds */
};

/* Writes the recording, complete but for names, into a writer that the caller adds names to
 * and finishes: then it gets its name. Returns 0, or a negative errno and *error; then
 * nothing is at `output` that was not there before. */
struct recording_writer;
int snapshot_file_write(const struct arena_file *file, const struct snapshot_file_options *options,
                        struct recording_writer **writer, struct mt_error *error);

#endif
