/*
 * core/thread.h - what one thread of the tracked program needs for an event.
 *
 * A thread's record and its table in the arena are taken at its first event and handed
 * on when it ends, so that their number is that of concurrent threads.
 *
 * Context: inside the tracked program, async-signal-safe.
 * Memory:  one lazily backed mapping a record; never unmapped.
 * Threads: a record belongs to one thread; the list of free ones is lock-free.
 */
#ifndef MEMTRACK_CORE_THREAD_H
#define MEMTRACK_CORE_THREAD_H

#include "core/capture.h"
#include "core/process.h"

/*
 * What stands in a thread's gate. An event of a thread whose gate is THREAD_REGULAR alone
 * takes the shortest way: one comparison for all that could be out of the ordinary.
 */
#define THREAD_REGULAR 1u    /* set in every record in use */
#define THREAD_PAUSED 2u     /* memtrack_pause() */
#define THREAD_SAMPLED 4u    /* the run samples */
#define THREAD_TRANSIENT 8u  /* give the record back after this event */
#define THREAD_OUTER 16u     /* `outer` is open */
#define THREAD_RELEASING 32u /* `releasing` is set */

/* An allocation entry point that is implemented by calling another one (operator new ->
 * malloc): the inner hook records with the outer's origin and family. Valid while
 * THREAD_OUTER is set. */
struct thread_outer {
    struct capture_origin origin;
    uint32_t family;
    uintptr_t recorded; /* the block that the inner hook recorded on the outer's behalf */
};

struct thread {
    /* Hot: one cache line. */
    uint32_t gate; /* THREAD_REGULAR and others */
    uint32_t pauses; /* nesting of memtrack_pause() */
    struct capture_thread *capture;
    struct arena_process *process; /* as in process_hot, which a fork wipes at once: a handler
                                    * that forks in the middle of an event does no harm */
    uintptr_t last_allocated;      /* 0 once the thread has released it */
    int64_t unpublished_bytes;
    int64_t unpublished_blocks;
    int64_t batch_bytes; /* publish when |unpublished_bytes| exceeds it */

    int64_t sample_countdown;
    uint64_t sample_random;
    uintptr_t releasing; /* operator delete has recorded the release of this block */
    struct thread_outer outer;
    uint32_t is_named; /* by memtrack_name_thread() */
    struct arena_thread *table;
    struct thread *next_free;
    uint32_t index;
    uint32_t tid;
    int32_t cpu_timer; /* the kernel's id + 1; 0: none */

    /* Chunks of `table` as pointers; NULL until first used. */
    struct arena_site *sites[ARENA_SITE_CHUNKS];
    struct arena_lifetimes *lifetimes[ARENA_SITE_CHUNKS];
};

/* The calling thread's record; NULL before its first event and after its end. */
extern _Thread_local struct thread *thread_self __attribute__((tls_model("initial-exec")));

/* Threads that hold a record now. */
extern _Atomic uint32_t thread_running_count;

/* The slow ways in: start-up, fork, a thread's first event, events after its end. */
struct thread *thread_enter_slow(void);
void thread_leave_slow(struct thread *thread);

/* Whether the record may be used as it is, for an event without further questions. */
static inline bool thread_is_regular(const struct thread *thread)
{
    _Static_assert(THREAD_REGULAR == 1, "what is_tracking is");
    return __builtin_expect(thread != NULL && thread->gate == process_hot.is_tracking, 1);
}

/* Returns the thread's record, or NULL when this event is not to be recorded. */
static inline struct thread *thread_enter(void)
{
    struct thread *thread = thread_self;
    if (__builtin_expect(thread == NULL || process_hot.is_tracking == 0, 0)) {
        return thread_enter_slow();
    }
    return thread;
}

static inline void thread_leave(struct thread *thread)
{
    if (__builtin_expect((thread->gate & THREAD_TRANSIENT) != 0, 0)) {
        thread_leave_slow(thread);
    }
}

/* Once, before a thread can end: makes the key whose destructor hands records on. */
void thread_start_tracking_ends(void);

/* In a forked child: only this thread is left; all records but its own become free, and
 * its own gets a new table. */
void thread_forked(void);

/* Calls visit for every record, whoever has it or nobody. */
void thread_each(void (*visit)(struct thread *thread));

/* Calls visit for each mapping that holds thread records, or what they refer to. */
void thread_visit_own(void (*visit)(void *context, uintptr_t start, size_t bytes), void *context);

/* The slow part of thread_site(). NULL when the arena is full. */
struct arena_site *thread_site_new(struct thread *thread, uint32_t stack);

/* Counters of a stack in this thread; NULL when the arena is full. */
static inline struct arena_site *thread_site(struct thread *thread, uint32_t stack)
{
    struct arena_site *chunk = thread->sites[stack / ARENA_SITES_PER_CHUNK];
    if (__builtin_expect(chunk == NULL, 0)) {
        return thread_site_new(thread, stack);
    }
    return &chunk[stack % ARENA_SITES_PER_CHUNK];
}

/* Lifetimes of a stack in this thread; NULL when the arena is full. */
struct arena_lifetimes *thread_lifetimes(struct thread *thread, uint32_t stack);

/* Makes an arena table of this process and links it in; NULL when the arena is full. */
struct arena_thread *thread_table_new(struct arena_process *process);

#endif
