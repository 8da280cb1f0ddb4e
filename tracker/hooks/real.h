/*
 * hooks/real.h - the functions that the hooks stand in front of.
 *
 * Context: inside the tracked program. Resolved by dlsym(RTLD_NEXT): the core set at the
 *          first event, the rarer ones when first called, so that a name that the program
 *          lacks costs nothing.
 * Memory:  while dlsym runs, allocations come from a static arena and are never handed to
 *          the real free.
 */
#ifndef MEMTRACK_HOOKS_REAL_H
#define MEMTRACK_HOOKS_REAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct real_functions {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    void *(*memalign)(size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    size_t (*malloc_usable_size)(void *);
};
extern struct real_functions real;

/* Resolves `real`. Returns false while it is being resolved: use the boot arena. */
bool real_resolve(void);

/* Returns whether `real` can be used. */
static inline bool real_ready(void)
{
    return __builtin_expect(real.free != NULL, 1) || real_resolve();
}

/* Returns the next definition of `name`, NULL if there is none. Also looks into libraries
 * that were opened later and are not in the global scope (libstdc++ of a plug-in). */
void *real_find(const char *name);

/* Memory for the time before `real` is known. Returns NULL when it is used up. */
void *boot_allocate(size_t size, size_t alignment);

#define BOOT_ARENA_BYTES 65536u
extern char boot_arena[BOOT_ARENA_BYTES];

static inline bool boot_owns(const void *block)
{
    return (uintptr_t)block - (uintptr_t)boot_arena < BOOT_ARENA_BYTES;
}

/* The size that boot_allocate() was asked for. */
size_t boot_size(const void *block);

#endif
