#include "commands/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct pager {
    FILE *input;
    pid_t pid;
    struct sigaction interrupt; /* what was before */
    struct sigaction quit;
    struct sigaction pipe;
};

extern char **environ;

/* Whether the shell would find the command's first word; what is not a plain word is the
 * shell's to judge. */
static bool pager_exists(const char *command)
{
    size_t length = strcspn(command, " ");
    if (command[strcspn(command, "|&;<>()$`\\\"'*?[#~=%\n\t")] != '\0') {
        return true;
    }
    char path[4096];
    if (memchr(command, '/', length) != NULL) {
        snprintf(path, sizeof(path), "%.*s", (int)length, command);
        return access(path, X_OK) == 0;
    }
    const char *folders = getenv("PATH");
    while (folders != NULL && *folders != '\0') {
        size_t folder = strcspn(folders, ":");
        snprintf(path, sizeof(path), "%.*s/%.*s", (int)folder, folders, (int)length, command);
        if (access(path, X_OK) == 0) {
            return true;
        }
        folders += folder + (folders[folder] == ':');
    }
    return false;
}

/* The command to run; NULL: none is wanted, or there is none. */
static const char *pager_choose(void)
{
    const char *variable = getenv("MEMTRACK_PAGER") != NULL ? "MEMTRACK_PAGER" : "PAGER";
    const char *command = getenv(variable);
    if (command == NULL) {
        return pager_exists("less") ? "less" : NULL;
    }
    if (command[0] == '\0' || strcmp(command, "cat") == 0) {
        return NULL;
    }
    if (!pager_exists(command)) {
        fprintf(stderr, "memtrack: %s=%s: no such program, output is not paged: install it, or set "
                        "%s=cat\n",
                variable, command, variable);
        return NULL;
    }
    return command;
}

/* Starts the shell with `input` as its stdin. Signals are as they were before. */
static int pager_spawn(struct pager *pager, const char *command, int input)
{
    posix_spawn_file_actions_t actions;
    char shell[] = "/bin/sh";
    char flag[] = "-c";
    char *text = strdup(command);
    char *arguments[] = {shell, flag, text, NULL};
    if (text == NULL || posix_spawn_file_actions_init(&actions) != 0) {
        free(text);
        return -ENOMEM;
    }
    int code = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    if (code == 0) {
        code = posix_spawn(&pager->pid, shell, &actions, NULL, arguments, environ);
    }
    posix_spawn_file_actions_destroy(&actions);
    free(text);
    return -code;
}

/* Ctrl-C is for the pager, which has the terminal; and one that ended early is no failure. */
static void pager_ignore_signals(struct pager *pager)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGINT, &ignore, &pager->interrupt);
    sigaction(SIGQUIT, &ignore, &pager->quit);
    sigaction(SIGPIPE, &ignore, &pager->pipe);
}

struct pager *pager_open(void)
{
    static struct pager pager;
    int ends[2];
    const char *command = isatty(STDOUT_FILENO) == 1 ? pager_choose() : NULL;
    if (command == NULL || pipe2(ends, O_CLOEXEC) != 0) {
        return NULL;
    }
    setenv("LESS", "FRX", 0);
    setenv("LV", "-c", 0);
    int code = pager_spawn(&pager, command, ends[0]);
    close(ends[0]);
    pager.input = code == 0 ? fdopen(ends[1], "w") : NULL;
    if (pager.input == NULL) {
        close(ends[1]);
        return NULL;
    }
    pager_ignore_signals(&pager);
    return &pager;
}

FILE *pager_input(const struct pager *pager)
{
    return pager->input;
}

void pager_close(struct pager *pager)
{
    int status;
    (void)fclose(pager->input); /* unread output is the person's choice */
    while (waitpid(pager->pid, &status, 0) < 0 && errno == EINTR) {
    }
    sigaction(SIGINT, &pager->interrupt, NULL);
    sigaction(SIGQUIT, &pager->quit, NULL);
    sigaction(SIGPIPE, &pager->pipe, NULL);
}
