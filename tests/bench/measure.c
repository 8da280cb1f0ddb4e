/*
 * measure.c - runs a command and writes down what it took.
 *
 * usage: measure RESULT COMMAND [ARG...]
 *
 * RESULT gets one line: exit status (negative: signal), wall ns, CPU us of the command and all it waited
 * for, CPU us of the command's own process alone, largest resident size in KiB of any of them.
 *
 * A process of its own, and a small one: a program started directly from an interpreter
 * would inherit the interpreter's resident size as its own maximum.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long time_us(struct timeval time)
{
    return time.tv_sec * 1000000LL + time.tv_usec;
}

/* CPU time of an ended process that nobody has waited for yet, without its children's.
 * The kernel counts it in clock ticks. */
static long long own_cpu_us(pid_t pid)
{
    char path[64];
    char text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    const char *fields = strrchr(text, ')');
    long long user = 0;
    long long system = 0;
    if (fields == NULL
        || sscanf(fields + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lld %lld", &user, &system)
               != 2) {
        return 0;
    }
    return (user + system) * (1000000 / sysconf(_SC_CLK_TCK));
}

int main(int count, char **arguments)
{
    if (count < 3) {
        fprintf(stderr, "usage: measure RESULT COMMAND [ARG...]\n");
        return 64;
    }
    FILE *result = fopen(arguments[1], "we");
    if (result == NULL) {
        fprintf(stderr, "measure: %s: %s\n", arguments[1], strerror(errno));
        return 125;
    }
    long long started = now_ns();
    pid_t child = fork();
    if (child == 0) {
        execv(arguments[2], arguments + 2);
        _exit(127);
    }
    siginfo_t info;
    int status = 0;
    struct rusage usage;
    if (child < 0 || waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) != 0) {
        fprintf(stderr, "measure: %s: %s\n", arguments[2], strerror(errno));
        return 125;
    }
    long long wall_ns = now_ns() - started;
    long long own_us = own_cpu_us(child);
    wait4(child, &status, 0, &usage);
    fprintf(result, "%d %lld %lld %lld %ld\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
            wall_ns, time_us(usage.ru_utime) + time_us(usage.ru_stime), own_us, usage.ru_maxrss);
    return fclose(result) == 0 ? 0 : 125;
}
