/*
 * commands/list.h - `memtrack list`: the tracked processes of this user.
 *
 * Context: analyzer (a command: it prints, and its result is an exit status).
 */
#ifndef MEMTRACK_COMMANDS_LIST_H
#define MEMTRACK_COMMANDS_LIST_H

int command_list(int argc, char **argv);

#endif
