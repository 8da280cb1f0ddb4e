/*
 * commands/run_options.h - the command line of `memtrack run`, read and checked.
 *
 * Context: analyzer. Memory: the struct's; texts are borrowed from argv. Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_RUN_OPTIONS_H
#define MEMTRACK_COMMANDS_RUN_OPTIONS_H

#include <getopt.h>
#include <limits.h>
#include <stdbool.h>

#include "commands/output.h"
#include "foundation/error.h"
#include "recorder/recorder.h"

#define RUN_SUPPRESSIONS_MAX 64

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
    enum output_color color;
    bool wants_help;
    bool is_after_dashes; /* the program was named after "--" */
};

/* What a command that also runs a program adds to the options of run. */
struct run_options_extension {
    const char *command;          /* for messages */
    const char *operand;          /* what is missing when nothing was named */
    const struct option *options; /* values from RUN_OPTION_OWN on; ends with a NULL name */
    int (*parse)(void *context, int option, const char *value, struct mt_error *error);
    void *context;
};
#define RUN_OPTION_OWN 1024

/* argv[0] is the command's name. extension: NULL for run itself. Returns 0, or a negative errno
 * and *error. */
int run_options_parse(int argc, char **argv, const struct run_options_extension *extension,
                      struct run_options *options, struct mt_error *error);

/* Finds the library that is loaded into the program. run_options_parse() has done so where
 * there is no extension: others may need none. */
int run_options_find_shim(struct run_options *options, struct mt_error *error);

extern const char run_options_help[]; /* of run */
extern const char run_options_list[]; /* the lines of how a program is recorded */

#endif
