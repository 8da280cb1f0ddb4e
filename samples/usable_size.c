/*
 * usable_size.c - a program that uses all that malloc_usable_size grants it: the numbers are
 * those of what was asked for, and nothing of the tracker's lies in the rest.
 *
 * Truth
 *   total: allocations 2000, frees 2000, live_blocks 0, live_bytes 0
 *   fills(): allocations 2000, frees 2000, allocated_bytes 1999000
 *   status: 0
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { SIZES = 2000 };

static unsigned char *blocks[SIZES];
static size_t usable_bytes[SIZES];

__attribute__((noinline)) static void fills(void)
{
    for (size_t i = 0; i < SIZES; i++) {
        blocks[i] = malloc(i);
        usable_bytes[i] = malloc_usable_size(blocks[i]);
        if (usable_bytes[i] < i) {
            abort();
        }
        memset(blocks[i], (int)(i & 0xff), usable_bytes[i]);
    }
}

int main(void)
{
    fills();
    for (size_t i = 0; i < SIZES; i++) {
        for (size_t byte = 0; byte < usable_bytes[i]; byte++) {
            if (blocks[i][byte] != (i & 0xff)) {
                abort();
            }
        }
        free(blocks[i]);
    }
    return malloc_usable_size(NULL) == 0 ? 0 : 1;
}
