/*
 * temporaries.c - blocks freed by the thread that allocated them before it allocates again.
 *
 * Truth
 *   total: allocations 45, frees 45, live_blocks 0, live_bytes 0, temporary_allocations 33
 *   in_turn(): allocations 20, frees 20, temporary_allocations 20
 *   first_then_second(): allocations 2, frees 2, temporary_allocations 1
 *   second_then_first(): allocations 20, frees 20, temporary_allocations 10
 *   kept_across_another(): allocations 1, frees 1, temporary_allocations 0
 *   zeroed_and_duplicated(): allocations 2, frees 2, temporary_allocations 2
 *   status: 0
 */
#include <stdlib.h>
#include <string.h>

__attribute__((noinline)) static void in_turn(void)
{
    for (int i = 0; i < 10; i++) {
        free(malloc(24));
    }
}

/* b is a temporary: nothing was allocated between its birth and its end. a is none. */
__attribute__((noinline)) static void first_then_second(void)
{
    void *a = malloc(16);
    void *b = malloc(16);
    free(a);
    free(b);
}

__attribute__((noinline)) static void second_then_first(void)
{
    for (int i = 0; i < 10; i++) {
        void *a = malloc(16);
        void *b = malloc(16);
        free(b);
        free(a);
    }
}

__attribute__((noinline)) static void kept_across_another(void)
{
    void *a = malloc(16);
    in_turn();
    free(a);
}

__attribute__((noinline)) static void zeroed_and_duplicated(void)
{
    free(calloc(3, 5));
    free(strdup("for a moment"));
}

int main(void)
{
    in_turn();
    first_then_second();
    second_then_first();
    kept_across_another();
    zeroed_and_duplicated();
    return 0;
}
