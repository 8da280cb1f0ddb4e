/*
 * symbolize/source_cache.h - lines of source files, for the reports that show them.
 *
 * Context: analyzer, recorder.
 * Memory:  the last few files asked for stay mapped with an index of their lines.
 * Threads: any; one lock inside.
 */
#ifndef MEMTRACK_SYMBOLIZE_SOURCE_CACHE_H
#define MEMTRACK_SYMBOLIZE_SOURCE_CACHE_H

#include "symbolize/symbolizer.h"

struct source_cache;

/* Copies the roots. Returns 0 or -ENOMEM. */
int source_cache_new(struct source_cache **cache, const struct symbolizer_source_root *roots,
                     size_t root_count);
void source_cache_free(struct source_cache *cache);

#define SOURCE_CACHE_LINE_MAX_BYTES 512u

/* Copies line `line` (from 1) of `file` to text, without its end of line and cut to the
 * bound. Returns its length, or -1 if there is no such line here. */
int source_cache_line(struct source_cache *cache, const char *file, uint32_t line,
                      char text[SOURCE_CACHE_LINE_MAX_BYTES + 1]);

#endif
