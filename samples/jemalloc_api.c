/*
 * jemalloc_api.c - jemalloc's extended interface, in a program linked with jemalloc.
 *
 * Truth
 *   by_mallocx(): allocations 3, frees 3, allocated_bytes 600, live_blocks 0
 *   by_rallocx(): allocations 2, frees 2, allocated_bytes 5100
 *   by_sdallocx(): allocations 1, frees 1, allocated_bytes 48
 *   held_by_xallocx(): allocations 1, live_blocks 1
 *   asks_only(): allocations 0, frees 0
 *   by_malloc(): allocations 1, frees 1, allocated_bytes 10
 *   status: 0
 */
#include <jemalloc/jemalloc.h>
#include <stdint.h>
#include <stdlib.h>

static void *held;

static void expect(int is_true)
{
    if (!is_true) {
        abort();
    }
}

__attribute__((noinline)) static void by_mallocx(void)
{
    void *plain = mallocx(100, 0);
    void *zeroed = mallocx(200, MALLOCX_ZERO);
    void *aligned = mallocx(300, MALLOCX_ALIGN(4096));
    expect((uintptr_t)aligned % 4096 == 0 && ((char *)zeroed)[199] == 0);
    dallocx(plain, 0);
    dallocx(zeroed, 0);
    dallocx(aligned, MALLOCX_ALIGN(4096));
}

__attribute__((noinline)) static void by_rallocx(void)
{
    void *block = mallocx(100, 0);
    block = rallocx(block, 5000, 0);
    dallocx(block, 0);
}

__attribute__((noinline)) static void by_sdallocx(void)
{
    void *block = mallocx(48, 0);
    sdallocx(block, 48, 0);
}

/* Within its size class a block of 33 bytes can become one of 40, and no more. */
__attribute__((noinline)) static void held_by_xallocx(void)
{
    held = mallocx(33, 0);
}

__attribute__((noinline)) static void asks_only(void)
{
    expect(sallocx(held, 0) >= 33);
    expect(nallocx(100, 0) >= 100);
    expect(malloc_usable_size(held) >= 33);
    expect(xallocx(held, 100000, 0, 0) < 100000);
    size_t allocated = 0;
    size_t size = sizeof(allocated);
    expect(mallctl("stats.allocated", &allocated, &size, NULL, 0) == 0);
}

__attribute__((noinline)) static void by_malloc(void)
{
    free(malloc(10));
}

int main(void)
{
    by_mallocx();
    by_rallocx();
    by_sdallocx();
    held_by_xallocx();
    asks_only();
    by_malloc();
    return 0;
}
