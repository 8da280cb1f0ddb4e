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
/* DHAT's JSON: allocated, at the peak, at the end; lifetimes are estimates. */
void render_dhat(FILE *out, const struct profile *profile, enum profile_metric metric);
/* Costs of functions and lines, and of calls; one event for each metric. */
void render_callgrind(FILE *out, const struct profile *profile, enum profile_metric metric);
/* jemalloc's heap_v2 with its symbols inside, for jeprof. */
void render_jeprof(FILE *out, const struct profile *profile, enum profile_metric metric);
/* heaptrack's log of events, made up so that all counts are those of the profile. Returns how
 * many blocks were left out or merged with others to keep it short: bytes stay exact. */
int64_t render_heaptrack(FILE *out, const struct profile *profile);
/* The timeline as counters, for chrome://tracing and Perfetto. */
void render_chrome(FILE *out, const struct profile *profile, enum profile_metric metric);
/* The timeline, with who held the memory at the peak and at the end: trees of the metrics
 * peak and live, reversed. */
void render_massif(FILE *out, const struct flame_tree *peak, const struct flame_tree *live);
/* "outermost;...;innermost VALUE", a line for each stack. */
void render_collapsed(FILE *out, const struct flame_tree *tree);

#endif
