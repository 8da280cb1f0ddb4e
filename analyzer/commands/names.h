/*
 * commands/names.h - puts names to a recording's addresses, once it is written.
 *
 * Context: analyzer. Memory: none kept. Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_NAMES_H
#define MEMTRACK_COMMANDS_NAMES_H

#include <stdbool.h>
#include <sys/types.h>

#include "foundation/error.h"
#include "recorder/snapshot_file.h"

/* Resolves what no symbolizer looked at yet and finishes the recording. pid: whose perf map
 * names compiled code, 0: nobody's. A failure costs names, nothing else. */
int names_resolve(const char *recording, pid_t pid, bool is_complete, struct mt_error *error);

/* The same with a recording that is open still; takes the writer. */
struct recording_writer;
int names_resolve_open(const char *recording, struct recording_writer *writer, pid_t pid,
                       bool is_complete, struct mt_error *error);

/* Writes a snapshot, with names unless is_nameless; what cannot be named stays without. pid
 * as above. */
int names_take_snapshot(const struct arena_file *file, const struct snapshot_file_options *options,
                        pid_t pid, bool is_nameless, struct mt_error *error);

#endif
