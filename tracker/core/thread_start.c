#include "core/thread_start.h"

#include "core/cpu_mark.h"
#include "core/thread.h"

/* Apart and never inlined: its frame holds the mark. */
static void __attribute__((noinline)) enter(void)
{
    CPU_MARK_ENTER();
    struct thread *thread = thread_enter();
    cpu_mark.frame = 0;
    if (thread != NULL) {
        thread_leave(thread);
    }
}

void *thread_start_run(void *start)
{
    struct thread_start copy = *(struct thread_start *)start;
    copy.release(start);
    enter();
    return copy.routine(copy.argument);
}
