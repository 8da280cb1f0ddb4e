/*
 * commands/run.h - `memtrack run`: record a program, then print its report.
 *
 * Context: analyzer (a command: it prints, and its result is an exit status).
 */
#ifndef MEMTRACK_COMMANDS_RUN_H
#define MEMTRACK_COMMANDS_RUN_H

/* argv[0] is the command's name, options follow. Returns the exit status: the program's
 * own, 128 + N when signal N ended it, or memtrack's. */
int command_run(int argc, char **argv);

#endif
