/*
 * render/flame.h - a flame graph as one SVG file, its script inside: zoom, search, keys.
 *
 * Nothing is loaded from elsewhere, and no name of the program gets into the script: names
 * are text of the document alone.
 *
 * Context: analyzer.
 * Threads: one at a time. Output errors stay in the FILE: callers check ferror().
 */
#ifndef MEMTRACK_RENDER_FLAME_H
#define MEMTRACK_RENDER_FLAME_H

#include "report/flame_tree.h"

#include <stdio.h>

struct flame_options {
    const char *title;
    const char *subtitle;
    bool is_icicle;     /* the root on top */
    double min_percent; /* frames narrower than this part of the root are left out */
};

/* A differential one if the tree has a baseline: red grew, blue shrank. */
void render_flame(FILE *out, const struct flame_tree *tree, const struct flame_options *options);

#endif
