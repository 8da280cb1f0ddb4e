/*
 * peak.c - who made up the peak: each function's share at the moment of the largest total.
 *
 * The total goes up to 30000 (first + second), down to 20000, up to the peak of 35000
 * (second + third), down, up to 35000 again exactly, which is not a new peak, and down.
 *
 * Truth
 *   total: allocations 29, frees 25, allocated_bytes 53000, live_blocks 4, live_bytes 18000, peak_bytes 35000, peak_blocks 8
 *   first(): allocations 10, peak_bytes 0, peak_blocks 0, live_bytes 0
 *   second(): allocations 5, peak_bytes 20000, peak_blocks 5, live_bytes 8000
 *   third(): allocations 3, peak_bytes 15000, peak_blocks 3, live_bytes 10000
 *   fourth(): allocations 11, peak_bytes 0, peak_blocks 0, live_bytes 0
 *   status: 0
 */
#include <stdlib.h>

static void *first_blocks[10];
static void *second_blocks[5];
static void *third_blocks[3];
static void *fourth_blocks[11];

__attribute__((noinline)) static void first(void)
{
    for (int i = 0; i < 10; i++) {
        first_blocks[i] = malloc(1000);
    }
}

__attribute__((noinline)) static void second(void)
{
    for (int i = 0; i < 5; i++) {
        second_blocks[i] = malloc(4000);
    }
}

__attribute__((noinline)) static void third(void)
{
    for (int i = 0; i < 3; i++) {
        third_blocks[i] = malloc(5000);
    }
}

/* 8 blocks of 1000, then 3 of nothing at all. */
__attribute__((noinline)) static void fourth(void)
{
    for (int i = 0; i < 11; i++) {
        fourth_blocks[i] = malloc(i < 8 ? 1000 : 0);
    }
}

__attribute__((noinline)) static void release(void **blocks, int count)
{
    for (int i = 0; i < count; i++) {
        free(blocks[i]);
        blocks[i] = NULL;
    }
}

int main(void)
{
    first();
    second();
    release(first_blocks, 10);
    third();
    release(second_blocks, 2);
    fourth();
    release(fourth_blocks, 11);
    release(third_blocks, 1);
    release(second_blocks + 2, 1);
    return 0;
}
