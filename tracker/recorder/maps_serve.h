/*
 * recorder/maps_serve.h - reads /proc/PID/maps for a process that cannot.
 *
 * Context: recorder. Memory: an extent of the arena for each answer. Threads: one.
 */
#ifndef MEMTRACK_RECORDER_MAPS_SERVE_H
#define MEMTRACK_RECORDER_MAPS_SERVE_H

#include "recorder/arena_file.h"
#include "recorder/tracked.h"

/* Answers an ARENA_REQUEST_MAPS of the process: with no text where that cannot be read. */
void maps_serve(const struct arena_file *file, const struct tracked *tracked,
                struct arena_request *request);

#endif
