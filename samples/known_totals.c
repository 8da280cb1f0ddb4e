/*
 * known_totals.c - one thread, no stdio: every number of the report is known beforehand.
 *
 * Truth
 *   total: allocations 1021, frees 1010, allocated_bytes 101795, freed_bytes 101155, live_blocks 11, live_bytes 640, peak_bytes 100640, temporary_allocations 10
 *   take_and_keep(): allocations 10, frees 0, allocated_bytes 640, live_blocks 10, live_bytes 640, peak_bytes 640, peak_blocks 10
 *   take_batch(): allocations 1000, frees 1000, allocated_bytes 100000, freed_bytes 100000, live_bytes 0, peak_bytes 100000, peak_blocks 1000, temporary_allocations 1
 *   take_zeroed(): allocations 5, frees 5, allocated_bytes 1155, freed_bytes 1155, temporary_allocations 5, peak_bytes 0
 *   take_nothing(): allocations 4, frees 3, allocated_bytes 0, live_blocks 1, live_bytes 0, temporary_allocations 3
 *   take_aligned(): allocations 2, frees 2, temporary_allocations 1
 *   status: 3
 */
#include <stdlib.h>

enum { KEPT = 10, BATCH = 1000 };

static void *kept[KEPT + 1];
static void *batch[BATCH];

__attribute__((noinline)) static void take_and_keep(void)
{
    for (int i = 0; i < KEPT; i++) {
        kept[i] = malloc(64);
    }
}

/* Allocated in order and freed backwards: only the last one is freed before the thread
 * allocates again. */
__attribute__((noinline)) static void take_batch(void)
{
    for (int i = 0; i < BATCH; i++) {
        batch[i] = malloc(100);
    }
    for (int i = BATCH - 1; i >= 0; i--) {
        free(batch[i]);
    }
}

__attribute__((noinline)) static void take_zeroed(void)
{
    for (int i = 0; i < 5; i++) {
        free(calloc(7, 33));
    }
}

__attribute__((noinline)) static void take_nothing(void)
{
    for (int i = 0; i < 3; i++) {
        free(malloc(0));
    }
    kept[KEPT] = malloc(0);
}

/* The second alone is freed before the thread allocates again. */
__attribute__((noinline)) static void take_aligned(void)
{
    void *first = aligned_alloc(64, 0);
    void *second = malloc(0);
    free(first);
    free(second);
}

int main(void)
{
    take_and_keep();
    take_batch();
    take_zeroed();
    take_nothing();
    take_aligned();
    free(NULL);
    return 3;
}
