/*
 * A program of many sites: every path of 14 calls through two functions is a stack of its own,
 * 16384 of them, and both functions allocate at their end from two places: 32768 sites.
 * Allocates and frees at all of them, or at the first SITES, again and again. Prints how many
 * steps that were, a step being 64 allocations, and how long they took, in microseconds: 50,
 * 99, 99.9 and 99.99 % of them at most, and the longest.
 *
 * usage: many_sites SECONDS [SITES]
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

/* Durations, in cells of 1/64 of a power of two: a quantile is right within 1.6 %. */
#define CELLS_PER_OCTAVE 64u
#define CELLS (40u * CELLS_PER_OCTAVE)

static unsigned long cells[CELLS];
static unsigned long steps;

static void note(double seconds)
{
    unsigned long nanoseconds = seconds > 0 ? (unsigned long)(seconds * 1e9) + 1 : 1;
    unsigned octave = 63u - (unsigned)__builtin_clzl(nanoseconds);
    unsigned part = (unsigned)(((double)nanoseconds / (double)(1ul << octave) - 1)
                               * CELLS_PER_OCTAVE);
    unsigned cell = octave * CELLS_PER_OCTAVE + part;
    cells[cell < CELLS ? cell : CELLS - 1]++;
    steps++;
}

/* What this part of all steps was not longer than, in microseconds. */
static double quantile(double part)
{
    unsigned long seen = 0;
    unsigned cell = 0;
    while (cell + 1 < CELLS && (double)(seen += cells[cell]) < part * (double)steps) {
        cell++;
    }
    double base = (double)(1ul << cell / CELLS_PER_OCTAVE);
    return base * (1 + (cell % CELLS_PER_OCTAVE + 1.0) / CELLS_PER_OCTAVE) / 1e3;
}

int main(int argc, char **argv)
{
    double end = now_seconds() + (argc > 1 ? atof(argv[1]) : 3);
    unsigned paths = argc > 2 ? (unsigned)atoi(argv[2]) / 2 : PATHS;
    if (paths == 0 || paths > PATHS) {
        fprintf(stderr, "many_sites: 2 to %u sites\n", 2 * PATHS);
        return 64;
    }
    unsigned rounds = 0;
    double longest = 0;
    for (double now = now_seconds(); now < end; rounds++) {
        for (unsigned path = 0; path < paths; path++) {
            step(path, 0);
            if (path % 32 == 31) {
                double then = now;
                now = now_seconds();
                if (rounds > 2) { /* the first rounds meet new stacks */
                    note(now - then);
                    longest = now - then > longest ? now - then : longest;
                }
            }
        }
    }
    printf("%lu %.1f %.1f %.1f %.1f %.1f\n", steps, quantile(0.5), quantile(0.99), quantile(0.999),
           quantile(0.9999), longest * 1e6);
    return 0;
}
