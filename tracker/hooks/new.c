/*
 * operator new and operator delete, in all their forms, under their mangled names.
 * Source: Itanium C++ ABI, section 5.1 (mangling); C++17 [new.delete].
 *
 * The real operator usually calls malloc or free, whose hook would record a second time
 * and as the wrong family: an open `outer` makes the inner hook record on our behalf, a
 * set `releasing` makes it pass.
 */
#include <stdlib.h>

#include "hooks/hook.h"

/* The inner hook did not record (the real operator has an allocator of its own, as
 * jemalloc's has), or recorded as something else (after a new-handler). */
static __attribute__((noinline)) void new_settle(struct thread *thread, void *block, size_t size)
{
    struct thread_outer *outer = &thread->outer;
    bool was_recorded = outer->recorded == (uintptr_t)block;
    thread->gate &= ~THREAD_OUTER;
    outer->recorded = 0;
    if (block == NULL || was_recorded) {
        return;
    }
    uint64_t record;
    _Atomic uint64_t *slot = live_map_find((uintptr_t)block, false, &record);
    if (slot == NULL) {
        track_allocation(thread, block, size, outer->family, &outer->origin);
        return;
    }
    record &= ~((uint64_t)3 << LIVE_RECORD_FAMILY_SHIFT);
    record |= (uint64_t)outer->family << LIVE_RECORD_FAMILY_SHIFT;
    atomic_store_explicit(slot, record, memory_order_relaxed);
}

/* The usual case of new_settle(). Returns whether it was that. */
static inline bool new_settle_recorded(struct thread *thread, const void *block)
{
    if (thread->outer.recorded != (uintptr_t)block || block == NULL) {
        return false;
    }
    thread->gate &= ~THREAD_OUTER;
    thread->outer.recorded = 0;
    return true;
}

/* Opens `outer` unless this operator is itself called by one. Returns whether it did. */
static bool new_open(struct thread *thread, const struct capture_origin *origin, uint32_t family)
{
    struct thread_outer *outer = &thread->outer;
    if ((thread->gate & THREAD_OUTER) != 0
        && outer->origin.cfa - origin->cfa < HOOK_OUTER_DISTANCE_MAX) {
        return false;
    }
    outer->origin = *origin;
    outer->family = family;
    outer->recorded = 0;
    thread->gate |= THREAD_OUTER;
    return true;
}

/* In a sampled run: the hook that the operator calls will only count down, so there is nothing
 * to tell it. */
static inline bool new_passes_sampling(size_t size)
{
    struct thread *thread = thread_self;
    return hook_state(thread) == THREAD_SAMPLED && size < (uint64_t)thread->sample_countdown;
}

/* It called none, or not through us: then nothing was counted down. */
static inline void new_settle_sampling(struct thread *thread, int64_t countdown, size_t size)
{
    if (thread == thread_self && thread->sample_countdown == countdown) {
        thread->sample_countdown -= (int64_t)size;
        thread->last_allocated = 0;
    }
}

/* Without libstdc++ (a program that calls a mangled name from elsewhere): what the
 * standard's operator does, less the new-handler. */
static void *new_fallback(size_t size, size_t alignment)
{
    void *block = NULL;
    if (size == 0) {
        size = 1;
    }
    if (alignment == 0) {
        block = malloc(size);
    } else if (posix_memalign(&block, alignment, size) != 0) {
        block = NULL;
    }
    return block;
}

#define NEW_FUNCTION(name, family, parameters, arguments, alignment)    \
    HOOK_EXPORT void *name parameters;                                  \
    HOOK_EXPORT void *name parameters                                   \
    {                                                                   \
        static void *(*next) parameters;                                \
        if (next == NULL) {                                             \
            *(void **)&next = real_find(#name);                         \
        }                                                               \
        if (next == NULL) {                                             \
            void *plain = new_fallback(size, alignment);                \
            if (plain == NULL) {                                        \
                abort();                                                \
            }                                                           \
            return plain;                                               \
        }                                                               \
        if (new_passes_sampling(size)) {                                \
            struct thread *self = thread_self;                          \
            int64_t countdown = self->sample_countdown;                 \
            void *passed = next arguments;                              \
            new_settle_sampling(self, countdown, size);                 \
            return passed;                                              \
        }                                                               \
        CPU_MARK_ENTER();                                               \
        struct thread *thread = thread_enter();                         \
        if (thread == NULL) {                                           \
            cpu_mark.frame = 0;                                         \
            return next arguments;                                      \
        }                                                               \
        struct capture_origin origin;                                   \
        CAPTURE_ORIGIN_HERE(origin);                                    \
        bool is_outermost = new_open(thread, &origin, family);          \
        void *block = next arguments;                                   \
        if (is_outermost && !new_settle_recorded(thread, block)) {      \
            new_settle(thread, block, size);                            \
        }                                                               \
        cpu_mark_leave(thread, 0, &origin);                             \
        thread_leave(thread);                                           \
        return block;                                                   \
    }

#define NEW_FUNCTIONS(letter, family)                                                              \
    NEW_FUNCTION(_Zn##letter##m, family, (size_t size), (size), 0)                                 \
    NEW_FUNCTION(_Zn##letter##mRKSt9nothrow_t, family, (size_t size, const void *nothrow),         \
                 (size, nothrow), 0)                                                               \
    NEW_FUNCTION(_Zn##letter##mSt11align_val_t, family, (size_t size, size_t alignment),           \
                 (size, alignment), alignment)                                                     \
    NEW_FUNCTION(_Zn##letter##mSt11align_val_tRKSt9nothrow_t, family,                              \
                 (size_t size, size_t alignment, const void *nothrow), (size, alignment, nothrow), \
                 alignment)

NEW_FUNCTIONS(w, ARENA_FAMILY_NEW)
NEW_FUNCTIONS(a, ARENA_FAMILY_NEW_ARRAY)

/* As track_release(). */
static inline uint32_t delete_record(struct thread *thread, void *block, uint32_t family,
                                     const struct capture_origin *origin)
{
    struct arena_site *site;
    uint64_t record = thread_is_regular(thread)
                          ? track_take_regular(thread, (uintptr_t)block, family, &site)
                          : 0;
    if (__builtin_expect(record == 0, 0)) {
        return track_release(thread, block, family, origin);
    }
    track_record_out(thread, (uintptr_t)block, record, site);
    return live_record_stack(record);
}

#define DELETE_FUNCTION(name, family, parameters, arguments)                  \
    HOOK_EXPORT void name parameters;                                         \
    HOOK_EXPORT void name parameters                                          \
    {                                                                         \
        static void (*next) parameters;                                       \
        if (block == NULL || boot_owns(block)) {                              \
            return;                                                           \
        }                                                                     \
        if (next == NULL) {                                                   \
            *(void **)&next = real_find(#name);                               \
        }                                                                     \
        if (next != NULL && hook_state(thread_self) == THREAD_SAMPLED         \
            && hook_is_unsampled(block)) {                                    \
            next arguments;                                                   \
            return;                                                           \
        }                                                                     \
        CPU_MARK_ENTER();                                                     \
        struct thread *thread = thread_enter();                               \
        bool is_outermost = thread != NULL && thread->releasing != (uintptr_t)block; \
        struct capture_origin origin;                                         \
        uint32_t stack = 0;                                                   \
        if (is_outermost) {                                                   \
            CAPTURE_ORIGIN_HERE(origin);                                      \
            stack = delete_record(thread, block, family, &origin);            \
            thread->releasing = (uintptr_t)block;                             \
            thread->gate |= THREAD_RELEASING;                                 \
        }                                                                     \
        if (next != NULL) {                                                   \
            next arguments;                                                   \
        } else {                                                              \
            free(block);                                                      \
        }                                                                     \
        if (is_outermost) {                                                   \
            thread->releasing = 0;                                            \
            thread->gate &= ~THREAD_RELEASING;                                \
            cpu_mark_leave(thread, stack, &origin);                           \
            thread_leave(thread);                                             \
        }                                                                     \
    }

#define DELETE_FUNCTIONS(letter, family)                                                          \
    DELETE_FUNCTION(_Zd##letter##Pv, family, (void *block), (block))                              \
    DELETE_FUNCTION(_Zd##letter##Pvm, family, (void *block, size_t size), (block, size))          \
    DELETE_FUNCTION(_Zd##letter##PvRKSt9nothrow_t, family, (void *block, const void *nothrow),    \
                    (block, nothrow))                                                             \
    DELETE_FUNCTION(_Zd##letter##PvSt11align_val_t, family, (void *block, size_t alignment),      \
                    (block, alignment))                                                           \
    DELETE_FUNCTION(_Zd##letter##PvmSt11align_val_t, family,                                      \
                    (void *block, size_t size, size_t alignment), (block, size, alignment))       \
    DELETE_FUNCTION(_Zd##letter##PvSt11align_val_tRKSt9nothrow_t, family,                         \
                    (void *block, size_t alignment, const void *nothrow),                         \
                    (block, alignment, nothrow))

DELETE_FUNCTIONS(l, ARENA_FAMILY_NEW)
DELETE_FUNCTIONS(a, ARENA_FAMILY_NEW_ARRAY)
