/*
 * A program of many sites: every path of 14 calls through two functions is a stack of its own,
 * 16384 of them, and both functions allocate at their end from two places: 32768 sites.
 * Allocates and frees at all of them again and again, and prints how long the longest of its
 * steps took, a step being 64 allocations.
 *
 * usage: many_sites SECONDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEPTH 14
#define PATHS (1u << DEPTH)

static void *kept[2 * PATHS];

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void left(unsigned path, int depth);
static void right(unsigned path, int depth);

static void at_end(unsigned path)
{
    free(kept[2 * path]);
    kept[2 * path] = malloc(24);
    free(kept[2 * path + 1]);
    kept[2 * path + 1] = malloc(40);
}

__attribute__((noinline)) static void step(unsigned path, int depth)
{
    if (depth == DEPTH) {
        at_end(path);
    } else if ((path >> depth & 1) != 0) {
        left(path, depth);
    } else {
        right(path, depth);
    }
    __asm__ volatile("");
}

__attribute__((noinline)) static void left(unsigned path, int depth)
{
    step(path, depth + 1);
    __asm__ volatile("");
}

__attribute__((noinline)) static void right(unsigned path, int depth)
{
    step(path, depth + 1);
    __asm__ volatile("");
}

int main(int argc, char **argv)
{
    double end = now_seconds() + (argc > 1 ? atof(argv[1]) : 3);
    double longest = 0;
    unsigned rounds = 0;
    for (double now = now_seconds(); now < end; rounds++) {
        for (unsigned path = 0; path < PATHS; path++) {
            step(path, 0);
            if (path % 32 == 31) {
                double then = now;
                now = now_seconds();
                /* The first rounds meet new stacks. */
                longest = rounds > 2 && now - then > longest ? now - then : longest;
            }
        }
    }
    printf("%.3f ms\n", longest * 1e3);
    return 0;
}
