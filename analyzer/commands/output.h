/*
 * commands/output.h - where a command's result goes, and how it may look there.
 *
 * Context: analyzer. Memory: the struct's. Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_OUTPUT_H
#define MEMTRACK_COMMANDS_OUTPUT_H

#include "foundation/error.h"
#include "render/render.h"

#include <stdio.h>

enum output_color { OUTPUT_COLOR_AUTO, OUTPUT_COLOR_ALWAYS, OUTPUT_COLOR_NEVER };
enum output_format { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_CSV, OUTPUT_MARKDOWN };

struct output {
    FILE *file;
    const char *name; /* for messages */
    bool is_own;      /* to be closed */
};

/* Opens `path` for writing, or takes stdout when it is NULL or "-". `input` is the file
 * that is read, which is never overwritten; NULL: none. */
int output_open(struct output *output, const char *path, const char *input, struct mt_error *error);
/* The same, but a file that exists is -EEXIST unless `overwrite`. */
int output_create(struct output *output, const char *path, const char *input, bool overwrite,
                  struct mt_error *error);
/* Flushes and closes; a write that failed at any time is an error. */
int output_close(struct output *output, struct mt_error *error);

/* Colours, width and characters for `file`: what --color, NO_COLOR, FORCE_COLOR, TERM,
 * COLUMNS, the terminal and the locale say. */
struct render_options output_render_options(FILE *file, enum output_color color, bool is_wide);

/* What --format and --color take, in the order of the enums; NULL ends them. */
extern const char *const output_format_names[];
extern const char *const output_color_names[];

#endif
