/*
 * core/announced.h - what the program declared for leak scans: memory that is a root, and
 * memory whose pointers are compressed or carry tags.
 *
 * Context: inside the tracked program. Threads: any; slots are claimed by
 * compare-and-swap. Memory: a static table.
 */
#ifndef MEMTRACK_CORE_ANNOUNCED_H
#define MEMTRACK_CORE_ANNOUNCED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define ANNOUNCED_ROOTS_MAX 1025u /* the shim's start-up arena, and 1024 of the program */
#define ANNOUNCED_TAGGED_MAX 64u

/* start is 0 in an unused slot, and stored last. */
struct announced_root {
    _Atomic uintptr_t start;
    size_t size_bytes;
};
extern struct announced_root announced_roots[ANNOUNCED_ROOTS_MAX];

/* How words stand for addresses: base + (((word & mask) >> shift_right) << shift_left). */
struct announced_pointers {
    uint64_t mask;
    uint64_t base;
    uint32_t word_bytes; /* 4 or 8 */
    uint8_t shift_right;
    uint8_t shift_left;
};

/* start is 0 in an unused slot, and stored last. */
struct announced_tagged {
    _Atomic uintptr_t start;
    size_t size_bytes;
    struct announced_pointers pointers;
};
extern struct announced_tagged announced_tagged[ANNOUNCED_TAGGED_MAX];

static inline uintptr_t announced_pointer_decode(const struct announced_pointers *pointers,
                                                 uint64_t word)
{
    return pointers->base
           + (((word & pointers->mask) >> pointers->shift_right) << pointers->shift_left);
}

/* Returns 0, -ENOSPC, or -EINVAL for a form that makes no sense. */
int announced_tagged_add(uintptr_t start, size_t size_bytes,
                         const struct announced_pointers *pointers);

/* Returns 0, or -ENOENT. */
int announced_tagged_remove(uintptr_t start);

/* Returns 0, or -ENOSPC. */
int announced_root_add(uintptr_t start, size_t size_bytes);

/* Returns 0, or -ENOENT. */
int announced_root_remove(uintptr_t start);

#endif
