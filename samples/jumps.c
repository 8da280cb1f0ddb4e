/*
 * jumps.c - longjmp over frames that allocated, and siglongjmp out of a signal handler that
 * allocated: stacks stay exact afterwards.
 *
 * Truth
 *   total: allocations 1600, frees 1500, live_blocks 100
 *   at_the_bottom(): allocations 1000, frees 1000, live_blocks 0
 *   in_handler(): allocations 100, frees 0, live_blocks 100, live_bytes 700
 *   after_the_jump(): allocations 500, frees 500, live_blocks 0
 *   status: 0
 */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>

static jmp_buf place;
static sigjmp_buf signal_place;
static void *held;
static void *volatile lost;
static volatile int is_jump_wanted = 1;

__attribute__((noinline)) static void at_the_bottom(void)
{
    held = malloc(20);
    if (is_jump_wanted) {
        longjmp(place, 1);
    }
}

__attribute__((noinline)) static void descends(int depth)
{
    if (depth > 0) {
        descends(depth - 1);
        __asm__ volatile("" : : : "memory");
    } else {
        at_the_bottom();
    }
}

__attribute__((noinline)) static void after_the_jump(void)
{
    free(malloc(30));
}

__attribute__((noinline)) static void in_handler(void)
{
    lost = malloc(7);
}

static void handle(int number)
{
    (void)number;
    in_handler();
    siglongjmp(signal_place, 1);
}

int main(void)
{
    for (volatile int i = 0; i < 1000; i++) {
        if (setjmp(place) == 0) {
            descends(i % 30);
        }
        free(held);
        if (i % 2 == 0) {
            after_the_jump();
        }
    }
    signal(SIGUSR1, handle);
    for (volatile int i = 0; i < 100; i++) {
        if (sigsetjmp(signal_place, 1) == 0) {
            raise(SIGUSR1);
        }
    }
    return 0;
}
