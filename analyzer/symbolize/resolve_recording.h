/*
 * symbolize/resolve_recording.h - gives a recording its names.
 *
 * Resolves all addresses of a recording that no symbolizer looked at yet and stores
 * functions, files, lines, inlined calls, and the source lines that a report may show, so
 * that the recording can be read on a machine that has none of the files.
 *
 * Context: recorder (at the end of a run), analyzer.
 * Memory:  some 32 bytes per address while it works.
 * Threads: one; uses others inside.
 */
#ifndef MEMTRACK_SYMBOLIZE_RESOLVE_RECORDING_H
#define MEMTRACK_SYMBOLIZE_RESOLVE_RECORDING_H

#include "foundation/error.h"
#include "recording/writer.h"
#include "symbolize/symbolizer.h"

struct resolve_recording_options {
    /* The tracked program's root folder as this process can reach it, say
     * "/proc/1234/root"; a module's file is looked for there first. NULL: this one's. */
    const char *root;
    /* Processes whose /tmp/perf-PID.map names code that a JIT compiler made. */
    const int *perf_map_pids; /* perf_map_pids[0..perf_map_pid_count) */
    size_t perf_map_pid_count;
    /* Source lines kept at most, those of most addresses first; 0: 20000. */
    size_t source_line_max;
};

/*
 * Adds symbols to a recording, in one transaction of its own (none may be open). options:
 * NULL means defaults. What cannot be named is no error: it stays module and offset, and
 * the module's hint says how to get more. Returns 0 or the writer's error.
 */
int resolve_recording(struct recording_writer *writer, struct symbolizer *symbolizer,
                      const struct resolve_recording_options *options, struct mt_error *error);

#endif
