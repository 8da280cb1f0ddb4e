/*
 * census/thread_names.h - what the process's threads are called now, for reports of what they
 * hold. A thread's name is set by whoever likes, at any time, so it is asked for here.
 *
 * Context: inside the tracked program, async-signal-safe; in the child of a census as well.
 * Memory:  the names, in the arena. Threads: one.
 */
#ifndef MEMTRACK_CENSUS_THREAD_NAMES_H
#define MEMTRACK_CENSUS_THREAD_NAMES_H

#include "arena/arena.h"

/* Notes the names of threads that run, but for those that the program named for us. */
void thread_names_note(const struct arena *arena);

#endif
