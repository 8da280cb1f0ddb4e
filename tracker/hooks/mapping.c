/*
 * mmap and its relatives, with --mmap: the program's own anonymous mappings count as
 * allocations, and their release in whole or in part as frees.
 *
 * An allocator that maps memory by the public names (jemalloc, tcmalloc) does so inside
 * one of our hooks: those mappings are its heap, not the program's.
 */
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>

#include "core/mapping_table.h"
#include "core/raw_syscall.h"
#include "hooks/hook.h"

HOOK_EXPORT void *mmap64(void *address, size_t size, int protection, int flags, int fd,
                         off_t offset);

static bool is_watched(void)
{
    return process_hot.is_tracking != 0 && process_cold.arena.header->config.track_mmap != 0
           && cpu_mark.frame == 0;
}

/* The kernel's answer as libc gives it. */
static void *mapping_result(long result)
{
    if (raw_failed(result)) {
        errno = (int)-result;
        return MAP_FAILED;
    }
    return (void *)result;
}

struct release {
    struct thread *thread;
    bool has_found; /* some of the range was in the table */
};

static void release_piece(void *context, uintptr_t start, const struct live_block *piece)
{
    struct release *release = context;
    release->has_found = true;
    track_block_out(release->thread, start, piece);
}

/* Returns whether any of the range was the program's own mapping. */
static bool mapping_released_by(struct thread *thread, uintptr_t start, size_t size)
{
    struct release release = {.thread = thread};
    size_t pages = (size + PROCESS_PAGE_BYTES - 1) & ~(size_t)(PROCESS_PAGE_BYTES - 1);
    if (!mapping_table_remove(start, pages, release_piece, &release)) {
        process_drop_event();
    }
    return release.has_found;
}

static void mapping_made(struct thread *thread, void *start, size_t size,
                         const struct capture_origin *origin)
{
    struct live_block block = {
        .size_bytes = (size + PROCESS_PAGE_BYTES - 1) & ~(size_t)(PROCESS_PAGE_BYTES - 1),
        .stack = capture_stack(thread->capture, origin),
        .birth_tick = totals_birth_clock(),
        .family = ARENA_FAMILY_MALLOC};
    struct arena_site *site = thread_site(thread, block.stack);
    if (site == NULL || !mapping_table_add((uintptr_t)start, &block)) {
        process_drop_event();
        return;
    }
    track_count_in(thread, site, (uintptr_t)start, &block);
}

static void mapping_note(void *start, size_t size, int flags, const struct capture_origin *origin)
{
    struct thread *thread = thread_enter();
    if (thread == NULL) {
        return;
    }
    if ((flags & MAP_FIXED) != 0) { /* what was there is gone */
        mapping_released_by(thread, (uintptr_t)start, size);
    }
    if ((flags & MAP_ANONYMOUS) != 0 && thread->pauses == 0) {
        mapping_made(thread, start, size, origin);
    }
    thread_leave(thread);
}

HOOK_EXPORT void *mmap64(void *address, size_t size, int protection, int flags, int fd,
                         off_t offset)
{
    void *start = mapping_result(raw_syscall6(SYS_mmap, (long)address, (long)size, protection,
                                              flags, fd, offset));
    if (start != MAP_FAILED && is_watched()) {
        struct capture_origin origin;
        CAPTURE_ORIGIN_HERE(origin);
        mapping_note(start, size, flags, &origin);
    }
    return start;
}

HOOK_EXPORT void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    void *start = mapping_result(raw_syscall6(SYS_mmap, (long)address, (long)size, protection,
                                              flags, fd, offset));
    if (start != MAP_FAILED && is_watched()) {
        struct capture_origin origin;
        CAPTURE_ORIGIN_HERE(origin);
        mapping_note(start, size, flags, &origin);
    }
    return start;
}

HOOK_EXPORT int munmap(void *address, size_t size)
{
    /* The table first: another thread may map there at once. */
    bool is_valid = ((uintptr_t)address & (PROCESS_PAGE_BYTES - 1)) == 0 && size != 0;
    if (is_valid && is_watched()) {
        struct thread *thread = thread_enter();
        if (thread != NULL) {
            mapping_released_by(thread, (uintptr_t)address, size);
            thread_leave(thread);
        }
    }
    return mapping_result(raw_syscall3(SYS_munmap, (long)address, (long)size, 0)) == MAP_FAILED
               ? -1
               : 0;
}

HOOK_EXPORT void *mremap(void *address, size_t old_size, size_t new_size, int flags, ...)
{
    void *wanted = NULL;
    if ((flags & MREMAP_FIXED) != 0) {
        va_list arguments;
        va_start(arguments, flags);
        wanted = va_arg(arguments, void *);
        va_end(arguments);
    }
    void *start = mapping_result(raw_syscall6(SYS_mremap, (long)address, (long)old_size,
                                              (long)new_size, flags, (long)wanted, 0));
    if (start != MAP_FAILED && is_watched()) {
        struct capture_origin origin;
        CAPTURE_ORIGIN_HERE(origin);
        struct thread *thread = thread_enter();
        if (thread != NULL) {
            if ((flags & MREMAP_FIXED) != 0) {
                mapping_released_by(thread, (uintptr_t)start, new_size);
            }
            if (mapping_released_by(thread, (uintptr_t)address, old_size)) {
                mapping_made(thread, start, new_size, &origin);
            }
            thread_leave(thread);
        }
    }
    return start;
}
