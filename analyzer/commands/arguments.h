/*
 * commands/arguments.h - argp, with memtrack's manners: one line per error that says what
 * was probably meant, status 64, and `--help` on stdout.
 *
 * Context: analyzer. Memory: none. Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_ARGUMENTS_H
#define MEMTRACK_COMMANDS_ARGUMENTS_H

#include "foundation/error.h"

#include <argp.h>

/* Checks argv against argp's options, then parses it. Returns 0; 1 when --help was given
 * and printed; or a negative errno and *error (status 64). The parser of `argp` gets
 * `input` and reports what it does not like by arguments_fail(). */
int arguments_parse(const struct argp *argp, int argc, char **argv, void *input,
                    struct mt_error *error);

/* For parsers: fills the error of the arguments_parse() under way; returns EINVAL. */
error_t arguments_fail(const struct argp_state *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Looks `text`, the value of `option` ("--format"), up in words, which end with NULL. Returns its
 * position; or a negative errno and *error, which says what was meant or what there is. */
int arguments_find_word(const char *option, const char *text, const char *const *words,
                        struct mt_error *error);
/* "text, json or csv". What does not fit is cut. */
void arguments_list_words(const char *const *words, char *list, size_t list_bytes);

#endif
