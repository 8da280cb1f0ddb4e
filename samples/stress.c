/*
 * stress.c - allocates and frees as fast as it can, for measurements.
 *
 * usage: stress THREADS ROUNDS [local|handed-over]
 *
 * Each thread does ROUNDS rounds over a window of 64 blocks of 16 to 523 bytes: the oldest block is
 * released, a new one takes its place. handed-over: the released block is the neighbour's.
 *
 * Truth (what pthread_create allocates for itself apart)
 *   churn() with 2 1000 local: allocations 2000, frees 2000, live_blocks 0
 *   status: 0
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 64, THREADS_MAX = 256 };

struct worker {
    pthread_t thread;
    long rounds;
    struct worker *neighbour;
    _Alignas(64) _Atomic(void *) window[WINDOW];
};

static struct worker workers[THREADS_MAX];

__attribute__((noinline)) static void churn(struct worker *self)
{
    unsigned int random = 12345;
    for (long round = 0; round < self->rounds; round++) {
        random = random * 1103515245u + 12345u;
        char *block = malloc(16 + ((random >> 16) % 508));
        block[0] = 1;
        void *old = atomic_exchange_explicit(&self->neighbour->window[round % WINDOW], block,
                                             memory_order_acq_rel);
        free(old);
    }
}

static void *start(void *worker)
{
    churn(worker);
    return NULL;
}

int main(int count, char **arguments)
{
    int threads = count > 1 ? atoi(arguments[1]) : 1;
    long rounds = count > 2 ? atol(arguments[2]) : 1000000;
    int handed_over = count > 3 && strcmp(arguments[3], "handed-over") == 0;
    if (threads < 1 || threads > THREADS_MAX || rounds < 0) {
        return 2;
    }
    for (int i = 0; i < threads; i++) {
        workers[i].rounds = rounds;
        workers[i].neighbour = &workers[handed_over ? (i + 1) % threads : i];
    }
    for (int i = 1; i < threads; i++) {
        if (pthread_create(&workers[i].thread, NULL, start, &workers[i]) != 0) {
            return 1;
        }
    }
    churn(&workers[0]);
    for (int i = 1; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    for (int i = 0; i < threads; i++) {
        for (int slot = 0; slot < WINDOW; slot++) {
            free(atomic_load(&workers[i].window[slot]));
        }
    }
    return 0;
}
