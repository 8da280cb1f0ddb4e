/*
 * commands/diff.h - `memtrack diff A B`.
 *
 * Context: analyzer (a command: it prints, and its result is an exit status).
 */
#ifndef MEMTRACK_COMMANDS_DIFF_H
#define MEMTRACK_COMMANDS_DIFF_H

int command_diff(int argc, char **argv);

#endif
