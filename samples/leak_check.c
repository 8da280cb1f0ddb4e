/*
 * leak_check.c - asks memtrack in mid-run what is lost, before and after losing three blocks.
 * Prints what it was told; without memtrack it says so.
 *
 * Truth
 *   lose(): allocations 3, frees 0, allocated_bytes 300, live_blocks 3, live_bytes 300
 *   keep(): allocations 1, frees 0, allocated_bytes 50, live_blocks 1, live_bytes 50
 *   status: 0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memtrack/memtrack.h>

static void *volatile kept; /* read by nobody: the store must stay */

static __attribute__((noinline)) void lose(void)
{
    void *volatile lost = malloc(100);
    memset(lost, 1, 100);
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

static void check(const char *when)
{
    struct memtrack_leaks leaks;
    scrub();
    int error = memtrack_leak_check(&leaks);
    if (error != 0) {
        printf("%s: %s\n", when, strerror(-error));
    } else {
        printf("%s: %llu definite, %llu bytes\n", when, (unsigned long long)leaks.definite_blocks,
               (unsigned long long)leaks.definite_bytes);
    }
}

int main(void)
{
    keep();
    check("before");
    for (int i = 0; i < 3; i++) {
        lose();
    }
    check("after");
    return 0;
}
