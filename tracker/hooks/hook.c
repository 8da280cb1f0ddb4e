#include "hooks/hook.h"

void hook_allocated_unusual(struct thread *thread, void *block, size_t size_bytes,
                            struct capture_origin *origin)
{
    if (thread == NULL) {
        cpu_mark_leave(NULL, 0, origin);
        return;
    }
    if ((thread->gate & THREAD_OUTER) != 0) {
        uint32_t family = hook_settle_origin(thread, origin, ARENA_FAMILY_MALLOC);
        if (block != NULL) {
            thread->outer.recorded = family == ARENA_FAMILY_MALLOC ? 0 : (uintptr_t)block;
            track_allocation(thread, block, size_bytes, family, origin);
        }
    } else if (block != NULL) {
        track_allocation(thread, block, size_bytes, ARENA_FAMILY_MALLOC, origin);
    }
    cpu_mark_leave(thread, 0, origin);
    thread_leave(thread);
}
