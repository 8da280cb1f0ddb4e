/*
 * commands/memcheck.h - memtrack in memcheck's place: `ctest -T memcheck`, Qt Creator and
 * other tools that call Valgrind call memtrack instead.
 *
 *   memtrack -q --tool=memcheck --leak-check=yes --log-file=F PROGRAM [ARG...]
 *
 * takes Valgrind's options (and those of `memtrack check`), and reports in memcheck's words
 * or in its XML. Undefined values and accesses out of bounds are not looked for: options
 * that concern them have no effect.
 *
 * Context: analyzer (a command: it prints, and its result is an exit status).
 */
#ifndef MEMTRACK_COMMANDS_MEMCHECK_H
#define MEMTRACK_COMMANDS_MEMCHECK_H

#include <stdbool.h>

/* Whether the command line is one for Valgrind. */
bool memcheck_is_meant(int argc, char **argv);

/* argv[0] is memtrack itself. Returns the program's own status as Valgrind does, or
 * --error-exitcode; 23 when something could not be seen. */
int command_memcheck(int argc, char **argv);

#endif
