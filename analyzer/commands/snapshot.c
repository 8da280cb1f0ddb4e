#include "commands/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/names.h"
#include "commands/quantity.h"
#include "recorder/arena_find.h"
#include "recorder/snapshot_file.h"

struct snapshot_arguments {
    const char *process;
    struct snapshot_file_options options;
    bool is_quiet;
    bool is_nameless;
};

enum snapshot_key { SNAPSHOT_KEY_LABEL = 256, SNAPSHOT_KEY_NO_NAMES };

static const struct argp_option snapshot_option_table[] = {
    {"output", 'o', "FILE", 0, "the file to write; an existing one is refused without -f", 0},
    {"label", SNAPSHOT_KEY_LABEL, "NAME", 0, "a name for it: FILE@label:NAME finds it again", 0},
    {"force", 'f', NULL, 0, "replace an existing file", 0},
    {"no-names", SNAPSHOT_KEY_NO_NAMES, NULL, 0,
     "do not look up functions and lines: faster, addresses only", 0},
    {"quiet", 'q', NULL, 0, "say nothing when it worked", 0},
    {0},
};

static error_t snapshot_parse(int key, char *value, struct argp_state *state)
{
    struct snapshot_arguments *arguments = state->input;
    switch (key) {
    case 'o':
        arguments->options.output = value;
        return 0;
    case SNAPSHOT_KEY_LABEL:
        arguments->options.label = value;
        return 0;
    case 'f':
        arguments->options.overwrite = true;
        return 0;
    case SNAPSHOT_KEY_NO_NAMES:
        arguments->is_nameless = true;
        return 0;
    case 'q':
        arguments->is_quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->process != NULL) {
            return arguments_fail(state, "snapshot: \"%s\" is one process too many, name one",
                                  value);
        }
        arguments->process = value;
        return 0;
    case ARGP_KEY_END:
        if (arguments->process == NULL || arguments->options.output == NULL) {
            return arguments_fail(state, "snapshot: a process and a file are needed, write "
                                         "`memtrack snapshot PID -o FILE`");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

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
    int code = snapshot_open(arguments->process, &file, &pid, error);
    if (code != 0) {
        return code;
    }
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
        code = snapshot_file_write(&file, &arguments->options, error);
    }
    arena_file_close(&file);
    if (code == 0 && !arguments->is_nameless) {
        struct mt_error ignored = {0};
        (void)names_resolve(arguments->options.output, pid, true, &ignored);
    }
    return code;
}

int command_snapshot(int argc, char **argv)
{
    static const struct argp parser = {
        .options = snapshot_option_table,
        .parser = snapshot_parse,
        .args_doc = "PID -o FILE",
        .doc = "Writes the present state of a tracked process to FILE, without stopping it.\v"
               "FILE is a recording with one snapshot: `memtrack report FILE` shows it, `memtrack "
               "diff A B` compares two. PID may also be the file that a program left which ran "
               "with MEMTRACK_OUTPUT. `memtrack list` shows what is tracked.",
    };
    struct snapshot_arguments arguments = {0};
    struct mt_error error = {0};
    int code = arguments_parse(&parser, argc, argv, &arguments, &error);
    if (code != 0) {
        return code > 0 ? MT_STATUS_OK : command_fail(&error);
    }
    if (snapshot_take(&arguments, &error) != 0) {
        return command_fail(&error);
    }
    if (!arguments.is_quiet) {
        fprintf(stderr, "memtrack: %s: written, see `memtrack report %s`\n",
                arguments.options.output, arguments.options.output);
    }
    return MT_STATUS_OK;
}
