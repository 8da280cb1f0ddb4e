/*
 * growth/held.c - grows until main() returns: once lost, once held by a variable of main(),
 * which at the end is gone as well.
 *
 * usage: held MILLISECONDS
 *
 * Truth (verdicts of `memtrack growth`)
 *   lose(): leak
 *   keep(): growing, with leak scans of the running program; leak, when one saw the end alone
 *   status: 0
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct node {
    struct node *next;
    char content[500];
};

__attribute__((noinline)) static void lose(void)
{
    struct node *volatile node = malloc(sizeof *node);
    memset(node, 0, sizeof *node);
    node = NULL;
}

__attribute__((noinline)) static struct node *keep(struct node *list)
{
    struct node *node = malloc(sizeof *node);
    memset(node, 0, sizeof *node);
    node->next = list;
    return node;
}

/* Overwrites what calls have left on the stack below its caller's frame. */
__attribute__((noinline)) static void wipe_stack(void)
{
    volatile char space[16384];
    memset((char *)space, 0, sizeof space);
    __asm__ volatile("" : : "r"(space) : "memory");
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

__attribute__((noinline)) static int run(long long end_ms)
{
    struct node *volatile list = NULL;
    while (now_ms() < end_ms) {
        lose();
        list = keep(list);
        wipe_stack();
        usleep(4000);
    }
    return list == NULL;
}

int main(int argc, char **argv)
{
    int status = run(now_ms() + (argc > 1 ? atoi(argv[1]) : 1000));
    wipe_stack();
    return status;
}
