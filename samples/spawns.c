/*
 * spawns.c - every way of starting another program or process.
 *
 * usage: spawns fork-exec|vfork-exec|posix-spawn|system|clone|vfork-allocates
 *        spawns child            what the others start: 5 allocations of 10 bytes, 4 freed
 *
 * A vfork child runs on its parent's memory until it execs: what it allocates counts for the
 * parent. A child by raw clone(SIGCHLD) has a copy of the memory, as by fork.
 *
 * Truth
 *   in_parent(): allocations 20, frees 0, live_bytes 200
 *   in_vfork_child(): allocations 2, frees 2
 *   child in_child(): allocations 5, frees 4, live_bytes 10
 *   child in_clone(): allocations 6, frees 6
 *   status: 0
 */
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static void *kept[20];

__attribute__((noinline)) static void in_parent(void)
{
    for (int i = 0; i < 20; i++) {
        kept[i] = malloc(10);
    }
}

__attribute__((noinline)) static void in_child(void)
{
    for (int i = 0; i < 5; i++) {
        kept[i] = malloc(10);
    }
    for (int i = 1; i < 5; i++) {
        free(kept[i]);
    }
}

__attribute__((noinline)) static void in_clone(void)
{
    for (int i = 0; i < 6; i++) {
        free(malloc(12));
    }
}

__attribute__((noinline)) static void in_vfork_child(void)
{
    void *first = malloc(14);
    void *second = malloc(14);
    free(first);
    free(second);
}

static int wait_for_child(pid_t child)
{
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return 1;
    }
    return status == 0 ? 0 : 1;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static pid_t start_by_vfork(char *self, int allocates)
{
    char *command[] = {self, (char *)"child", NULL};
    pid_t child = vfork();
    if (child == 0) {
        if (allocates) {
            in_vfork_child();
        }
        execv(self, command);
        _exit(1);
    }
    return child;
}
#pragma GCC diagnostic pop

int main(int count, char **arguments)
{
    const char *how = count > 1 ? arguments[1] : "";
    char *self = arguments[0];
    char *command[] = {self, (char *)"child", NULL};
    pid_t child = -1;
    if (strcmp(how, "child") == 0) {
        in_child();
        return 0;
    }
    in_parent();
    if (strcmp(how, "fork-exec") == 0) {
        child = fork();
        if (child == 0) {
            execv(self, command);
            _exit(1);
        }
    } else if (strcmp(how, "vfork-exec") == 0) {
        child = start_by_vfork(self, 0);
    } else if (strcmp(how, "vfork-allocates") == 0) {
        child = start_by_vfork(self, 1);
    } else if (strcmp(how, "posix-spawn") == 0) {
        if (posix_spawn(&child, self, NULL, NULL, command, environ) != 0) {
            return 1;
        }
    } else if (strcmp(how, "system") == 0) {
        return system("\"$SPAWNS\" child") == 0 ? 0 : 1;
    } else if (strcmp(how, "clone") == 0) {
        child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
        if (child == 0) {
            in_clone();
            _exit(0);
        }
    } else {
        return 2;
    }
    return wait_for_child(child);
}
