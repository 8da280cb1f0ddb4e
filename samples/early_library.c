/*
 * early_library.c - a library whose constructor allocates before that of a preloaded library
 * has run; before_main.cpp links it.
 */
#include <stdlib.h>

void *early_library_block;

__attribute__((noinline)) void early_library_starts(void);

__attribute__((constructor, noinline)) void early_library_starts(void)
{
    early_library_block = malloc(1001);
    free(malloc(77));
    early_library_block = realloc(early_library_block, 2002);
}
