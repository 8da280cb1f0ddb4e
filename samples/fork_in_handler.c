/*
 * fork_in_handler.c - a signal handler forks wherever it interrupts malloc and free; the children
 * return from it, go on with what was interrupted, and with 2 000 events more.
 *
 * Truth
 *   stdout: 100 forks, 0 bad
 *   status: 0
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORKS 100
#define BLOCKS 64
#define EVENTS_OF_A_CHILD 2000

static volatile sig_atomic_t forks;
static volatile sig_atomic_t bad;
static volatile sig_atomic_t is_child;

static void set_timer(long microseconds)
{
    struct itimerval timer = {.it_interval = {0, microseconds}, .it_value = {0, microseconds}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void handle(int number)
{
    (void)number;
    if (is_child || forks == FORKS) {
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        is_child = 1;
        set_timer(0);
        return;
    }
    int status = 1;
    forks++;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        bad++;
    }
}

int main(void)
{
    static void *blocks[BLOCKS];
    unsigned random = 1;
    int events = 0;
    signal(SIGALRM, handle);
    set_timer(2000);
    while (forks < FORKS || is_child) {
        random = random * 1103515245u + 12345u;
        unsigned at = random >> 16 & (BLOCKS - 1);
        free(blocks[at]);
        blocks[at] = malloc(random >> 8 & 511);
        events += is_child;
        if (events > EVENTS_OF_A_CHILD) {
            _exit(0);
        }
    }
    set_timer(0);
    printf("%d forks, %d bad\n", (int)forks, (int)bad);
    return bad != 0;
}
