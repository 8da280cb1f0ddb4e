/*
 * leak_since.c - asks memtrack what is lost since a mark: blocks that were lost before do not
 * count, blocks that are kept do not either. Prints what it was told; without memtrack it
 * says so.
 *
 * Truth
 *   lose_before(): allocations 2, frees 0, allocated_bytes 2000, live_blocks 2, live_bytes 2000
 *   lose(): allocations 3, frees 0, allocated_bytes 300, live_blocks 3, live_bytes 300
 *   lose_pair(): allocations 2, frees 0, allocated_bytes 64, live_blocks 2, live_bytes 64
 *   keep(): allocations 1, frees 0, allocated_bytes 50, live_blocks 1, live_bytes 50
 *   status: 0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memtrack/memtrack.h>

static void *volatile kept; /* read by nobody: the store must stay */

static __attribute__((noinline)) void lose_before(void)
{
    for (volatile int i = 0; i < 2; i++) {
        void *volatile lost = malloc(1000);
        memset(lost, 1, 1000);
        lost = NULL;
    }
}

static __attribute__((noinline)) void lose(void)
{
    for (volatile int i = 0; i < 3; i++) {
        void *volatile lost = malloc(100);
        memset(lost, 1, 100);
        lost = NULL;
    }
}

/* A block that leads to another one. */
static __attribute__((noinline)) void lose_pair(void)
{
    void **volatile lost = NULL;
    for (volatile int i = 0; i < 2; i++) {
        void **block = malloc(32);
        memset(block, 0, 32);
        block[1] = (void *)lost;
        lost = block;
    }
    lost = NULL;
}

static __attribute__((noinline)) void keep(void)
{
    kept = malloc(50);
}

/* Overwrites what the calls before left in the dead part of the stack. */
static __attribute__((noinline)) void scrub(void)
{
    volatile char dead[16384];
    for (size_t i = 0; i < sizeof dead; i++) {
        dead[i] = 0;
    }
}

static void check(const char *when, const struct memtrack_mark *mark)
{
    struct memtrack_leaks leaks;
    struct memtrack_site sites[8];
    size_t count = 0;
    scrub();
    int error = memtrack_leak_check_since(mark, &leaks, sites, 8, &count);
    if (error != 0) {
        printf("%s: %s\n", when, strerror(-error));
        return;
    }
    printf("%s: %llu definite, %llu indirect, %llu reachable;", when,
           (unsigned long long)leaks.definite_blocks, (unsigned long long)leaks.indirect_blocks,
           (unsigned long long)leaks.reachable_blocks);
    for (size_t i = 0; i < count; i++) {
        printf(" %llu bytes in %llu", (unsigned long long)sites[i].bytes,
               (unsigned long long)sites[i].blocks);
    }
    printf("\n");
    if (count > 0) {
        memtrack_print_sites(sites, count, when);
    }
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0); /* no buffer that comes and stays */
    lose_before();
    struct memtrack_mark mark = memtrack_mark_now();
    check("nothing", &mark);
    keep();
    check("kept", &mark);
    lose();
    check("lost", &mark);
    mark = memtrack_mark_now();
    lose_pair();
    check("pair", &mark);
    return 0;
}
