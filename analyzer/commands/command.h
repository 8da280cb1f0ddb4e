/*
 * commands/command.h - the table of commands, as in git: one entry each.
 *
 * A new command is a file with `int command_NAME(int argc, char **argv)` and a line in
 * command.c. argv[0] is the command's name; the result is the exit status. Commands print
 * and nobody else does.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_COMMANDS_COMMAND_H
#define MEMTRACK_COMMANDS_COMMAND_H

#include "foundation/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct command {
    const char *name;
    const char *synopsis; /* "FILE [OPTIONS]" */
    const char *summary;  /* one line for --help */
    int (*run)(int argc, char **argv);
};

extern const struct command command_table[]; /* ends with a NULL name */

const struct command *command_find(const char *name); /* NULL: no such command */
bool command_exists(const char *name);

/* Prints "memtrack: ..." on stderr and returns the status to exit with. */
int command_fail(const struct mt_error *error);

/* `memtrack --help`. Returns the exit status. */
int command_print_help(FILE *out);

/* The one of names[0..count) that `text` was probably meant to be, or NULL. */
const char *command_guess(const char *text, const char *const *names, size_t count);
/* The command that `name` was probably meant to be, or NULL. */
const char *command_guess_name(const char *name);

#endif
