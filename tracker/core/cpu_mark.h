/*
 * core/cpu_mark.h - "this thread is inside the allocator now", for CPU samples.
 *
 * A hook marks itself before it calls the real function and does its own work, and
 * takes the mark off when it is done. A sample in between is not unwound: it is only
 * counted, and charged to the block's site when the hook is about to return and knows it.
 * So malloc's own CPU time is known for each site, and a handler never meets our code or
 * the allocator's half-way.
 *
 * The mark is the address of the hook's frame. A hook that was left by longjmp or by an
 * exception leaves its mark behind, but then the stack pointer is above that frame:
 * such a mark counts for nothing, and the next hook replaces it.
 *
 * Context: inside the tracked program, async-signal-safe; two plain stores and a load an event.
 * Threads: thread-local; `pending` is also written by the thread's own signal handler.
 */
#ifndef MEMTRACK_CORE_CPU_MARK_H
#define MEMTRACK_CORE_CPU_MARK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/capture.h"

struct thread;

struct cpu_mark {
    volatile uintptr_t frame; /* 0: outside of the allocator */
    _Atomic uint32_t pending; /* samples taken inside, not charged to a site yet */
    _Atomic uint32_t pending_system;

    /* Of this thread's timer (cpu_timer.c): when it first fires, counted in the thread's
     * CPU time, and how often it has fired. */
    uint64_t first_ns;
    uint64_t taken;
};
extern _Thread_local struct cpu_mark cpu_mark __attribute__((tls_model("initial-exec")));

/* An allocator does not go deeper below its hook's frame. */
#define CPU_MARK_DEPTH_MAX_BYTES ((uintptr_t)1 << 20)

/* In a function with a frame pointer. */
#define CPU_MARK_ENTER()                                           \
    do {                                                           \
        cpu_mark.frame = (uintptr_t)__builtin_frame_address(0);    \
    } while (0)

/* Charges what is pending to `stack`, or if that is 0 to the stack of `origin`. */
void cpu_mark_settle(struct thread *thread, uint32_t stack, const struct capture_origin *origin);

/* The end of a hook: `stack` is the block's site, 0 if not known. thread may be NULL. */
static inline void cpu_mark_leave(struct thread *thread, uint32_t stack,
                                  const struct capture_origin *origin)
{
    cpu_mark.frame = 0;
    /* After the mark went off: a later sample is the program's. */
    if (__builtin_expect(atomic_load_explicit(&cpu_mark.pending, memory_order_relaxed) != 0, 0)) {
        cpu_mark_settle(thread, stack, origin);
    }
}

/* The same where the origin is not at hand: in the function that entered, `thread` not NULL. */
#define CPU_MARK_LEAVE(thread, stack)                                                         \
    do {                                                                                      \
        cpu_mark.frame = 0;                                                                   \
        if (__builtin_expect(                                                                 \
                atomic_load_explicit(&cpu_mark.pending, memory_order_relaxed) != 0, 0)) {     \
            struct capture_origin cpu_mark_origin;                                            \
            CAPTURE_ORIGIN_HERE(cpu_mark_origin);                                             \
            cpu_mark_settle((thread), (stack), &cpu_mark_origin);                             \
        }                                                                                     \
    } while (0)

static inline bool cpu_mark_covers(uintptr_t stack_pointer)
{
    uintptr_t frame = cpu_mark.frame;
    return frame != 0 && frame - stack_pointer < CPU_MARK_DEPTH_MAX_BYTES;
}

#endif
