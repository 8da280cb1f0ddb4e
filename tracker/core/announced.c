#include "core/announced.h"

#include <errno.h>

struct announced_root announced_roots[ANNOUNCED_ROOTS_MAX];
struct announced_tagged announced_tagged[ANNOUNCED_TAGGED_MAX];

/* A slot that is being filled; no mapping begins there. */
#define START_CLAIMED ((uintptr_t)1)

int announced_root_add(uintptr_t start, size_t size_bytes)
{
    for (size_t i = 0; i < ANNOUNCED_ROOTS_MAX; i++) {
        uintptr_t unused = 0;
        if (atomic_compare_exchange_strong_explicit(&announced_roots[i].start, &unused,
                                                    START_CLAIMED, memory_order_acquire,
                                                    memory_order_relaxed)) {
            announced_roots[i].size_bytes = size_bytes;
            atomic_store_explicit(&announced_roots[i].start, start, memory_order_release);
            return 0;
        }
    }
    return -ENOSPC;
}

int announced_root_remove(uintptr_t start)
{
    for (size_t i = 0; i < ANNOUNCED_ROOTS_MAX; i++) {
        uintptr_t known = start;
        if (atomic_compare_exchange_strong_explicit(&announced_roots[i].start, &known, 0,
                                                    memory_order_release, memory_order_relaxed)) {
            return 0;
        }
    }
    return -ENOENT;
}

int announced_tagged_add(uintptr_t start, size_t size_bytes,
                         const struct announced_pointers *pointers)
{
    if ((pointers->word_bytes != 4 && pointers->word_bytes != 8) || pointers->mask == 0
        || pointers->shift_right > 63 || pointers->shift_left > 63 || start == 0
        || start > UINTPTR_MAX - size_bytes) {
        return -EINVAL;
    }
    for (size_t i = 0; i < ANNOUNCED_TAGGED_MAX; i++) {
        uintptr_t unused = 0;
        if (atomic_compare_exchange_strong_explicit(&announced_tagged[i].start, &unused,
                                                    START_CLAIMED, memory_order_acquire,
                                                    memory_order_relaxed)) {
            announced_tagged[i].size_bytes = size_bytes;
            announced_tagged[i].pointers = *pointers;
            atomic_store_explicit(&announced_tagged[i].start, start, memory_order_release);
            return 0;
        }
    }
    return -ENOSPC;
}

int announced_tagged_remove(uintptr_t start)
{
    for (size_t i = 0; i < ANNOUNCED_TAGGED_MAX; i++) {
        uintptr_t known = start;
        if (atomic_compare_exchange_strong_explicit(&announced_tagged[i].start, &known, 0,
                                                    memory_order_release, memory_order_relaxed)) {
            return 0;
        }
    }
    return -ENOENT;
}
