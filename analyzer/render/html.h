/*
 * render/html.h - a tree as one HTML file: the page with the tree's JSON inside, gzipped and
 * in base64, so that nothing in it can be taken for markup and it stays small.
 *
 * The page's sources are in analyzer/page/; the build bundles them into one file that this
 * program carries. Built without node, it carries none.
 *
 * Context: analyzer. Threads: one at a time.
 */
#ifndef MEMTRACK_RENDER_HTML_H
#define MEMTRACK_RENDER_HTML_H

#include "render/render.h"

#include <zlib.h>

/* Whether this program carries the page. */
bool render_html_exists(void);

/* Characters per line of data, so that editors can open the file; a multiple of 4. */
#define RENDER_HTML_LINE 4096u

struct render_html {
    struct render_json json; /* the tree to write to is json.tree */
    FILE *out;
    FILE *sink; /* where JSON goes in */
    z_stream deflate;
    bool is_broken; /* no memory for zlib */
    unsigned char rest[3]; /* bytes that wait for a group of three */
    size_t rest_count;
    size_t used; /* characters in line */
    char line[RENDER_HTML_LINE + 1];
};

/* Writes the page's beginning. Returns 0 or a negative errno. Output errors stay in `out`. */
int render_html_init(struct render_html *html, FILE *out);
/* Writes the rest. Returns 0 or a negative errno. */
int render_html_finish(struct render_html *html);

#endif
