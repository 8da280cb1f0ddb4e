/*
 * resident.c - memory of every kind that a resident size is made of, and what the kernel says
 * of it at the end.
 *
 * usage: resident [_exit|wait]
 *
 * Truth
 *   asked for and live: 20 480 000 bytes and what stdio takes
 *   asked for and freed, between live blocks, so that the allocator keeps it: 81 920 000 bytes
 *   own mapping: 33 554 432 bytes, all touched
 *   prints its resident bytes as /proc/self/smaps_rollup has them, as its last act; with wait it
 *   goes on, with little to do, until its standard input ends
 *   status: 0; with _exit: 3, by _exit
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEPT 2000
#define DROPPED 8000
#define BLOCK_BYTES 10240
#define MAPPING_BYTES (32u << 20)

static char *kept[KEPT];
static char *dropped[DROPPED];

static void *touched(size_t bytes)
{
    return memset(malloc(bytes), 1, bytes);
}

int main(int argc, char **argv)
{
    char line[256];
    long kilobytes = 0;
    for (int i = 0; i < DROPPED; i++) {
        dropped[i] = touched(BLOCK_BYTES);
        if (i % 4 == 3) {
            kept[i / 4] = touched(BLOCK_BYTES);
        }
    }
    char *mapping = mmap(NULL, MAPPING_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                         -1, 0);
    memset(mapping, 1, MAPPING_BYTES);
    for (int i = 0; i < DROPPED; i++) {
        free(dropped[i]);
    }
    usleep(300000); /* lives shorter than 100 ms are not looked at */
    FILE *rollup = fopen("/proc/self/smaps_rollup", "r");
    while (rollup != NULL && fgets(line, sizeof line, rollup) != NULL) {
        if (sscanf(line, "Rss: %ld kB", &kilobytes) == 1) {
            break;
        }
    }
    printf("%ld\n", kilobytes * 1024);
    fflush(stdout);
    if (argc > 1 && strcmp(argv[1], "_exit") == 0) {
        _exit(3);
    }
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (argc > 1 && poll(&input, 1, 5) == 0) {
        free(malloc(10));
    }
    return 0;
}
