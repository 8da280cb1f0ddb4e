/*
 * commands/view_options.h - the options that the commands which read a recording have in common:
 * one table of names, meanings and messages.
 *
 * A command says which of them it takes, what its operands are and which options are its own:
 *
 *     static const struct view_command command = {
 *         .name = "cpu",
 *         .operands = "FILE",
 *         .takes = {{VIEW_BY, .words = by_names}, {VIEW_TOP}, {VIEW_FORMAT}, {VIEW_LOOK}},
 *     };
 *     struct view_options view = {.top = 20};
 *     int code = view_options_parse(&command, argc, argv, &view, NULL, &error);
 *
 * Context: analyzer.
 * Memory:  texts are borrowed from argv; patterns are the struct's until view_options_deinit().
 * Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_VIEW_OPTIONS_H
#define MEMTRACK_COMMANDS_VIEW_OPTIONS_H

#include "commands/arguments.h"
#include "commands/output.h"
#include "report/profile.h"

#include <regex.h>
#include <stdint.h>

#define VIEW_TAKES_MAX 20u
#define VIEW_FILES_MAX 257u

enum view_option {
    VIEW_NONE,          /* ends a list */
    VIEW_FORMAT,        /* --format: one of words; without words output.h's four */
    VIEW_OUTPUT,        /* -o */
    VIEW_FORCE,         /* -f */
    VIEW_BY,            /* --by: one of words */
    VIEW_SORT,          /* --sort: one of words */
    VIEW_METRIC,        /* --metric: a profile's */
    VIEW_TOP,           /* --top */
    VIEW_MIN_BYTES,     /* --min-bytes */
    VIEW_FOCUS,         /* --focus and --ignore */
    VIEW_PROCESS,       /* --process */
    VIEW_ALL_PROCESSES, /* --all-processes */
    VIEW_REVERSE,       /* --reverse */
    VIEW_BY_THREAD,     /* --by-thread: of --metric cpu */
    VIEW_SUPPRESSIONS,  /* --suppressions, repeatable */
    VIEW_QUIET,         /* -q */
    VIEW_LOOK,          /* --wide, --color, --no-color, --no-pager */
};

/* An option as one command takes it; NULL is what the others have. */
struct view_take {
    enum view_option option;
    const char *help;
    const char *const *words; /* what may be written, ends with NULL; the first is the default */
    const char *value;        /* the value's name in --help */
};

struct view_command {
    const char *name;
    const char *operands; /* for --help: "FILE[@STATE]" */
    const char *example;  /* for messages; NULL: "FILE" */
    const char *missing;  /* what is wrong with too few operands; NULL: "no recording was named" */
    const char *one_more; /* with too many; NULL: "one file too many, name one recording" */
    const char *doc;      /* as argp's */
    size_t operands_min;
    size_t operands_max; /* at most VIEW_FILES_MAX */
    struct view_take takes[VIEW_TAKES_MAX];
    /* The command's own; ends with an empty one. Keys from VIEW_KEY_OWN on, or letters. */
    const struct argp_option *own;
    /* Takes one of them, or ARGP_KEY_END, when all is read. Returns 0 or arguments_fail(). */
    error_t (*parse)(int key, char *value, const struct argp_state *state, void *context);
    char *(*help_filter)(int key, const char *text, void *input);
};
#define VIEW_KEY_OWN 1024

#define VIEW_SUPPRESSIONS_MAX 64u

struct view_options {
    const char *files[VIEW_FILES_MAX];
    size_t file_count;
    const char *output;
    const char *process;
    const char *suppressions[VIEW_SUPPRESSIONS_MAX];
    size_t suppression_count;
    unsigned format; /* index into the words; of a command without any, enum output_format */
    bool has_format;
    unsigned by;
    unsigned sort;
    enum profile_metric metric;
    size_t top;
    int64_t min_bytes;
    regex_t patterns[2];
    const regex_t *focus; /* NULL: not given */
    const regex_t *ignore;
    enum output_color color;
    bool is_wide;
    bool is_unpaged;
    bool overwrite;
    bool all_processes;
    bool is_reversed;
    bool by_thread;
    bool is_quiet;
};

/* Fills *view, whose present values are the defaults; `context` goes to the command's parse.
 * Returns 0; 1 when help was printed; or a negative errno and *error. Release with
 * view_options_deinit(), whatever was returned. */
int view_options_parse(const struct view_command *command, int argc, char **argv,
                       struct view_options *view, void *context, struct mt_error *error);
void view_options_deinit(struct view_options *view);

#endif
