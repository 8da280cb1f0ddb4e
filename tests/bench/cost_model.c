/*
 * cost_model.c - what a pair of malloc and free costs, in CPU time of the thread, as one
 * thing at a time grows: the stack's depth, the number of sites, of live blocks, of threads.
 *
 * Prints lines "dimension value nanoseconds". Run it alone and under memtrack: the
 * difference is the price. tests/bench/cost.py does that and makes a table.
 *
 *   cost_model replace PAIRS LIVE   only makes PAIRS random replacements among LIVE blocks,
 *                                   for tests/bench/steps.py, which counts instructions
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 7
#define PAIRS 200000
#define THREADS_MAX 64

/* Keeps the compiler from turning recursion into a loop and pairs into nothing. */
#define OPAQUE(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")

static double thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void pair(void)
{
    void *block = malloc(64);
    OPAQUE(block);
    free(block);
}

static void pairs(void *unused)
{
    (void)unused;
    for (int i = 0; i < PAIRS; i++) {
        pair();
    }
}

/* ---- depth: every capture equals the one before it ------------------------ */

static void at_depth(int depth, void (*run)(void *), void *argument)
{
    if (depth > 0) {
        at_depth(depth - 1, run, argument);
    } else {
        run(argument);
    }
    OPAQUE(run);
}

/* ---- sites: each pair comes from another stack than the one before -------- */

static void path(unsigned bits, unsigned length);

static __attribute__((noinline)) void left(unsigned bits, unsigned length)
{
    path(bits >> 1, length - 1);
    OPAQUE(bits);
}

static __attribute__((noinline)) void right(unsigned bits, unsigned length)
{
    path(bits >> 1, length - 1);
    OPAQUE(bits);
}

static __attribute__((noinline)) void path(unsigned bits, unsigned length)
{
    if (length == 0) {
        pair();
    } else if ((bits & 1) != 0) {
        right(bits, length);
    } else {
        left(bits, length);
    }
    OPAQUE(bits);
}

struct sites {
    unsigned count;
    unsigned length; /* bits */
};

static void over_sites(void *argument)
{
    const struct sites *sites = argument;
    unsigned site = 0;
    for (int i = 0; i < PAIRS; i++) {
        /* A fixed stride visits all of a power of two, far from each other. */
        site = (site + 0x9e3779b1u) & (sites->count - 1);
        path(site, sites->length);
    }
}

/* ---- live blocks: random replacement in a large heap ---------------------- */

struct heap {
    void **blocks;
    size_t count;
    uint64_t random;
};

static void replace(struct heap *heap, size_t pairs)
{
    for (size_t i = 0; i < pairs; i++) {
        heap->random = heap->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        size_t at = (size_t)(heap->random >> 33) % heap->count;
        free(heap->blocks[at]);
        heap->blocks[at] = malloc(64);
    }
}

static void over_heap(void *argument)
{
    replace(argument, PAIRS);
}

/* ---- the measurement ------------------------------------------------------ */

static double best_ns(void (*run)(void *), void *argument, int depth)
{
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double before = thread_ns();
        at_depth(depth, run, argument);
        double ns = (thread_ns() - before) / PAIRS;
        best = ns < best ? ns : best;
    }
    return best;
}

struct worker {
    pthread_barrier_t *barrier;
    double ns;
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct heap heap = {.blocks = calloc(1000, sizeof(void *)), .count = 1000, .random = 1};
    pthread_barrier_wait(worker->barrier);
    worker->ns = best_ns(over_heap, &heap, 4);
    for (size_t i = 0; i < heap.count; i++) {
        free(heap.blocks[i]);
    }
    free(heap.blocks);
    return NULL;
}

static double threads_ns(unsigned count)
{
    static struct worker workers[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, count);
    for (unsigned i = 0; i < count; i++) {
        workers[i].barrier = &barrier;
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0) {
            fputs("cost_model: a thread could not be started\n", stderr);
            exit(1);
        }
    }
    double sum = 0;
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        sum += workers[i].ns;
    }
    pthread_barrier_destroy(&barrier);
    return sum / count;
}

struct replacement {
    struct heap heap;
    size_t pairs;
};

static void replace_some(void *argument)
{
    struct replacement *replacement = argument;
    replace(&replacement->heap, replacement->pairs);
}

static int replace_only(const char *pairs, const char *live)
{
    struct replacement run = {.pairs = strtoul(pairs, NULL, 10),
                              .heap.count = strtoul(live, NULL, 10)};
    run.heap.blocks = calloc(run.heap.count, sizeof(void *));
    if (run.heap.count == 0 || run.heap.blocks == NULL) {
        fputs("cost_model: LIVE is the number of live blocks, at least 1\n", stderr);
        return 2;
    }
    for (size_t block = 0; block < run.heap.count; block++) {
        run.heap.blocks[block] = malloc(64);
    }
    at_depth(4, replace_some, &run);
    return 0;
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 4 && strcmp(arguments[1], "replace") == 0) {
        return replace_only(arguments[2], arguments[3]);
    }
    static const int depths[] = {1, 4, 16, 64, 120};
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        printf("depth %d %.1f\n", depths[i], best_ns(pairs, NULL, depths[i]));
    }
    static const struct sites sites[] = {{1, 14}, {16, 14}, {256, 14}, {4096, 14}, {16384, 14}};
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
        struct sites one = sites[i];
        printf("sites %u %.1f\n", one.count, best_ns(over_sites, &one, 0));
    }
    static const size_t counts[] = {1000, 30000, 1000000, 4000000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct heap heap = {.blocks = calloc(counts[i], sizeof(void *)), .count = counts[i]};
        for (size_t block = 0; block < counts[i]; block++) {
            heap.blocks[block] = malloc(64);
        }
        printf("live %zu %.1f\n", counts[i], best_ns(over_heap, &heap, 4));
        for (size_t block = 0; block < counts[i]; block++) {
            free(heap.blocks[block]);
        }
        free(heap.blocks);
    }
    static const unsigned threads[] = {1, 2, 8, 64};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        printf("threads %u %.1f\n", threads[i], threads_ns(threads[i]));
    }
    return 0;
}
