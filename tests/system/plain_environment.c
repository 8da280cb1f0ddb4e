/*
 * plain_environment.c - preloaded by oracle_test.py: leaves the program PLAIN_PROGRAM (a path without
 * links) only the variables that KEEP_ENVIRONMENT names ("PATH:HOME"), just before its main runs.
 *
 * Tools hand themselves variables, and a program that copies its environment allocates for
 * each of them; so two tools' counts could never agree. By the time that __libc_start_main is
 * called, the tools' own libraries have started and read theirs.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int main_function(int, char **, char **);
typedef int start_function(main_function *, int, char **, main_function *, void (*)(void),
                           void (*)(void), void *);

static bool is_listed(const char *list, const char *variable)
{
    size_t length = strcspn(variable, "=");
    while (*list != '\0') {
        size_t name_length = strcspn(list, ":");
        if (name_length == length && strncmp(list, variable, length) == 0) {
            return true;
        }
        list += name_length + (list[name_length] == ':');
    }
    return false;
}

int __libc_start_main(main_function *program, int count, char **arguments, main_function *init,
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

int __libc_start_main(main_function *program, int count, char **arguments, main_function *init,
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    const char *keep = getenv("KEEP_ENVIRONMENT");
    const char *wanted = getenv("PLAIN_PROGRAM");
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[length < 0 ? 0 : length] = '\0';
    if (keep != NULL && wanted != NULL && strcmp(path, wanted) == 0) {
        char **kept = environ;
        for (char **variable = environ; *variable != NULL; variable++) {
            if (is_listed(keep, *variable)) {
                *kept++ = *variable;
            }
        }
        *kept = NULL;
    }
    start_function *next = NULL;
    *(void **)&next = dlsym(RTLD_NEXT, "__libc_start_main");
    return next(program, count, arguments, init, fini, rtld_fini, stack_end);
}
