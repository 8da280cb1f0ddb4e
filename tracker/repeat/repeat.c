/*
 * repeat.c - calls a program's main() several times, with a snapshot after each.
 *
 * Preloaded by `memtrack check --repeat N`, beside the shim, into the program that it
 * starts and into no other: MEMTRACK_REPEAT is taken out of the environment at once, so
 * that children run their main() once. A main() that does not return 0 is not called
 * again; one that calls exit() ends the program, and the check says that a repetition is
 * missing.
 *
 * Context: inside the tracked program, its main thread. Memory: none.
 * Source:  glibc, csu/libc-start.c: the arguments of __libc_start_main.
 */
#include <dlfcn.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memtrack/memtrack.h>

#define REPETITIONS_MAX 1000
#define ARGUMENTS_MAX 4096

typedef int (*main_function)(int argc, char **argv, char **environment);
typedef int (*start_function)(main_function function, int argc, char **argv, void (*init)(void),
                              void (*fini)(void), void (*loader_fini)(void), void *stack_end);

static main_function program_main;
static int repetitions;

static int repeating_main(int argc, char **argv, char **environment)
{
    /* getopt moves arguments, and remembers where it was. */
    static char *original[ARGUMENTS_MAX];
    int status = 0;
    bool has_original = argc < ARGUMENTS_MAX;
    for (int i = 0; has_original && i <= argc; i++) {
        original[i] = argv[i];
    }
    for (int i = 0; i < repetitions && status == 0; i++) {
        char label[40];
        for (int k = 0; has_original && k <= argc; k++) {
            argv[k] = original[k];
        }
        if (i > 0) {
            optind = 0;
        }
        status = program_main(argc, argv, environment);
        snprintf(label, sizeof label, "repetition %d", i + 1);
        (void)memtrack_snapshot(label);
    }
    return status;
}

int __libc_start_main(main_function function, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*loader_fini)(void), void *stack_end)
    __attribute__((visibility("default")));

int __libc_start_main(main_function function, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*loader_fini)(void), void *stack_end)
{
    start_function start;
    *(void **)&start = dlsym(RTLD_NEXT, "__libc_start_main");
    const char *asked = getenv("MEMTRACK_REPEAT");
    repetitions = asked == NULL ? 1 : atoi(asked);
    unsetenv("MEMTRACK_REPEAT");
    if (repetitions > 1 && repetitions <= REPETITIONS_MAX) {
        program_main = function;
        function = repeating_main;
    }
    return start(function, argc, argv, init, fini, loader_fini, stack_end);
}
