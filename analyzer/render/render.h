/*
 * render/render.h - documents and trees as text, Markdown, CSV and JSON.
 *
 * Every text that came from a program (names, paths, arguments, labels) is made harmless
 * here, and only here: control characters, escape sequences, invalid UTF-8 and direction
 * marks for terminals; the format's own syntax for the others.
 *
 * Context: analyzer.
 * Threads: one at a time. Output errors stay in the FILE: callers check ferror().
 */
#ifndef MEMTRACK_RENDER_RENDER_H
#define MEMTRACK_RENDER_RENDER_H

#include "report/document.h"
#include "report/tree.h"

#include <stdio.h>

struct render_options {
    size_t width;   /* columns of the terminal; 0: 100 */
    bool has_color; /* ANSI colours */
    bool has_utf8;  /* else ASCII only */
    bool is_wide;   /* never cut names */
};

void render_text(FILE *out, const struct report_document *document,
                 const struct render_options *options);
/* At most 65 000 characters: stacks, then rows, are left out of what is longer, and that is said. */
void render_markdown(FILE *out, const struct report_document *document);
/* The document's data table; if it has none, every table after a line with its section. */
void render_csv(FILE *out, const struct report_document *document);

/* A tree that writes JSON to `out`; one value per line of arrays, indented. */
struct render_json {
    struct report_tree tree;
    FILE *out;
    char *is_array; /* by depth */
    size_t depth;
    size_t capacity;
    bool is_first; /* no value yet at this depth */
    size_t used;   /* bytes in buffer */
    char buffer[65536];
};
void render_json_init(struct render_json *json, FILE *out);
/* Ends the output with a newline, writes what is buffered and releases what the writer held. */
void render_json_finish(struct render_json *json);

/* Writes text with everything a terminal could obey made visible (\x1b) and cut in the
 * middle to at most `columns` (0: never). Returns the columns written. */
size_t render_safe_text(FILE *out, const char *text, size_t columns, bool has_utf8);

#endif
