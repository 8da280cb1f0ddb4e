/*
 * exceptions.cpp - exceptions thrown through many frames, caught in the same thread and carried
 * over to another one. The program's own unwinder must keep working, and the exception objects
 * are allocations of the function that throws.
 *
 * Truth
 *   throws(): allocations 4000, frees 4000, live_blocks 0
 *   fails_in_thread(): allocations 200, frees 200, live_blocks 0
 *   status: 0
 *   stdout: caught 4000, carried over 200
 */
#include <cstdio>
#include <exception>
#include <thread>

namespace {

struct failure {
    long code;
    char text[40];
};

volatile long caught;
volatile bool is_throw_wanted = true;

} // namespace

__attribute__((noinline)) void throws(long code)
{
    if (is_throw_wanted) {
        throw failure{code, "thrown on purpose"};
    }
}

struct guard {
    long *count;
    ~guard()
    {
        ++*count;
    }
};

__attribute__((noinline)) long descends(long depth, long *cleaned)
{
    guard g{cleaned};
    if (depth == 0) {
        throws(*cleaned);
        return 0;
    }
    return descends(depth - 1, cleaned) + 1;
}

void storm(int count)
{
    for (int i = 0; i < count; i++) {
        long cleaned = 0;
        try {
            descends(20, &cleaned);
        } catch (const failure &) {
            if (cleaned == 21) {
                __atomic_add_fetch(&caught, 1, __ATOMIC_RELAXED);
            }
        }
    }
}

__attribute__((noinline)) void fails_in_thread()
{
    throw failure{1, "carried over"};
}

int main()
{
    std::thread threads[4];
    for (auto &thread : threads) {
        thread = std::thread(storm, 1000);
    }
    for (auto &thread : threads) {
        thread.join();
    }
    long carried = 0;
    for (int i = 0; i < 200; i++) {
        std::exception_ptr pointer;
        std::thread([&pointer] {
            try {
                fails_in_thread();
            } catch (...) {
                pointer = std::current_exception();
            }
        }).join();
        try {
            std::rethrow_exception(pointer);
        } catch (const failure &) {
            carried++;
        }
    }
    std::printf("caught %ld, carried over %ld\n", caught, carried);
    return caught == 4000 && carried == 200 ? 0 : 1;
}
