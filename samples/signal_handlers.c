/*
 * signal_handlers.c - signal handlers that allocate, on the thread's stack and on an alternate
 * one. The signals are raised by the program itself, outside malloc, so that this is allowed.
 *
 * Truth
 *   total: allocations 1100, frees 1100, live_blocks 0
 *   on_own_stack(): allocations 500, frees 500
 *   on_other_stack(): allocations 500, frees 500
 *   in_main(): allocations 100, frees 100
 *   status: 0
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static char other_stack[65536];

__attribute__((noinline)) static void on_own_stack(void)
{
    free(malloc(40));
}

__attribute__((noinline)) static void on_other_stack(void)
{
    free(malloc(50));
}

static void handle(int number)
{
    if (number == SIGUSR1) {
        on_own_stack();
    } else {
        on_other_stack();
    }
}

__attribute__((noinline)) static void in_main(void)
{
    free(malloc(60));
}

int main(void)
{
    stack_t stack;
    memset(&stack, 0, sizeof(stack));
    stack.ss_sp = other_stack;
    stack.ss_size = sizeof(other_stack);
    if (sigaltstack(&stack, NULL) != 0) {
        return 1;
    }
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = handle;
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR2, &action, NULL);
    for (int i = 0; i < 500; i++) {
        raise(SIGUSR1);
        raise(SIGUSR2);
        if (i % 5 == 0) {
            in_main();
        }
    }
    return 0;
}
