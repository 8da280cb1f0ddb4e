#include "commands/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands/command.h"
#include "commands/names.h"
#include "commands/quantity.h"
#include "commands/view_options.h"
#include "recorder/arena_find.h"
#include "recorder/snapshot_file.h"

struct snapshot_arguments {
    struct view_options view;
    struct snapshot_file_options options;
    bool is_nameless;
};

enum snapshot_key { SNAPSHOT_KEY_LABEL = VIEW_KEY_OWN, SNAPSHOT_KEY_NO_NAMES };

static const struct argp_option snapshot_own_options[] = {
    {"label", SNAPSHOT_KEY_LABEL, "NAME", 0, "a name for it: FILE@label:NAME finds it again", 0},
    {"no-names", SNAPSHOT_KEY_NO_NAMES, NULL, 0,
     "do not look up functions and lines: faster, addresses only", 0},
    {0},
};

static error_t snapshot_parse_own(int key, char *value, const struct argp_state *state,
                                  void *context)
{
    struct snapshot_arguments *arguments = context;
    switch (key) {
    case SNAPSHOT_KEY_LABEL:
        arguments->options.label = value;
        return 0;
    case SNAPSHOT_KEY_NO_NAMES:
        arguments->is_nameless = true;
        return 0;
    default:
        return arguments->view.output != NULL
                   ? 0
                   : arguments_fail(state, "snapshot: no file was named, write `memtrack snapshot "
                                           "PID -o FILE`");
    }
}

static const struct view_command snapshot_command = {
    .name = "snapshot",
    .operands = "PID -o FILE",
    .operands_min = 1,
    .operands_max = 1,
    .missing = "no process was named",
    .example = "PID -o FILE",
    .one_more = "one process too many, name one",
    .doc = "Writes the present state of a tracked process to FILE, without stopping it.\v"
           "FILE is a recording with one snapshot: `memtrack report FILE` shows it, `memtrack "
           "diff A B` compares two. PID may also be the file that a program left which ran with "
           "MEMTRACK_OUTPUT. `memtrack list` shows what is tracked.",
    .takes = {{.option = VIEW_OUTPUT,
               .value = "FILE",
               .help = "the file to write; an existing one is refused without -f"},
              {.option = VIEW_FORCE, .help = "replace an existing file"},
              {.option = VIEW_QUIET}},
    .own = snapshot_own_options,
    .parse = snapshot_parse_own,
};

/* The arena of a pid, or of a file that a process left behind. */
static int snapshot_open(const char *name, struct arena_file *file, pid_t *pid,
                         struct mt_error *error)
{
    *pid = 0;
    if (arena_find_is_arena(name)) {
        return arena_find_open(name, file, error);
    }
    uint64_t number;
    struct mt_error ignored = {0};
    if (quantity_parse_number("PID", name, 1, INT32_MAX, &number, &ignored) != 0) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "%s: is neither a process's number nor memory that a tracked program "
                            "left: `memtrack list` shows what is tracked",
                            name);
    }
    *pid = (pid_t)number;
    return arena_find_process(*pid, file, error);
}

static int snapshot_take(struct snapshot_arguments *arguments, struct mt_error *error)
{
    struct arena_file file;
    pid_t pid;
    int code = snapshot_open(arguments->view.files[0], &file, &pid, error);
    if (code != 0) {
        return code;
    }
    arguments->options.output = arguments->view.output;
    arguments->options.overwrite = arguments->view.overwrite;
    arguments->options.cause = "request";
    arguments->options.only = -1;
    if (pid > 0) {
        arguments->options.only = arena_find_index(&file, pid);
        if (arguments->options.only < 0) {
            code = mt_error_set(error, -ENOENT, MT_STATUS_NO_INPUT,
                                "%d: it has not recorded anything yet: try again", (int)pid);
        }
    }
    if (code == 0) {
        code = names_take_snapshot(&file, &arguments->options, pid, arguments->is_nameless, error);
    }
    arena_file_close(&file);
    return code;
}

int command_snapshot(int argc, char **argv)
{
    struct snapshot_arguments arguments = {0};
    struct mt_error error = {0};
    int code =
        view_options_parse(&snapshot_command, argc, argv, &arguments.view, &arguments, &error);
    if (code == 0) {
        code = snapshot_take(&arguments, &error);
        if (code == 0 && !arguments.view.is_quiet) {
            fprintf(stderr, "memtrack: %s: written, see `memtrack report %s`\n",
                    arguments.options.output, arguments.options.output);
        }
    }
    view_options_deinit(&arguments.view);
    return code < 0 ? command_fail(&error) : MT_STATUS_OK;
}
