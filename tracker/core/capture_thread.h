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

/* Threads that allocate a few times do not pay for memo pages. */
#define MEMO_FIRST_CAPTURE 128u
#define MEMO_LOG2 8u
#define MEMO_ENTRIES (1u << MEMO_LOG2)
#define MEMO_WAYS 4u
#define MEMO_WORDS 46u
#define MEMO_PAUSE_CAPTURES 65536u
#define MEMO_MISSES_MAX 512u

/* A whole stack: what must be unchanged, innermost first, for it to be stack `id`. */
struct memo_entry {
    uintptr_t pc; /* 0: empty. Stored last */
    uintptr_t cfa;
    uintptr_t bp;
    uint32_t id;
    uint16_t word_count;
    uint16_t needs_rbp;
    struct kept_word words[MEMO_WORDS];
};
_Static_assert(sizeof(struct memo_entry) == 768, "twelve lines");

/*
 * Zeroed memory is the valid initial state: generation 0 is never current.
 *
 * busy_cfa is the guard: the CFA of the hook whose capture is going on, 0 when none is.
 * A capture that finds it set was either called by a signal handler that interrupted
 * the other one, which it proves by walking through that hook's frame, or the other one
 * was left by longjmp and will never end.
 */
struct capture_thread {
    volatile uintptr_t busy_cfa;
    volatile uintptr_t busy_pc;
    /* Counts captures, and resets: a capture that finds another number than its own was
     * clobbered (its handler switched to another coroutine, which captured). */
    volatile uint32_t sequence;
    uint32_t generation;
    uint32_t walks;     /* captures that the memo did not answer */
    uint32_t memo_from; /* the sequence number from which the memo is on */
    uint32_t memo_misses;
    uint32_t memo_window; /* sequence number when the counting of misses began */
    struct memo_entry *memo;
    struct capture_frame *interned; /* scratch for a new stack */
    struct kept_stack stack;
    struct unwind_pages pages;
};

#endif
