/*
 * live_blocks.c - holds many small blocks at once, for measuring the memory that tracking needs.
 *
 * usage: live_blocks COUNT SIZE
 *
 * Truth
 *   total with 1000 64: allocations 1001, frees 0, live_blocks 1001, live_bytes 72000
 *   hold() with 1000 64: allocations 1000, live_bytes 64000, peak_bytes 64000
 *   status: 0
 */
#include <stdlib.h>

static void **blocks;

__attribute__((noinline)) static int hold(size_t count, size_t size_bytes)
{
    for (size_t i = 0; i < count; i++) {
        char *block = malloc(size_bytes);
        if (block == NULL) {
            return 1;
        }
        block[0] = 1;
        blocks[i] = block;
    }
    return 0;
}

int main(int count, char **arguments)
{
    size_t wanted = count > 1 ? strtoul(arguments[1], NULL, 10) : 1000;
    size_t size_bytes = count > 2 ? strtoul(arguments[2], NULL, 10) : 64;
    blocks = malloc(wanted * sizeof(*blocks));
    return blocks == NULL || size_bytes == 0 ? 1 : hold(wanted, size_bytes);
}
