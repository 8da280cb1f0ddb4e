/*
 * hooks/hook.h - what every hook has in common.
 *
 * A hook is one of the program's names: it calls the real function and tells core what
 * happened. It is compiled with a frame pointer, because its own frame is where the
 * capture begins.
 */
#ifndef MEMTRACK_HOOKS_HOOK_H
#define MEMTRACK_HOOKS_HOOK_H

#include "core/cpu_mark.h"
#include "core/track.h"
#include "hooks/real.h"

#define HOOK_EXPORT __attribute__((visibility("default")))

/* An inner call lies this near below its outer hook's frame (operator new[] -> operator
 * new -> malloc: three small frames of libstdc++ and three of ours). */
#define HOOK_OUTER_DISTANCE_MAX 2048u

/* 0: the usual state; THREAD_SAMPLED: the usual one of a run that samples; or any other. */
static inline uint32_t hook_state(const struct thread *thread)
{
    return thread == NULL ? UINT32_MAX : thread->gate ^ process_hot.is_tracking;
}

/* In a sampled run, most allocations only count down. Returns whether this is one. */
static inline bool hook_passes_sampling(struct thread *thread, size_t size_bytes)
{
    if (size_bytes >= (uint64_t)thread->sample_countdown) {
        return false;
    }
    thread->last_allocated = 0; /* an allocation all the same: no temporary before it */
    thread->sample_countdown -= (int64_t)size_bytes;
    return true;
}

/* Whether a block is none of the sampled ones of a run that samples. */
static inline bool hook_is_unsampled(const void *block)
{
    return !live_map_is_marked((uintptr_t)block) && !boot_owns(block);
}

/* Where an allocation counts as made, and as what: here, or in the hook around this one. */
static inline uint32_t hook_settle_origin(struct thread *thread, struct capture_origin *origin,
                                          uint32_t family)
{
    if (__builtin_expect((thread->gate & THREAD_OUTER) != 0, 0)) {
        thread->gate &= ~THREAD_OUTER;
        if (thread->outer.origin.cfa - origin->cfa < HOOK_OUTER_DISTANCE_MAX) {
            *origin = thread->outer.origin;
            return thread->outer.family;
        }
    }
    return family;
}

/* hook_allocated() for a thread in any state. NULL: nothing is recorded. */
void hook_allocated_unusual(struct thread *thread, void *block, size_t size_bytes,
                            struct capture_origin *origin);

/* Records what a malloc-like function returned. `origin` is the hook's caller. */
static inline __attribute__((always_inline)) void
hook_allocated(void *block, size_t size_bytes, struct capture_origin *origin)
{
    /* Looked at now, not before: the real function may have run a handler that forked. */
    struct thread *thread = thread_self;
    if (!thread_is_regular(thread)) {
        hook_allocated_unusual(thread_enter(), block, size_bytes, origin);
        return;
    }
    if (__builtin_expect(block != NULL, 1)) {
        track_allocation_regular(thread, block, size_bytes, ARENA_FAMILY_MALLOC, origin);
    }
    cpu_mark_leave(thread, 0, origin);
}

/*
 * Before the real realloc: takes the old block's record out of the map. An unknown block is
 * reported here, because the allocator may end the program for it.
 */
static inline bool hook_take_old(struct thread *thread, void *block, struct live_block *old,
                                 const struct capture_origin *origin)
{
    if (live_map_remove((uintptr_t)block, old)) {
        return true;
    }
    track_unknown_release(thread, (uintptr_t)block, ARENA_FAMILY_MALLOC, origin);
    return false;
}

/*
 * After a reallocation of a block whose record, if it had one, was taken off the map before
 * (`old`, else NULL: its address may have been another thread's by the time the real
 * function returned). A success is one release and one allocation, in place or not; a
 * failure puts the record back. `moved` is NULL where the block was only released.
 */
static inline void hook_reallocated(struct thread *thread, void *block,
                                    const struct live_block *old, bool has_failed, void *moved,
                                    size_t size_bytes, const struct capture_origin *origin)
{
    if (has_failed) {
        if (old != NULL) {
            live_map_insert((uintptr_t)block, old, true);
        }
        return;
    }
    if (old != NULL && old->family != ARENA_FAMILY_IGNORED) {
        if (old->family != ARENA_FAMILY_MALLOC) {
            track_defect(thread, ARENA_ERROR_MISMATCHED_FREE, (uintptr_t)block,
                         ARENA_FAMILY_MALLOC, old, origin);
        }
        track_block_out(thread, (uintptr_t)block, old);
    }
    if (moved != NULL) {
        track_allocation(thread, moved, size_bytes, ARENA_FAMILY_MALLOC, origin);
    }
}

#endif
