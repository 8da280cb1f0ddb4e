/*
 * reallocs.c - a successful realloc is one free of the old block and one allocation of the new.
 *
 * Truth
 *   total: allocations 39, frees 37, allocated_bytes 1063376, live_blocks 2, live_bytes 150, peak_bytes 524338
 *   from_nothing(): allocations 1, frees 0, live_bytes 50, allocated_bytes 50
 *   grows(): allocations 17, frees 17, allocated_bytes 1048568
 *   shrinks(): allocations 4, frees 4, allocated_bytes 1350
 *   same_size(): allocations 11, frees 11, allocated_bytes 13200
 *   to_nothing(): allocations 1, frees 1, allocated_bytes 8
 *   fails(): allocations 1, frees 0, live_bytes 100, allocated_bytes 100
 *   by_array(): allocations 4, frees 4, allocated_bytes 100
 *   status: 0
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

static void *kept[2];

__attribute__((noinline)) static void from_nothing(void)
{
    kept[0] = realloc(NULL, 50);
}

/* 8, 16, 32 ... 524288 bytes: 17 sizes. The peak counts each of them alone, also while
 * the C library holds the old and the new block for the copy. */
__attribute__((noinline)) static void grows(void)
{
    char *block = malloc(8);
    for (size_t size = 16; size <= 524288; size *= 2) {
        block = realloc(block, size);
        block[size - 1] = 1;
    }
    free(block);
}

__attribute__((noinline)) static void shrinks(void)
{
    void *block = malloc(1000);
    block = realloc(block, 200);
    block = realloc(block, 100);
    block = realloc(block, 50);
    free(block);
}

__attribute__((noinline)) static void same_size(void)
{
    void *block = malloc(1200);
    for (int i = 0; i < 10; i++) {
        block = realloc(block, 1200);
    }
    free(block);
}

/* glibc frees and returns NULL: a release, not an allocation. */
__attribute__((noinline)) static void to_nothing(void)
{
    void *block = malloc(8);
    block = realloc(block, 0);
    if (block != NULL) {
        abort();
    }
}

/* The old block stays as it was. */
__attribute__((noinline)) static void fails(void)
{
    kept[1] = malloc(100);
    volatile size_t too_much = PTRDIFF_MAX;
    errno = 0;
    if (realloc(kept[1], too_much) != NULL || errno != ENOMEM) {
        abort();
    }
    if (reallocarray(kept[1], too_much, 4) != NULL) {
        abort();
    }
}

__attribute__((noinline)) static void by_array(void)
{
    void *block = reallocarray(NULL, 1, 10);
    block = reallocarray(block, 2, 10);
    block = reallocarray(block, 3, 10);
    block = reallocarray(block, 4, 10);
    free(block);
}

int main(void)
{
    from_nothing();
    grows();
    shrinks();
    same_size();
    to_nothing();
    fails();
    by_array();
    return 0;
}
