#include "core/thread_start.h"

#include "core/thread.h"

void *thread_start_run(void *start)
{
    struct thread_start copy = *(struct thread_start *)start;
    copy.release(start);
    struct thread *thread = thread_enter();
    if (thread != NULL) {
        thread_leave(thread);
    }
    return copy.routine(copy.argument);
}
