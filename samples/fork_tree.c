/*
 * fork_tree.c - a parent, two children, a grandchild: each an entry with its own numbers.
 *
 * The children inherit the 100 blocks that live when they are forked: live in them, but not
 * their allocations; what they free of them counts as their frees.
 *
 * Truth
 *   total: allocations 110, frees 10, live_blocks 100, live_bytes 3200
 *   parent_blocks(): allocations 100, frees 0
 *   child 1 total: allocations 7, frees 107, live_blocks 0, inherited_blocks 100, inherited_bytes 3200
 *   child 1 of child 1 total: allocations 3, frees 3, live_blocks 105, inherited_blocks 105
 *   child 2 total: allocations 2, frees 0, live_blocks 102, live_bytes 4200, inherited_blocks 100
 *   status: 0
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void *parents[100];

__attribute__((noinline)) static void parent_blocks(void)
{
    for (int i = 0; i < 100; i++) {
        parents[i] = malloc(32);
    }
}

__attribute__((noinline)) static void wait_for_child(pid_t child)
{
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        abort();
    }
}

__attribute__((noinline)) static void grandchild(void)
{
    void *blocks[3];
    for (int i = 0; i < 3; i++) {
        blocks[i] = malloc(16);
    }
    for (int i = 0; i < 3; i++) {
        free(blocks[i]);
    }
}

__attribute__((noinline)) static void first_child(void)
{
    void *blocks[7];
    for (int i = 0; i < 5; i++) {
        blocks[i] = malloc(48);
    }
    pid_t child = fork();
    if (child == 0) {
        grandchild();
        _exit(0);
    }
    wait_for_child(child);
    for (int i = 5; i < 7; i++) {
        blocks[i] = malloc(48);
    }
    for (int i = 0; i < 7; i++) {
        free(blocks[i]);
    }
    for (int i = 0; i < 100; i++) {
        free(parents[i]);
    }
}

__attribute__((noinline)) static void second_child(void)
{
    parents[0] = malloc(500);
    parents[1] = malloc(500);
}

__attribute__((noinline)) static void afterwards(void)
{
    for (int i = 0; i < 10; i++) {
        free(malloc(8));
    }
}

int main(void)
{
    parent_blocks();
    pid_t child = fork();
    if (child == 0) {
        first_child();
        _exit(0);
    }
    wait_for_child(child);
    child = fork();
    if (child == 0) {
        second_child();
        exit(0);
    }
    wait_for_child(child);
    afterwards();
    return 0;
}
