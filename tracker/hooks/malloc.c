/* The C allocation functions. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "hooks/hook.h"

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

/* In an exported function that has done CPU_MARK_ENTER: records what the real one returned. */
#define HOOK_RECORD(block, size)                                        \
    do {                                                                \
        struct thread *hook_thread = thread_enter();                    \
        struct capture_origin hook_origin;                              \
        CAPTURE_ORIGIN_HERE(hook_origin);                               \
        if (LIKELY(hook_thread != NULL)) {                              \
            hook_allocated(hook_thread, (block), (size), &hook_origin); \
        } else {                                                        \
            cpu_mark_leave(NULL, 0, &hook_origin);                      \
        }                                                               \
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

/* In a sampled run, most allocations only count down. Returns whether this is one. */
static inline bool sampling_passes(size_t size)
{
    struct thread *thread = thread_self;
    if (thread == NULL || thread->outer.is_open || thread->pauses != 0
        || size >= INT64_MAX / 2) {
        return false;
    }
    thread->last_allocated = 0; /* an allocation all the same: no temporary before it */
    thread->sample_countdown -= (int64_t)size;
    return LIKELY(thread->sample_countdown > 0);
}

/* The hooks below are entered by a jump where the compiler makes sibling calls, so that
 * their frame is the exported function's. */
static __attribute__((noinline)) void *malloc_recorded(size_t size)
{
    if (!LIKELY(real_ready())) {
        return boot_allocate(size, 0);
    }
    CPU_MARK_ENTER();
    void *block = real.malloc(size);
    HOOK_RECORD(block, size);
    return block;
}

HOOK_EXPORT void *malloc(size_t size)
{
    if (__builtin_expect(process_hot.sample_bytes != 0, 0) && sampling_passes(size)) {
        return real.malloc(size);
    }
    return malloc_recorded(size);
}

static __attribute__((noinline)) void *calloc_recorded(size_t count, size_t size)
{
    if (!LIKELY(real_ready())) {
        return boot_allocate(count * size, 0); /* the boot arena is zero and used once */
    }
    CPU_MARK_ENTER();
    void *block = real.calloc(count, size);
    HOOK_RECORD(block, count * size);
    return block;
}

HOOK_EXPORT void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_expect(process_hot.sample_bytes != 0, 0)
        && !__builtin_mul_overflow(count, size, &bytes) && sampling_passes(bytes)) {
        return real.calloc(count, size);
    }
    return calloc_recorded(count, size);
}

static __attribute__((noinline)) void free_recorded(void *block)
{
    if (block == NULL || boot_owns(block) || !LIKELY(real_ready())) {
        return;
    }
    HOOK_RELEASE(block);
}

HOOK_EXPORT void free(void *block)
{
    uint64_t record;
    if (__builtin_expect(process_hot.sample_bytes != 0, 0) && !boot_owns(block)
        && LIKELY(live_map_find((uintptr_t)block, false, &record) == NULL)) {
        real.free(block); /* sampling, and this is none of the sampled */
        return;
    }
    free_recorded(block);
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

HOOK_EXPORT void *realloc(void *block, size_t size)
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
        hook_allocated(thread, fresh, size, &origin);
        return fresh;
    }
    void *moved = reallocate(thread, block, size, &origin);
    cpu_mark_leave(thread, 0, &origin);
    thread_leave(thread);
    return moved;
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
        hook_allocated(thread, fresh, bytes, &origin);
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
