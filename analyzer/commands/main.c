/* memtrack: the command that a person calls. Anything that is not a command's name is a
 * program to record. */
#include "commands/command.h"
#include "commands/memcheck.h"
#include "commands/run.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int main_finish_stdout(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("memtrack: stdout: it could not be written, check where it goes\n", stderr);
        return MT_STATUS_FAILED;
    }
    return MT_STATUS_OK;
}

/* Whether the PATH (or the path itself) has a program of that name. */
static bool main_is_program(const char *name)
{
    if (strchr(name, '/') != NULL) {
        return true;
    }
    const char *folders = getenv("PATH");
    char path[4096];
    while (folders != NULL && *folders != '\0') {
        size_t length = strcspn(folders, ":");
        int written = snprintf(path, sizeof(path), "%.*s/%s", (int)length, folders, name);
        if (written > 0 && (size_t)written < sizeof(path) && access(path, X_OK) == 0) {
            return true;
        }
        folders += length + (folders[length] == ':');
    }
    return false;
}

static int main_help(int argc, char **argv)
{
    if (argc < 3) {
        return command_print_help(stdout);
    }
    const struct command *command = command_find(argv[2]);
    if (command != NULL) {
        char help[] = "--help";
        char *arguments[] = {argv[2], help, NULL};
        return command->run(2, arguments);
    }
    struct mt_error error = {0};
    const char *guess = command_guess_name(argv[2]);
    mt_error_set(&error, -1, MT_STATUS_USAGE, "%s: no such command, %s%s%s", argv[2],
                 guess != NULL ? "did you mean `memtrack help " : "see `memtrack --help",
                 guess != NULL ? guess : "", guess != NULL ? "`?" : "`");
    return command_fail(&error);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    if (argc < 2) {
        fputs("memtrack: no program was named: memtrack PROGRAM [ARG...] records one, memtrack"
              " --help says more\n",
              stderr);
        return MT_STATUS_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("memtrack " MEMTRACK_VERSION);
        return main_finish_stdout();
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return command_print_help(stdout);
    }
    if (strcmp(argv[1], "help") == 0) {
        return main_help(argc, argv);
    }
    const struct command *command = command_find(argv[1]);
    if (command != NULL) {
        return command->run(argc - 1, argv + 1);
    }
    if (memcheck_is_meant(argc, argv)) {
        return command_memcheck(argc, argv);
    }
    const char *guess = argv[1][0] != '-' ? command_guess_name(argv[1]) : NULL;
    if (guess != NULL && !main_is_program(argv[1])) {
        struct mt_error error = {0};
        mt_error_set(&error, -1, MT_STATUS_USAGE,
                     "%s: neither a command nor a program, did you mean `memtrack %s`?", argv[1],
                     guess);
        return command_fail(&error);
    }
    return command_run(argc, argv);
}
