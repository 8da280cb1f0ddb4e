#include "core/thread_start.h"

#include "core/thread.h"

static struct thread_start take(struct thread_start *start)
{
    struct thread_start copy = *start;
    copy.release(start);
    struct thread *thread = thread_enter();
    if (thread != NULL) {
        thread_leave(thread);
    }
    return copy;
}

void *thread_start_run(void *start)
{
    struct thread_start copy = take(start);
    return copy.routine(copy.argument);
}

int thread_start_run_c11(void *start)
{
    struct thread_start copy = take(start);
    return copy.c11_routine(copy.argument);
}
