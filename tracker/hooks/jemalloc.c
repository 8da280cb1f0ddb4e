/*
 * jemalloc's extended API. Source: jemalloc(3), "Non-standard API".
 *
 * Looked up when first called: a program that has none of these names never gets here.
 */
#include <string.h>

#include "hooks/hook.h"

/* MALLOCX_* flags are the allocator's business. */
HOOK_EXPORT void *mallocx(size_t size, int flags);
HOOK_EXPORT void *rallocx(void *block, size_t size, int flags);
HOOK_EXPORT size_t xallocx(void *block, size_t size, size_t extra, int flags);
HOOK_EXPORT void dallocx(void *block, int flags);
HOOK_EXPORT void sdallocx(void *block, size_t size, int flags);
HOOK_EXPORT int mallctl(const char *name, void *old, size_t *old_length, void *new_value,
                        size_t new_length);
HOOK_EXPORT int mallctlbymib(const size_t *mib, size_t mib_length, void *old, size_t *old_length,
                             void *new_value, size_t new_length);

typedef int mallctl_function(const char *, void *, size_t *, void *, size_t);
typedef int mallctlbymib_function(const size_t *, size_t, void *, size_t *, void *, size_t);

HOOK_EXPORT void *mallocx(size_t size, int flags)
{
    static void *(*next)(size_t, int);
    if (next == NULL && (*(void **)&next = real_find("mallocx")) == NULL) {
        return NULL;
    }
    CPU_MARK_ENTER();
    void *block = next(size, flags);
    struct capture_origin origin;
    CAPTURE_ORIGIN_HERE(origin);
    hook_allocated(block, size, &origin);
    return block;
}

HOOK_EXPORT void *rallocx(void *block, size_t size, int flags)
{
    static void *(*next)(void *, size_t, int);
    if (next == NULL && (*(void **)&next = real_find("rallocx")) == NULL) {
        return NULL;
    }
    CPU_MARK_ENTER();
    struct thread *thread = thread_enter();
    if (thread == NULL) {
        cpu_mark.frame = 0;
        return next(block, size, flags);
    }
    struct capture_origin origin;
    CAPTURE_ORIGIN_HERE(origin);
    struct live_block old;
    bool is_known = hook_take_old(thread, block, &old, &origin);
    void *moved = next(block, size, flags);
    hook_reallocated(thread, block, is_known ? &old : NULL, moved == NULL, moved, size, &origin);
    cpu_mark_leave(thread, 0, &origin);
    thread_leave(thread);
    return moved;
}

/* Resizes in place or not at all: one release and one allocation when it did. */
HOOK_EXPORT size_t xallocx(void *block, size_t size, size_t extra, int flags)
{
    static size_t (*next)(void *, size_t, size_t, int);
    if (next == NULL && (*(void **)&next = real_find("xallocx")) == NULL) {
        return 0;
    }
    CPU_MARK_ENTER();
    size_t usable = next(block, size, extra, flags);
    struct thread *thread = thread_enter();
    struct capture_origin origin;
    CAPTURE_ORIGIN_HERE(origin);
    if (thread != NULL) {
        struct live_block old;
        if (usable >= size && live_map_remove((uintptr_t)block, &old)) {
            hook_reallocated(thread, block, &old, false, block, size, &origin);
        }
    }
    cpu_mark_leave(thread, 0, &origin);
    if (thread != NULL) {
        thread_leave(thread);
    }
    return usable;
}

HOOK_EXPORT void dallocx(void *block, int flags)
{
    static void (*next)(void *, int);
    if (next == NULL && (*(void **)&next = real_find("dallocx")) == NULL) {
        return;
    }
    CPU_MARK_ENTER();
    struct thread *thread = thread_enter();
    struct capture_origin origin;
    CAPTURE_ORIGIN_HERE(origin);
    uint32_t stack = 0;
    if (thread != NULL) {
        stack = track_release(thread, block, ARENA_FAMILY_MALLOC, &origin);
    }
    next(block, flags);
    cpu_mark_leave(thread, stack, &origin);
    if (thread != NULL) {
        thread_leave(thread);
    }
}

HOOK_EXPORT void sdallocx(void *block, size_t size, int flags)
{
    static void (*next)(void *, size_t, int);
    if (next == NULL && (*(void **)&next = real_find("sdallocx")) == NULL) {
        return;
    }
    CPU_MARK_ENTER();
    struct thread *thread = thread_enter();
    struct capture_origin origin;
    CAPTURE_ORIGIN_HERE(origin);
    uint32_t stack = 0;
    if (thread != NULL) {
        stack = track_release(thread, block, ARENA_FAMILY_MALLOC, &origin);
    }
    next(block, size, flags);
    cpu_mark_leave(thread, stack, &origin);
    if (thread != NULL) {
        thread_leave(thread);
    }
}

/* ---- arenas that are emptied at once ------------------------------------ */

struct arena_reset {
    struct thread *thread;
    mallctl_function *mallctl;
    unsigned arena;
};

static void reset_block(void *context, uintptr_t address, const struct live_block *block)
{
    (void)block;
    struct arena_reset *reset = context;
    unsigned arena = 0;
    size_t length = sizeof arena;
    const void *pointer = (const void *)address;
    if (reset->mallctl("arenas.lookup", &arena, &length, &pointer, sizeof pointer) != 0
        || arena != reset->arena) {
        return;
    }
    struct live_block removed;
    if (live_map_remove(address, &removed)) {
        track_block_out(reset->thread, address, &removed);
    }
}

/* "arena.<i>.reset" and "arena.<i>.destroy" release every block of an arena: they are
 * looked up one by one before that happens. */
static void note_arena_reset(mallctl_function *function, size_t arena)
{
    struct thread *thread = thread_enter();
    if (thread == NULL) {
        return;
    }
    struct arena_reset reset = {.thread = thread, .mallctl = function, .arena = (unsigned)arena};
    live_map_visit(reset_block, &reset);
    thread_leave(thread);
}

static bool is_arena_reset(const char *name, size_t *arena)
{
    if (strncmp(name, "arena.", 6) != 0) {
        return false;
    }
    const char *text = name + 6;
    *arena = 0;
    while (*text >= '0' && *text <= '9') {
        *arena = *arena * 10 + (size_t)(*text++ - '0');
    }
    return strcmp(text, ".reset") == 0 || strcmp(text, ".destroy") == 0;
}

HOOK_EXPORT int mallctl(const char *name, void *old, size_t *old_length, void *new_value,
                        size_t new_length)
{
    static mallctl_function *next;
    if (next == NULL && (*(void **)&next = real_find("mallctl")) == NULL) {
        return 2; /* ENOENT: no such name */
    }
    size_t arena;
    if (is_arena_reset(name, &arena)) {
        note_arena_reset(next, arena);
    }
    return next(name, old, old_length, new_value, new_length);
}

HOOK_EXPORT int mallctlbymib(const size_t *mib, size_t mib_length, void *old, size_t *old_length,
                             void *new_value, size_t new_length)
{
    static mallctlbymib_function *next;
    if (next == NULL && (*(void **)&next = real_find("mallctlbymib")) == NULL) {
        return 2;
    }
    if (mib_length == 3) {
        mallctl_function *by_name;
        int (*to_mib)(const char *, size_t *, size_t *);
        *(void **)&by_name = real_find("mallctl");
        *(void **)&to_mib = real_find("mallctlnametomib");
        static const char *const names[] = {"arena.0.reset", "arena.0.destroy"};
        for (size_t i = 0; i < 2 && by_name != NULL && to_mib != NULL; i++) {
            size_t known[3];
            size_t length = 3;
            if (to_mib(names[i], known, &length) == 0 && length == 3 && known[0] == mib[0]
                && known[2] == mib[2]) {
                note_arena_reset(by_name, mib[1]);
            }
        }
    }
    return next(mib, mib_length, old, old_length, new_value, new_length);
}
