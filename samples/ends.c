/*
 * ends.c - every way in which a program can end; none of them may lose a number.
 *
 * usage: ends return|exit|_exit|quick_exit|abort|segv|kill|term|thread-exit|exec
 *
 * Truth
 *   total: allocations 1000, frees 600, allocated_bytes 64000, live_blocks 400, live_bytes 25600, peak_bytes 64000
 *   work(): allocations 1000, frees 600, live_bytes 25600
 *   status of return: 7
 *   status of exit: 7
 *   status of _exit: 7
 *   status of quick_exit: 7
 *   status of abort: 134
 *   status of segv: 139
 *   status of kill: 137
 *   status of term: 143
 *   status of thread-exit: 0
 *   status of exec: 0
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 1000, RELEASED = 600 };

static void *blocks[BLOCKS];

__attribute__((noinline)) static void work(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(64);
    }
    for (int i = 0; i < RELEASED; i++) {
        free(blocks[i]);
    }
}

int main(int count, char **arguments)
{
    const char *how = count > 1 ? arguments[1] : "return";
    work();
    if (strcmp(how, "exit") == 0) {
        exit(7);
    } else if (strcmp(how, "_exit") == 0) {
        _exit(7);
    } else if (strcmp(how, "quick_exit") == 0) {
        quick_exit(7);
    } else if (strcmp(how, "abort") == 0) {
        abort();
    } else if (strcmp(how, "segv") == 0) {
        volatile int *nowhere = NULL;
        *nowhere = 1;
    } else if (strcmp(how, "kill") == 0) {
        kill(getpid(), SIGKILL);
    } else if (strcmp(how, "term") == 0) {
        raise(SIGTERM);
    } else if (strcmp(how, "thread-exit") == 0) {
        pthread_exit(NULL);
    } else if (strcmp(how, "exec") == 0) {
        execl("/bin/true", "true", (char *)NULL);
    }
    return 7;
}
