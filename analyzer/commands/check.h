/*
 * commands/check.h - `memtrack check`: limits on a program's memory, for test suites.
 *
 * Context: analyzer (a command: it prints, and its result is an exit status).
 */
#ifndef MEMTRACK_COMMANDS_CHECK_H
#define MEMTRACK_COMMANDS_CHECK_H

int command_check(int argc, char **argv);

#endif
