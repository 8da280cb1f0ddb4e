/*
 * recorder/executable.h - finds a program as a shell would, and says beforehand whether
 * the shim can be loaded into it.
 *
 * The loader (ld-linux) loads the shim. A program that has no loader, or whose loader
 * ignores LD_PRELOAD, would run untracked without a word: such programs are refused.
 *
 * Context: recorder. Memory: the caller's. Threads: any.
 */
#ifndef MEMTRACK_RECORDER_EXECUTABLE_H
#define MEMTRACK_RECORDER_EXECUTABLE_H

#include <limits.h>

#include "foundation/error.h"

struct executable {
    char path[PATH_MAX]; /* what execve gets: may be relative */
};

/*
 * Looks `name` up: as it is when it holds a slash, else in `search_path` (the value of
 * PATH; NULL: the system's default). Returns 0 and fills in *found, or -1 and *error with
 * status 127 (not found) or 126 (found, but not executable).
 */
int executable_find(const char *name, const char *search_path, struct executable *found,
                    struct mt_error *error);

/*
 * Says whether the program at `path` can be tracked: a dynamic x86-64 program of glibc
 * that gains no privileges, or a script whose interpreters, followed up to the kernel's
 * limit, end in one. What cannot be read (mode 0711) is let through.
 * Returns 0, or -1 and *error.
 */
int executable_check(const char *path, struct mt_error *error);

/* True when execve's ENOEXEC for this file means "a script without #!", which shells
 * run with /bin/sh: no NUL byte in its first line. */
int executable_is_plain_script(const char *path);

#endif
