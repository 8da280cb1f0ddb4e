/*
 * commands/report.h - `memtrack report`, and the report that `memtrack run` ends with.
 *
 * Context: analyzer. Memory: none kept. Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_REPORT_H
#define MEMTRACK_COMMANDS_REPORT_H

#include "commands/output.h"

struct report_options {
    const char *file;    /* may carry a selector */
    const char *process; /* pid, index or "#index"; NULL: the run's first */
    enum output_format format;
    enum output_color color;
    size_t top; /* rows per list */
    bool is_wide;
};

/* Prints a recording's report to `out`; what is wrong with the recording goes to stderr
 * in one line (unless `out` is stderr: the report says it). Returns 0, or a negative errno
 * and *error. Errors of `out` are the caller's to check. */
int report_print(FILE *out, const struct report_options *options, struct mt_error *error);

int command_report(int argc, char **argv);

#endif
