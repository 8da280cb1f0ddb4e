/*
 * deep.c - allocations at growing depths, up to 600 frames: more than are kept by default.
 *
 * Truth
 *   total: allocations 601, frees 601, allocated_bytes 4808, live_blocks 0, peak_bytes 4808
 *   descends(): allocations 601, frees 601
 *   status: 0
 */
#include <stdlib.h>

static void *blocks[601];

__attribute__((noinline)) static int descends(int depth)
{
    blocks[depth] = malloc(8);
    if (depth == 600) {
        return 0;
    }
    int below = descends(depth + 1);
    __asm__ volatile("" : "+r"(below));
    return below + 1;
}

int main(void)
{
    int depth = descends(0);
    for (int i = 0; i <= 600; i++) {
        free(blocks[i]);
    }
    return depth == 600 ? 0 : 1;
}
