/*
 * limited_start.c - applies a limit to itself, then execs the rest of its arguments, so that the
 * program starts under it.
 *
 * usage: limited_start memory|file-size|files VALUE PROGRAM [ARG...]
 *
 * Truth
 *   total: allocations 0, frees 0
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    if (count < 4) {
        return 2;
    }
    rlim_t value = (rlim_t)strtoull(arguments[2], NULL, 10);
    struct rlimit both = {.rlim_cur = value, .rlim_max = value};
    int status = -1;
    if (strcmp(arguments[1], "memory") == 0) {
        status = setrlimit(RLIMIT_AS, &both);
    } else if (strcmp(arguments[1], "file-size") == 0) {
        status = setrlimit(RLIMIT_FSIZE, &both);
    } else if (strcmp(arguments[1], "files") == 0) {
        status = setrlimit(RLIMIT_NOFILE, &both);
    }
    if (status != 0) {
        return 3;
    }
    execv(arguments[3], arguments + 3);
    return 127;
}
