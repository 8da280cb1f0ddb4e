/*
 * census/maps_request.h - asks the recorder for /proc/PID/maps of this process, where the
 * program has locked itself out of /proc: chroot, no descriptors left, another user.
 *
 * Context: inside the tracked program, async-signal-safe; in the child of a census too.
 * Memory:  an extent of the arena, as large as the text. Threads: any.
 */
#ifndef MEMTRACK_CENSUS_MAPS_REQUEST_H
#define MEMTRACK_CENSUS_MAPS_REQUEST_H

#include "arena/arena.h"
#include "census/memory_map.h"

/* Fills in *map as memory_map_read() does. Returns 0, -EBUSY, -ETIMEDOUT when nobody answers
 * within two seconds, or -ENOENT when the recorder cannot read it either. */
int maps_request(const struct arena *arena, struct memory_map *map);

#endif
