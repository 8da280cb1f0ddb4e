/*
 * commands/growth.h - `memtrack growth FILE`.
 *
 * Context: analyzer (a command: it prints, and its result is an exit status).
 */
#ifndef MEMTRACK_COMMANDS_GROWTH_H
#define MEMTRACK_COMMANDS_GROWTH_H

int command_growth(int argc, char **argv);

#endif
