/*
 * census/exit_frame.h - where the program's own part of the stack begins while it exits.
 *
 * Between the program's last frame and the census at exit lie frames of exit() and of the
 * loader. They hold nothing of the program's, but uninitialized slots in them show what lay there
 * before: dead frames of main(), or the registers that the kernel saved for a signal. Such
 * words would hold blocks that nobody holds, so the scan begins where these frames end,
 * with the registers that they saved.
 *
 * Context: inside the tracked program, async-signal-safe. Memory: about 2 KiB of stack.
 */
#ifndef MEMTRACK_CENSUS_EXIT_FRAME_H
#define MEMTRACK_CENSUS_EXIT_FRAME_H

#include "census/parking.h"
#include "core/capture.h"

/* Sets pc, sp, bp and registers of *self to those of the innermost frame from `origin` on that is
 * neither in the library of `libc_function` nor in the loader. Where such a frame cannot be
 * reached: those of the outermost frame that can, at worst of `origin` itself. */
void exit_frame_find(const struct capture_origin *origin, uintptr_t libc_function,
                     struct parked_thread *self);

#endif
