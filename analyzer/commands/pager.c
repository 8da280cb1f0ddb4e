#include "commands/pager.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

FILE *pager_open(void)
{
    if (isatty(STDOUT_FILENO) != 1) {
        return NULL;
    }
    const char *command = getenv("MEMTRACK_PAGER");
    if (command == NULL) {
        command = getenv("PAGER");
    }
    if (command == NULL) {
        command = "less";
    }
    if (command[0] == '\0' || strcmp(command, "cat") == 0) {
        return NULL;
    }
    setenv("LESS", "FRX", 0);
    /* Who leaves the pager early ends nothing but its input. */
    signal(SIGPIPE, SIG_IGN);
    return popen(command, "we");
}

void pager_close(FILE *pager)
{
    pclose(pager);
}
