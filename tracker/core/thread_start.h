/*
 * core/thread_start.h - a thread's first steps, before its own function.
 *
 * Context: inside the tracked program. A new thread runs it. Its frame is gone when the
 *          program's function runs (a sibling call), so that no backtrace shows it.
 */
#ifndef MEMTRACK_CORE_THREAD_START_H
#define MEMTRACK_CORE_THREAD_START_H

/* Made by the creator in memory of the real allocator, released by the new thread. */
struct thread_start {
    void *(*routine)(void *);
    int (*c11_routine)(void *); /* thrd_create's, instead */
    void *argument;
    void (*release)(void *);
};

/* Takes the thread's record, starts its timer, goes on with start->routine. */
void *thread_start_run(void *start);
int thread_start_run_c11(void *start);

#endif
