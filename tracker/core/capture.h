/*
 * core/capture.h - from "who called this hook" to a stack id.
 *
 * A hook passes the state of its caller; capture walks (or, mostly, proves
 * unchanged) the stack above it and returns the id of the whole backtrace in the
 * image's stack table.
 *
 * Context: async-signal-safe, inside the tracked program: no libc, no lock, no
 *          syscall except to grow (mmap) and on first use.
 * Threads: a capture_thread belongs to one thread.
 */
#ifndef MEMTRACK_CORE_CAPTURE_H
#define MEMTRACK_CORE_CAPTURE_H

#include "arena/arena.h"

#define CAPTURE_DEPTH_LIMIT 1024u /* the most that --depth may ask for */

/* The state of the function that called the hook, at the call. */
struct capture_origin {
    uintptr_t pc;  /* return address into the caller */
    uintptr_t cfa; /* the hook's CFA = the caller's rsp after the hook returned */
    uintptr_t rbp; /* the caller's rbp */
};

/* Fills in the origin for the function that this is expanded in. That function must
 * be compiled with -fno-omit-frame-pointer and must be the exported hook itself. */
#define CAPTURE_ORIGIN_HERE(origin)                                                                \
    do {                                                                                           \
        const uintptr_t *capture_frame = (const uintptr_t *)__builtin_frame_address(0);            \
        (origin).rbp = capture_frame[0];                                                           \
        (origin).pc = capture_frame[1];                                                            \
        (origin).cfa = (uintptr_t)(capture_frame + 2);                                             \
    } while (0)

/* A frame of a capture: what the stack table interns. `hash` is cumulative over this
 * frame and all outer ones, never 0. */
struct capture_frame {
    uintptr_t pc;
    uint64_t hash;
    uint32_t node; /* in the stack table, which fills it in for new stacks */
};

struct capture_thread;

/* Size of the state that the owner (the thread's record) must provide: zeroed,
 * page-aligned memory that is mapped lazily. Depends on the configured depth: call after
 * capture_start. */
size_t capture_thread_bytes(void);

/* Calls visit for memory of a thread beside that, if it has any. */
void capture_thread_visit_own(const struct capture_thread *thread,
                              void (*visit)(void *context, uintptr_t start, size_t bytes),
                              void *context);

/* Once per process image, before any capture; `image` is where stacks are interned.
 * After a fork the child keeps everything. Returns 0 or a negative errno. */
int capture_start(const struct arena *arena, struct arena_image *image,
                  struct arena_process *process);

/* The arena ends here from now on: what is in use lies below. */
void capture_limit_arena(uint64_t mapped_bytes);

/* Modules may have been unloaded or replaced: call after each dlclose that succeeded.
 * Rules and kept stacks are forgotten. Any thread; takes the loader's lock, so not from a
 * signal handler or an allocation hook. */
void capture_modules_changed(void);

/* After a fork: counters of approximations go to the child's own record from now on. */
void capture_forked(struct arena_process *process);

/*
 * Returns the id of the stack whose innermost frame is origin->pc; 0 where the stack
 * table is full. In a signal handler that interrupted another capture of the same thread
 * the walk is a stateless one (slower, and as exact). errno is preserved.
 *
 * Frames are return addresses. The frame that a signal interrupted is given by the
 * address of its instruction plus 1, so that pc - 1 is always inside the instruction
 * that is being executed.
 */
uint32_t capture_stack(struct capture_thread *thread, const struct capture_origin *origin);

/*
 * The same for a CPU sample: the stack of the interrupted code. `ucontext` is the
 * handler's third argument. Async-signal-safe: uses the stateless walk only; the
 * thread's state is not touched and may be NULL.
 */
uint32_t capture_stack_in_handler(struct capture_thread *thread, const void *ucontext);

/* Registers the module that `address` lies in, if any, as if a frame were there. */
void capture_note_module(uintptr_t address);

#endif
