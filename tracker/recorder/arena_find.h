/*
 * recorder/arena_find.h - the arena of a process that is tracked already, from outside.
 *
 * A tracked process has its arena mapped: /proc/PID/maps names it. An arena in a folder
 * (MEMTRACK_OUTPUT) is opened by its path; the recorder's memfd through the descriptor table
 * of whoever holds it, found by device and inode. Nothing is asked of the process, nothing
 * stops it.
 *
 * Context: recorder, commands. Memory: the mapping is the arena_file's.
 */
#ifndef MEMTRACK_RECORDER_ARENA_FIND_H
#define MEMTRACK_RECORDER_ARENA_FIND_H

#include <stdbool.h>
#include <sys/types.h>

#include "recorder/arena_file.h"

/* Maps an arena for reading. Takes `fd`, also when it fails. Returns 0, or a negative errno
 * and *error, where `name` is what it is called. */
int arena_find_map(int fd, const char *name, struct arena_file *file, struct mt_error *error);

/* Whether a file begins as an arena does. */
bool arena_find_is_arena(const char *path);

/* Opens and maps an arena that is a file. */
int arena_find_open(const char *path, struct arena_file *file, struct mt_error *error);

/* Opens and maps the arena of process `pid`. Errors: -ESRCH (no such process), -ENOENT (not
 * tracked), -EACCES (somebody else's). */
int arena_find_process(pid_t pid, struct arena_file *file, struct mt_error *error);

/* Index in the arena of the latest process with this pid, or -1. */
int64_t arena_find_index(const struct arena_file *file, pid_t pid);

/* Calls visit for each process of this user that has an arena mapped, recorders not
 * counted. Returns what visit returned when that was not 0. */
int arena_find_each(int (*visit)(void *context, pid_t pid, const struct arena_file *file,
                                 uint32_t index),
                    void *context);

#endif
