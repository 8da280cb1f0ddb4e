/*
 * hooks/hook.h - what every hook has in common.
 *
 * A hook is one of the program's names: it calls the real function and tells core what
 * happened. It is compiled with a frame pointer, because its own frame is where the
 * capture begins.
 */
#ifndef MEMTRACK_HOOKS_HOOK_H
#define MEMTRACK_HOOKS_HOOK_H

#include "core/track.h"
#include "hooks/real.h"

#define HOOK_EXPORT __attribute__((visibility("default")))

/* An inner call lies this near below its outer hook's frame (operator new[] -> operator
 * new -> malloc: three small frames of libstdc++ and three of ours). */
#define HOOK_OUTER_DISTANCE_MAX 2048u

/* Where an allocation counts as made, and as what: here, or in the hook around this one. */
static inline uint32_t hook_settle_origin(struct thread *thread, struct capture_origin *origin,
                                          uint32_t family)
{
    if (__builtin_expect(thread->outer.is_open, 0)) {
        thread->outer.is_open = 0;
        if (thread->outer.origin.cfa - origin->cfa < HOOK_OUTER_DISTANCE_MAX) {
            *origin = thread->outer.origin;
            return thread->outer.family;
        }
    }
    return family;
}

/* Records what a malloc-like function returned. `origin` is the hook's caller. */
static inline void hook_allocated(struct thread *thread, void *block, size_t size_bytes,
                                  struct capture_origin *origin)
{
    if (__builtin_expect(thread->outer.is_open, 0)) {
        uint32_t family = hook_settle_origin(thread, origin, ARENA_FAMILY_MALLOC);
        if (block != NULL) {
            thread->outer.recorded = family == ARENA_FAMILY_MALLOC ? 0 : (uintptr_t)block;
            track_allocation(thread, block, size_bytes, family, origin);
        }
    } else if (block != NULL) {
        track_allocation(thread, block, size_bytes, ARENA_FAMILY_MALLOC, origin);
    }
    thread_leave(thread);
}

#endif
