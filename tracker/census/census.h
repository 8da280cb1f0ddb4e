/*
 * census/census.h - a walk through the heap of this process: which of its blocks are
 * still held, by whom, and which are lost.
 *
 *   park the other threads -> fork without atfork handlers -> let them go
 *   child: /proc/self/maps, live map -> roots -> marking -> results into the arena
 *
 * The child works on its copy-on-write image, so that whatever goes wrong in it (it reads
 * memory that it knows little of) never touches the program. At the program's end the
 * parent waits for it; in mid-run it goes on.
 *
 * Context: inside the tracked program, async-signal-safe: no libc, no lock of libc, no
 *          allocation; errno is preserved.
 * Memory:  the child's own: 20 bytes a live block, 64 KiB for each 64 MiB of heap, 136 bytes
 *          for each site, 6 MiB for who holds what. The parent's: 256 KiB, released.
 * Threads: any may call; one census at a time.
 */
#ifndef MEMTRACK_CENSUS_CENSUS_H
#define MEMTRACK_CENSUS_CENSUS_H

#include <stdbool.h>

#include "core/capture.h"

/* Once, after process_start(): makes the process answer requests from outside. */
void census_open(void);

/* After the first pthread_create, which may have replaced our signal handler. */
void census_reopen(void);

/* libc_function and allocator_function: addresses of any function of theirs. */
void census_set_allocator(uintptr_t libc_function, uintptr_t allocator_function);

/* The allocator's thread-local data, [thread pointer - below, + size) in each thread, are no
 * roots: jemalloc keeps the start of the GiB there that it looked up last, which may lie
 * in the middle of a block. Not for the C library, whose data there are the program's too. */
void census_set_allocator_local(uintptr_t below_thread_pointer_bytes, size_t size_bytes);

/* The program is about to end; origin: the caller of the function that ends it.
 * is_underscore_exit: by _exit, where a census is only made when asked for. */
void census_at_exit(const struct capture_origin *origin, bool is_underscore_exit);

/* Whether this process can make any. */
bool census_is_possible(void);

/* A census now, that counts blocks born at since_tick or later (0: all). Returns its number,
 * 0 where none could be begun: another one is under way. The calling thread goes on while
 * the child scans; arena_process.census_finished tells when it is done. */
uint32_t census_now(const struct capture_origin *origin, uint32_t since_tick);

/* From now on system calls may kill the program: no census any more. */
void census_forbid(const char *why);

#endif
