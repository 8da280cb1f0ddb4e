/*
 * core/capture_thread.h - what a thread keeps between captures. Private to capture.c and
 * its tests.
 *
 * Context: async-signal-safe. Memory: the owner's, see capture_thread_bytes().
 * Threads: belongs to one thread; its signal handlers look at the guard only.
 */
#ifndef MEMTRACK_CORE_CAPTURE_THREAD_H
#define MEMTRACK_CORE_CAPTURE_THREAD_H

#include "core/capture.h"
#include "core/kept_stack.h"
#include "core/stack_memo.h"

/*
 * Zeroed memory is the valid initial state: generation 0 is never current.
 *
 * busy_cfa is the guard: the CFA of the hook whose capture is going on, 0 when none is.
 * A capture that finds it set was either called by a signal handler that interrupted
 * the other one, which it proves by walking through that hook's frame, or the other one
 * was left by longjmp and will never end.
 */
struct capture_thread {
    volatile uintptr_t busy_pc;
    volatile uintptr_t busy_cfa;
    /* Counts captures, and resets: a capture that finds another number than its own was
     * clobbered (its handler switched to another coroutine, which captured). */
    volatile uint32_t sequence;
    uint32_t generation;
    uint32_t walks; /* captures that the memo did not answer */
    struct stack_memo memo;
    struct capture_frame *interned; /* scratch for a new stack */
    struct kept_stack stack;
    struct unwind_pages pages;
};

#endif
