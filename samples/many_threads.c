/*
 * many_threads.c - 1 200 threads that come and go, eight at a time; each frees its last block
 * in a destructor of thread-specific data, after its start function has returned.
 *
 * What pthread_create allocates for itself is not part of the truth.
 *
 * Truth
 *   in_thread(): allocations 12000, frees 12000, allocated_bytes 384000, live_blocks 0, live_bytes 0, temporary_allocations 1200
 *   leaves_one(): allocations 1200, frees 0, live_blocks 1200, live_bytes 8400
 *   status: 0
 */
#include <pthread.h>
#include <stdlib.h>

enum { ROUNDS = 150, AT_A_TIME = 8, BLOCKS = 10 };

static pthread_key_t key;
static void *volatile left;

/* The first block goes last, in the destructor; of the others the ninth is a temporary. */
__attribute__((noinline)) static void in_thread(void)
{
    void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(32);
    }
    for (int i = 1; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    pthread_setspecific(key, blocks[0]);
}

__attribute__((noinline)) static void leaves_one(void)
{
    left = malloc(7);
}

static void *start(void *unused)
{
    leaves_one();
    in_thread();
    return unused;
}

__attribute__((noinline)) static void run_round(void)
{
    pthread_t threads[AT_A_TIME];
    for (int i = 0; i < AT_A_TIME; i++) {
        if (pthread_create(&threads[i], NULL, start, NULL) != 0) {
            abort();
        }
    }
    for (int i = 0; i < AT_A_TIME; i++) {
        pthread_join(threads[i], NULL);
    }
}

int main(void)
{
    if (pthread_key_create(&key, free) != 0) {
        return 1;
    }
    for (int i = 0; i < ROUNDS; i++) {
        run_round();
    }
    return 0;
}
