/*
 * render/export.h - profiles in the formats of the viewers that people have.
 *
 * All take a profile and the metric that is shown first (formats that carry several carry
 * all). Names from programs are made harmless for each format here.
 *
 * Context: analyzer.
 * Threads: one at a time. Output errors stay in the FILE: callers check ferror().
 */
#ifndef MEMTRACK_RENDER_EXPORT_H
#define MEMTRACK_RENDER_EXPORT_H

#include "report/flame_tree.h"
#include "report/profile.h"

#include <stdio.h>

/* gzip'ed protobuf; alloc_objects, alloc_space, inuse_objects, inuse_space, cpu, and after
 * these peak_space, temporary_objects, leaked_space: those that the profile has. */
void render_pprof(FILE *out, const struct profile *profile, enum profile_metric metric);
/* One profile for each metric; CPU time for each thread too. */
void render_speedscope(FILE *out, const struct profile *profile, enum profile_metric metric);
/* "outermost;...;innermost VALUE", a line for each stack. */
void render_collapsed(FILE *out, const struct flame_tree *tree);

#endif
