/*
 * handed_over.c - blocks allocated in one thread and freed in another.
 *
 * Truth
 *   produce(): allocations 100000, frees 100000, allocated_bytes 4000000, freed_bytes 4000000, live_blocks 0, live_bytes 0, temporary_allocations 0
 *   status: 0
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sched.h>

enum { BLOCKS = 100000, SLOTS = 64 };

static _Atomic(void *) slots[SLOTS];

__attribute__((noinline)) static void produce(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        void *block = malloc(40);
        while (atomic_load(&slots[i % SLOTS]) != NULL) {
            sched_yield();
        }
        atomic_store(&slots[i % SLOTS], block);
    }
}

__attribute__((noinline)) static void *consume(void *unused)
{
    for (int i = 0; i < BLOCKS; i++) {
        void *block = NULL;
        while ((block = atomic_exchange(&slots[i % SLOTS], NULL)) == NULL) {
            sched_yield();
        }
        free(block);
    }
    return unused;
}

int main(void)
{
    pthread_t consumer;
    if (pthread_create(&consumer, NULL, consume, NULL) != 0) {
        return 1;
    }
    produce();
    pthread_join(consumer, NULL);
    return 0;
}
