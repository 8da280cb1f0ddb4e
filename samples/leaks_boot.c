/*
 * leaks_boot.c - the only pointer to a block stands in a block that was allocated while the
 * tracker looked for the real malloc: see leaks_boot_library.c.
 *
 * Under memtrack only: without it the loader asks for malloc before the library is ready.
 *
 * Truth
 *   boot: reachable 1
 */
#include <stdio.h>
#include <stdlib.h>

extern void *leaks_boot_block;

__attribute__((noinline)) static void *subject(void)
{
    return malloc(64);
}

int main(void)
{
    if (leaks_boot_block == NULL) {
        puts("no block of before main");
        return 1;
    }
    ((void *volatile *)leaks_boot_block)[4] = subject();
    leaks_boot_block = (void *)~(unsigned long)leaks_boot_block; /* that it leads there alone */
    return 0;
}
