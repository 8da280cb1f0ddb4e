/*
 * leaky.c - loses as many blocks as it is told to.
 *
 * usage: leaky clean | lose N | hold N | crash | daemonise | fail | release-inside
 *
 * Truth
 *   lose N: N blocks of 48 bytes definitely lost, allocated by lose_block()
 *   hold N: N blocks of 48 bytes reachable from the variable `held`
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct link {
    struct link *next;
    char rest[40];
};

struct link *held;

static void lose_block(void)
{
    struct link *block = malloc(sizeof *block);
    memset(block, 0, sizeof *block);
}

static void hold_block(void)
{
    struct link *block = malloc(sizeof *block);
    block->next = held;
    held = block;
}

/* Overwrites what earlier calls left on the stack. */
static void forget(void)
{
    volatile char rest[16384];
    memset((void *)rest, 0, sizeof rest);
}

static void daemonise(void)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            sleep(1);
            exit(0);
        }
        _exit(0);
    }
    usleep(200000);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int count = argc > 2 ? atoi(argv[2]) : 0;
    char *block = malloc(1000);
    for (int i = 0; i < count; i++) {
        strcmp(what, "lose") == 0 ? lose_block() : hold_block();
    }
    forget();
    if (strcmp(what, "crash") == 0) {
        abort();
    }
    if (strcmp(what, "daemonise") == 0) {
        daemonise();
    }
    if (strcmp(what, "release-inside") == 0) {
        char *volatile inside = block + 16;
        free(inside);
    }
    free(block);
    return strcmp(what, "fail") == 0 ? 5 : 0;
}
