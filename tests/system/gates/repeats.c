/*
 * repeats.c - ways to allocate that repetitions tell apart.
 *
 * usage: repeats api          all of them, each repeated by memtrack_repeat(); prints NAME BYTES
 *        repeats NAME         one of them, once: memtrack check --repeat repeats main()
 *
 * Truth, bytes that each repetition adds
 *   0: keeps_one, keeps_one_later, doubles, refills_a_ring, varies, releases
 *   1: loses_a_byte, loses_beside_noise
 *   32: grows_reachable
 *   10: appends
 *   2: loses_mostly (3 bytes in about nine of ten)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memtrack/gate.h>

static unsigned calls;
static void *volatile kept;
static void *volatile lost;

static void keeps_one(void)
{
    if (kept == NULL) {
        kept = malloc(1000);
    }
}

static void keeps_one_later(void)
{
    if (++calls == 7) {
        kept = malloc(1000);
    }
}

static void doubles(void)
{
    static int *numbers;
    static size_t length, capacity;
    if (length == capacity) {
        capacity = capacity == 0 ? 4 : 2 * capacity;
        numbers = realloc(numbers, capacity * sizeof *numbers);
    }
    numbers[length++] = 1;
}

static void refills_a_ring(void)
{
    static void *ring[6];
    static unsigned at;
    free(ring[at % 6]);
    ring[at++ % 6] = malloc(20);
}

static void varies(void)
{
    static void *block;
    free(block);
    block = malloc(1 + (size_t)rand() % 1000);
}

static void releases(void)
{
    void *volatile block = malloc(64);
    free(block);
}

static void loses_a_byte(void)
{
    lost = malloc(1);
}

static void loses_beside_noise(void)
{
    varies();
    loses_a_byte();
}

static void grows_reachable(void)
{
    static void **chain;
    void **block = malloc(32);
    block[0] = chain;
    chain = block;
}

static void appends(void)
{
    static char *text;
    static size_t length;
    length += 10;
    text = realloc(text, length);
}

static void loses_mostly(void)
{
    if (calls++ % 10 != 5) {
        lost = malloc(3);
    }
}

static const struct way {
    const char *name;
    void (*function)(void);
} ways[] = {{"keeps_one", keeps_one},
            {"keeps_one_later", keeps_one_later},
            {"doubles", doubles},
            {"refills_a_ring", refills_a_ring},
            {"varies", varies},
            {"releases", releases},
            {"loses_a_byte", loses_a_byte},
            {"loses_beside_noise", loses_beside_noise},
            {"grows_reachable", grows_reachable},
            {"appends", appends},
            {"loses_mostly", loses_mostly}};

static void call(void *argument)
{
    const struct way *way = argument;
    way->function();
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (strcmp(name, "api") == 0) {
            calls = 0;
            printf("%s %lld\n", ways[i].name,
                   (long long)memtrack_repeat(ways[i].name, call, (void *)&ways[i], 20));
        } else if (strcmp(name, ways[i].name) == 0) {
            ways[i].function();
        }
    }
    return 0;
}
