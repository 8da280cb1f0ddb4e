/*
 * commands/run_options.h - the command line of `memtrack run`, read and checked.
 *
 * Context: analyzer. Memory: the struct's; texts are borrowed from argv. Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_RUN_OPTIONS_H
#define MEMTRACK_COMMANDS_RUN_OPTIONS_H

#include <limits.h>
#include <stdbool.h>

#include "foundation/error.h"
#include "recorder/recorder.h"

#define RUN_SUPPRESSIONS_MAX 64

enum run_color { RUN_COLOR_AUTO, RUN_COLOR_ALWAYS, RUN_COLOR_NEVER };

struct run_options {
    struct recorder_options recorder;
    char shim[PATH_MAX];
    char allocator[PATH_MAX];
    const char *suppressions[RUN_SUPPRESSIONS_MAX];
    bool prints_report;
    uint64_t top;
    const char *log_file; /* NULL: stderr */
    bool is_quiet;
    bool is_verbose;
    enum run_color color;
    bool wants_help;
};

/* argv[0] is the command's name. Returns 0, or a negative errno and *error. */
int run_options_parse(int argc, char **argv, struct run_options *options, struct mt_error *error);

extern const char run_options_help[];

#endif
