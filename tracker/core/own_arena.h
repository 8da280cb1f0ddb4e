/*
 * core/own_arena.h - an arena that the program makes itself, where no recorder does: a file
 * in the folder that MEMTRACK_OUTPUT names, which outlives the program whatever ends it.
 *
 *   MEMTRACK_OUTPUT=/dir          /dir/memtrack.<program>.<pid>.arena
 *   MEMTRACK_SAMPLE=BYTES         one allocation per BYTES, as --sample; a plain number
 *   MEMTRACK_CPU=HZ               CPU samples a second, as --cpu; 0: none; default 99
 *   MEMTRACK_LEAKS=full|counts|off    the leak scan at the end, as --leaks; default full
 *
 * A disk that is full must not end the program by SIGBUS: each extent is given its memory
 * when it is handed out (MADV_POPULATE_WRITE), and counts as full where that fails. Kernels
 * before 5.14 cannot do that; there a full disk is a risk.
 *
 * Nobody ticks the clock from outside, so events do: each looks at the processor's
 * time-stamp counter, and now and then at the clock.
 *
 * Context: inside the tracked program, async-signal-safe.
 * Memory:  the file's, mapped once.
 * Threads: any may tick at once; the clock may step back by one tick then, which readers
 *          of births allow for.
 */
#ifndef MEMTRACK_CORE_OWN_ARENA_H
#define MEMTRACK_CORE_OWN_ARENA_H

#include <stdbool.h>

#include "arena/arena.h"

/* Makes and maps the file if MEMTRACK_OUTPUT asks for it. */
bool own_arena_open(struct arena *arena);

/* Advances the clock if a tick has passed. */
void own_arena_tick(void);

#endif
