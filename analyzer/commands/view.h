/*
 * commands/view.h - shows a result where and as the options ask: on stdout, through a pager, in a
 * file; as text, JSON, CSV or Markdown.
 *
 * Context: analyzer. Memory: the caller's. Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_VIEW_H
#define MEMTRACK_COMMANDS_VIEW_H

#include "commands/view_options.h"

struct pager;

/* An output that is open. Long text on a terminal goes through the pager. */
struct view {
    struct output output;
    struct pager *pager;
    FILE *file;                 /* write here */
    struct render_options look; /* of text */
};

/* `is_text`: for people to read, so that a pager may be asked. `overwrite`: whether a file that
 * exists is written over. `input` as for output_open(). */
int view_open(struct view *view, const struct view_options *options, bool is_text, bool overwrite,
              const char *input, struct mt_error *error);
/* Waits for the person who reads. Returns 0, or a negative errno and *error. */
int view_close(struct view *view, struct mt_error *error);

/* A result in the forms that it can take. */
struct view_result {
    void (*write)(struct report_tree *tree, const void *context); /* JSON */
    struct report_document *(*make_table)(const void *context);   /* CSV */
    struct report_document *(*make)(const void *context);         /* text and Markdown */
    const void *context;
};

/* Writes the result to `file` in the chosen of output.h's formats. */
void view_print(FILE *file, const struct view_result *result, enum output_format format,
                const struct render_options *look);

/* Opens, prints and closes. */
int view_show(const struct view_options *options, const struct view_result *result,
              const char *input, struct mt_error *error);

#endif
