/* The C allocation functions. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "hooks/hook.h"

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

/* In an exported function that has done CPU_MARK_ENTER: records what the real one returned. */
#define HOOK_RECORD(block, size)                                               \
    do {                                                                       \
        struct capture_origin hook_origin;                                     \
        CAPTURE_ORIGIN_HERE(hook_origin);                                      \
        hook_allocated_unusual(thread_enter(), (block), (size), &hook_origin); \
    } while (0)

/* In an exported function: records a release and makes it, unless operator delete has
 * recorded it already. The record first: once the block is released, another thread may own
 * the address. */
#define HOOK_RELEASE(block)                                                                  \
    do {                                                                                     \
        CPU_MARK_ENTER();                                                                    \
        struct thread *hook_thread = thread_enter();                                         \
        if (LIKELY(hook_thread != NULL)) {                                                   \
            if (LIKELY(hook_thread->releasing != (uintptr_t)(block))) {                      \
                struct capture_origin hook_origin;                                           \
                CAPTURE_ORIGIN_HERE(hook_origin);                                            \
                uint32_t hook_stack =                                                        \
                    track_release(hook_thread, (block), ARENA_FAMILY_MALLOC, &hook_origin);  \
                real.free(block);                                                            \
                cpu_mark_leave(hook_thread, hook_stack, &hook_origin);                       \
            } else {                                                                         \
                real.free(block); /* operator delete takes the mark off */                   \
            }                                                                                \
            thread_leave(hook_thread);                                                       \
        } else {                                                                             \
            real.free(block);                                                                \
            cpu_mark.frame = 0;                                                              \
        }                                                                                    \
    } while (0)

/*
 * The exported functions look at the thread's state and go on by a jump (the compiler makes
 * sibling calls), so that the frame of what they jump to is theirs: in a run that samples to
 * the real function, mostly; else to the _regular one; where anything is out of the ordinary
 * to the _unusual one.
 */
static __attribute__((noinline)) void *malloc_unusual(size_t size)
{
    if (!LIKELY(real_ready())) {
        return boot_allocate(size, 0);
    }
    CPU_MARK_ENTER();
    void *block = real.malloc(size);
    HOOK_RECORD(block, size);
    return block;
}

static __attribute__((noinline)) void *malloc_regular(size_t size)
{
    CPU_MARK_ENTER();
    struct capture_origin origin;
    void *block = real.malloc(size);
    CAPTURE_ORIGIN_HERE(origin);
    hook_allocated(block, size, &origin);
    return block;
}

/* Inside operator new, whose site and family the block gets. */
static __attribute__((noinline)) void *malloc_inner(size_t size)
{
    struct capture_origin origin;
    void *block = real.malloc(size);
    CAPTURE_ORIGIN_HERE(origin);
    struct thread *thread = thread_self;
    if (__builtin_expect(hook_state(thread) != THREAD_OUTER || block == NULL, 0)) {
        hook_allocated_unusual(thread_enter(), block, size, &origin);
        return block;
    }
    uint32_t family = hook_settle_origin(thread, &origin, ARENA_FAMILY_MALLOC);
    thread->outer.recorded = family == ARENA_FAMILY_MALLOC ? 0 : (uintptr_t)block;
    track_allocation_regular(thread, block, size, family, &origin);
    return block; /* operator new takes the mark off */
}

HOOK_EXPORT void *malloc(size_t size)
{
    struct thread *thread = thread_self;
    uint32_t state = hook_state(thread);
    if (!LIKELY(real.malloc != NULL)) {
        return malloc_unusual(size);
    }
    if (LIKELY(state == 0)) {
        return malloc_regular(size);
    }
    if (state == THREAD_SAMPLED && hook_passes_sampling(thread, size)) {
        return real.malloc(size);
    }
    return state == THREAD_OUTER ? malloc_inner(size) : malloc_unusual(size);
}

static __attribute__((noinline)) void *calloc_unusual(size_t count, size_t size)
{
    if (!LIKELY(real_ready())) {
        return boot_allocate(count * size, 0); /* the boot arena is zero and used once */
    }
    CPU_MARK_ENTER();
    void *block = real.calloc(count, size);
    HOOK_RECORD(block, count * size);
    return block;
}

static __attribute__((noinline)) void *calloc_regular(size_t count, size_t size)
{
    CPU_MARK_ENTER();
    struct capture_origin origin;
    void *block = real.calloc(count, size);
    CAPTURE_ORIGIN_HERE(origin);
    hook_allocated(block, count * size, &origin);
    return block;
}

HOOK_EXPORT void *calloc(size_t count, size_t size)
{
    size_t bytes;
    struct thread *thread = thread_self;
    uint32_t state = hook_state(thread);
    if (!LIKELY(real.calloc != NULL)) {
        return calloc_unusual(count, size);
    }
    if (LIKELY(state == 0)) {
        return calloc_regular(count, size);
    }
    if (state == THREAD_SAMPLED && !__builtin_mul_overflow(count, size, &bytes)
        && hook_passes_sampling(thread, bytes)) {
        return real.calloc(count, size);
    }
    return calloc_unusual(count, size);
}

static __attribute__((noinline)) void free_unusual(void *block)
{
    if (block == NULL || boot_owns(block) || !LIKELY(real_ready())) {
        return;
    }
    HOOK_RELEASE(block);
}

static __attribute__((noinline)) void free_regular(void *block)
{
    struct arena_site *site;
    struct thread *thread = thread_self;
    CPU_MARK_ENTER();
    uint64_t record = track_take_regular(thread, (uintptr_t)block, ARENA_FAMILY_MALLOC, &site);
    if (LIKELY(record != 0)) {
        track_record_out(thread, (uintptr_t)block, record, site);
        real.free(block);
        CPU_MARK_LEAVE(thread, live_record_stack(record));
        return;
    }
    cpu_mark.frame = 0;
    free_unusual(block);
}

HOOK_EXPORT void free(void *block)
{
    struct thread *thread = thread_self;
    uint32_t state = hook_state(thread);
    if (block == NULL) {
        return;
    }
    if (LIKELY(state == 0)) {
        free_regular(block);
    } else if (state == THREAD_SAMPLED && LIKELY(real.free != NULL)
               && LIKELY(hook_is_unsampled(block))) {
        real.free(block);
    } else if (state == THREAD_RELEASING && thread->releasing == (uintptr_t)block
               && LIKELY(real.free != NULL)) {
        real.free(block); /* operator delete has recorded it, and takes the mark off */
    } else {
        free_unusual(block);
    }
}

HOOK_EXPORT void cfree(void *block);
HOOK_EXPORT void cfree(void *block)
{
    if (block == NULL || boot_owns(block) || !LIKELY(real_ready())) {
        return;
    }
    HOOK_RELEASE(block);
}

HOOK_EXPORT void free_sized(void *block, size_t size);
HOOK_EXPORT void free_sized(void *block, size_t size)
{
    (void)size;
    if (block == NULL || boot_owns(block) || !LIKELY(real_ready())) {
        return;
    }
    HOOK_RELEASE(block);
}

HOOK_EXPORT void free_aligned_sized(void *block, size_t alignment, size_t size);
HOOK_EXPORT void free_aligned_sized(void *block, size_t alignment, size_t size)
{
    (void)alignment;
    (void)size;
    if (block == NULL || boot_owns(block) || !LIKELY(real_ready())) {
        return;
    }
    HOOK_RELEASE(block);
}

/* A block of the boot arena moves to the real heap. */
static void *boot_move(void *block, size_t size)
{
    void *moved = malloc(size);
    if (moved != NULL) {
        size_t old = boot_size(block);
        memcpy(moved, block, old < size ? old : size);
    }
    return moved;
}

static void *reallocate(struct thread *thread, void *block, size_t size,
                        struct capture_origin *origin)
{
    struct live_block old;
    bool is_known = hook_take_old(thread, block, &old, origin);
    void *moved = real.realloc(block, size);
    bool has_failed = moved == NULL && size != 0; /* realloc(block, 0) may release */
    hook_reallocated(thread, block, is_known ? &old : NULL, has_failed, moved, size, origin);
    return moved;
}

/* The same for a thread in its usual state and a block of size > 0. */
static inline void *reallocate_regular(struct thread *thread, void *block, size_t size,
                                       struct capture_origin *origin)
{
    struct arena_site *site;
    uintptr_t address = (uintptr_t)block;
    uint64_t record = track_take_regular(thread, address, ARENA_FAMILY_MALLOC, &site);
    if (__builtin_expect(record == 0, 0)) {
        return reallocate(thread, block, size, origin);
    }
    void *moved = real.realloc(block, size);
    if (__builtin_expect(moved == NULL, 0)) {
        live_map_put(address, record, true);
        return NULL;
    }
    track_record_out(thread, address, record, site);
    track_allocation_regular(thread, moved, size, ARENA_FAMILY_MALLOC, origin);
    return moved;
}

static __attribute__((noinline)) void *realloc_recorded(void *block, size_t size)
{
    if (!LIKELY(real_ready())) {
        return boot_owns(block) ? boot_move(block, size) : boot_allocate(size, 0);
    }
    if (block != NULL && boot_owns(block)) {
        return boot_move(block, size);
    }
    CPU_MARK_ENTER();
    struct thread *thread = thread_enter();
    if (!LIKELY(thread != NULL)) {
        cpu_mark.frame = 0;
        return real.realloc(block, size);
    }
    struct capture_origin origin;
    CAPTURE_ORIGIN_HERE(origin);
    if (block == NULL) {
        void *fresh = real.realloc(NULL, size);
        hook_allocated_unusual(thread, fresh, size, &origin);
        return fresh;
    }
    void *moved = thread_is_regular(thread) && size != 0
                      ? reallocate_regular(thread, block, size, &origin)
                      : reallocate(thread, block, size, &origin);
    cpu_mark_leave(thread, 0, &origin);
    thread_leave(thread);
    return moved;
}

HOOK_EXPORT void *realloc(void *block, size_t size)
{
    struct thread *thread = thread_self;
    if (hook_state(thread) == THREAD_SAMPLED && real.realloc != NULL && hook_is_unsampled(block)
        && hook_passes_sampling(thread, size)) {
        return real.realloc(block, size);
    }
    return realloc_recorded(block, size);
}

HOOK_EXPORT void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    if (!LIKELY(real_ready()) || (block != NULL && boot_owns(block))) {
        return realloc(block, bytes);
    }
    CPU_MARK_ENTER();
    struct thread *thread = thread_enter();
    if (thread == NULL) {
        cpu_mark.frame = 0;
        return real.realloc(block, bytes);
    }
    struct capture_origin origin;
    CAPTURE_ORIGIN_HERE(origin);
    if (block == NULL) {
        void *fresh = real.realloc(NULL, bytes);
        hook_allocated_unusual(thread, fresh, bytes, &origin);
        return fresh;
    }
    void *moved = reallocate(thread, block, bytes, &origin);
    cpu_mark_leave(thread, 0, &origin);
    thread_leave(thread);
    return moved;
}

HOOK_EXPORT void *memalign(size_t alignment, size_t size)
{
    if (!LIKELY(real_ready())) {
        return boot_allocate(size, alignment);
    }
    CPU_MARK_ENTER();
    void *block = real.memalign(alignment, size);
    HOOK_RECORD(block, size);
    return block;
}

HOOK_EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    if (!LIKELY(real_ready())) {
        return boot_allocate(size, alignment);
    }
    CPU_MARK_ENTER();
    void *block = real.aligned_alloc(alignment, size);
    HOOK_RECORD(block, size);
    return block;
}

HOOK_EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
    if (!LIKELY(real_ready())) {
        *block = boot_allocate(size, alignment);
        return *block == NULL ? ENOMEM : 0;
    }
    CPU_MARK_ENTER();
    int error = real.posix_memalign(block, alignment, size);
    HOOK_RECORD(error == 0 ? *block : NULL, size);
    return error;
}

HOOK_EXPORT void *valloc(size_t size)
{
    if (!LIKELY(real_ready())) {
        return boot_allocate(size, 4096);
    }
    CPU_MARK_ENTER();
    void *block = real.valloc(size);
    HOOK_RECORD(block, size);
    return block;
}

HOOK_EXPORT void *pvalloc(size_t size)
{
    if (!LIKELY(real_ready())) {
        return boot_allocate((size + 4095) & ~(size_t)4095, 4096);
    }
    CPU_MARK_ENTER();
    void *block = real.pvalloc(size);
    HOOK_RECORD(block, size);
    return block;
}

HOOK_EXPORT size_t malloc_usable_size(void *block)
{
    if (block == NULL || !LIKELY(real_ready())) {
        return 0;
    }
    return boot_owns(block) ? boot_size(block) : real.malloc_usable_size(block);
}
