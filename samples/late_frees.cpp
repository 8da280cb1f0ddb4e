/*
 * late_frees.cpp - memory that is released by what runs after main and after a thread's start
 * function: thread_local destructors, keys set again by their own destructor, atexit, on_exit,
 * destructors of globals and __attribute__((destructor)).
 *
 * Truth
 *   for_thread_local(): allocations 4, frees 4, live_blocks 0
 *   for_key(): allocations 4, frees 4, live_blocks 0
 *   in_key_destructor(): allocations 8, frees 8, live_blocks 0
 *   for_atexit(): allocations 1, frees 1, live_blocks 0
 *   for_global(): allocations 1, frees 1, live_blocks 0
 *   for_destructor(): allocations 1, frees 1, live_blocks 0
 *   in_destructor(): allocations 2, frees 1, live_blocks 1, live_bytes 99
 *   status: 0
 */
#include <cstdlib>
#include <pthread.h>
#include <thread>

namespace {

pthread_key_t key;
void *atexit_block;
void *destructor_block;
void *volatile leaked;

struct owner {
    void *block = nullptr;
    ~owner()
    {
        std::free(block);
    }
};

thread_local owner local_owner;
owner global_owner;

} // namespace

__attribute__((noinline)) void for_thread_local()
{
    local_owner.block = std::malloc(10);
}

__attribute__((noinline)) void for_key()
{
    pthread_setspecific(key, std::malloc(20));
}

/* Twice more for each thread: the second and third round of the key's destructors. */
thread_local int rounds;
__attribute__((noinline)) void *in_key_destructor()
{
    return std::malloc(30);
}

extern "C" void key_destructor(void *block)
{
    std::free(block);
    if (rounds < 2) {
        rounds++;
        pthread_setspecific(key, in_key_destructor());
    }
}

__attribute__((noinline)) void for_atexit()
{
    atexit_block = std::malloc(40);
}

__attribute__((noinline)) void for_global()
{
    global_owner.block = std::malloc(50);
}

__attribute__((noinline)) void for_destructor()
{
    destructor_block = std::malloc(60);
}

__attribute__((destructor, noinline)) void in_destructor()
{
    std::free(destructor_block);
    void *block = std::malloc(70);
    leaked = std::malloc(99);
    std::free(block);
}

int main()
{
    if (pthread_key_create(&key, key_destructor) != 0) {
        return 1;
    }
    for_atexit();
    for_global();
    for_destructor();
    std::atexit([] { std::free(atexit_block); });
    for (int i = 0; i < 4; i++) {
        std::thread([] {
            for_thread_local();
            for_key();
        }).join();
    }
    return 0;
}
