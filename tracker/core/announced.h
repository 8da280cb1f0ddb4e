/*
 * core/announced.h - memory that the program declared as a root for leak scans.
 *
 * Context: inside the tracked program. Threads: any; slots are claimed by
 * compare-and-swap. Memory: a static table.
 */
#ifndef MEMTRACK_CORE_ANNOUNCED_H
#define MEMTRACK_CORE_ANNOUNCED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define ANNOUNCED_ROOTS_MAX 1024u

/* start is 0 in an unused slot, and stored last. */
struct announced_root {
    _Atomic uintptr_t start;
    size_t size_bytes;
};
extern struct announced_root announced_roots[ANNOUNCED_ROOTS_MAX];

/* Returns 0, or -ENOSPC. */
int announced_root_add(uintptr_t start, size_t size_bytes);

/* Returns 0, or -ENOENT. */
int announced_root_remove(uintptr_t start);

#endif
