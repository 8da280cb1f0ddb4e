/* memtrack: the command that a person calls. Anything that is not a command's name is a
 * program to record. */
#include <stdio.h>
#include <string.h>

#include "commands/run.h"
#include "commands/run_options.h"
#include "foundation/error.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

static const struct command commands[] = {
    {"run", command_run},
};

static int print_to_stdout(const char *text)
{
    if (fputs(text, stdout) < 0 || fflush(stdout) != 0) {
        return MT_STATUS_FAILED;
    }
    return MT_STATUS_OK;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("memtrack: no program was named: memtrack PROGRAM [ARG...] records one, memtrack"
              " --help says more\n",
              stderr);
        return MT_STATUS_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        return print_to_stdout("memtrack " MEMTRACK_VERSION "\n");
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    return command_run(argc, argv);
}
