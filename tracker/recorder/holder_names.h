/*
 * recorder/holder_names.h - what people call a place that holds a pointer: "g_sessions
 * (server)", "the stack of thread 17 'worker'", "a register of thread 17 'worker'".
 *
 * Context: recorder. Memory: the symbol tables of modules that were asked for, released
 * by holder_names_free(). Threads: one.
 */
#ifndef MEMTRACK_RECORDER_HOLDER_NAMES_H
#define MEMTRACK_RECORDER_HOLDER_NAMES_H

#include "recorder/image_writer.h"

struct holder_names;

/* Borrows file, image and process (whose threads have names). NULL: no memory. */
struct holder_names *holder_names_new(const struct arena_file *file,
                                      const struct image_writer *image,
                                      const struct arena_process *process);
void holder_names_free(struct holder_names *names);

/* Describes a holder other than a site. */
void holder_names_describe(struct holder_names *names, const struct arena_census_edge *edge,
                           char *text, size_t text_bytes);

/* Returns the id of a stack frame's return address in the recording, 0 for other holders and
 * where it is not known, or a negative error. */
int64_t holder_names_address(struct holder_names *names, const struct arena_census_edge *edge,
                             struct recording_writer *recording);

#endif
