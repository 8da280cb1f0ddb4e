/*
 * commands/leaks.h - memtrack leaks FILE.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_COMMANDS_LEAKS_H
#define MEMTRACK_COMMANDS_LEAKS_H

/* Returns the exit status. */
int command_leaks(int argc, char **argv);

#endif
