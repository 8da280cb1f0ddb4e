/*
 * commands/check_options.h - the command line of `memtrack check`: run's options and the
 * limits.
 *
 * Context: analyzer. Memory: the struct's; texts are borrowed from argv. Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_CHECK_OPTIONS_H
#define MEMTRACK_COMMANDS_CHECK_OPTIONS_H

#include "analyses/gate.h"
#include "commands/output.h"
#include "commands/run_options.h"

#define CHECK_PROGRAMS_MAX 64

struct check_options {
    struct run_options run;
    struct gate_options gate;
    bool is_file;     /* a recording is judged, no program is run */
    const char *file; /* may carry a selector */
    const char *result;    /* where the result goes (-o); NULL: stdout, or stderr after a run */
    const char *recording; /* -o, where it names the recording; NULL: kept on failure only */
    const char *baseline;
    const char *write_baseline;
    const char *gen_suppressions;
    const char *programs_ignored[CHECK_PROGRAMS_MAX];
    const char *junit;
    const char *sarif;
    bool has_github;
    const char *name;
    enum output_format format;
    bool has_format;
    int error_exitcode;
    char repeat_library[PATH_MAX]; /* preloaded with --repeat */
};

/* argv[0] is the command's name. Returns 0, or a negative errno and *error. */
int check_options_parse(int argc, char **argv, struct check_options *options,
                        struct mt_error *error);

/* `memtrack check --help`. Returns the exit status. */
int check_options_print_help(void);

#endif
