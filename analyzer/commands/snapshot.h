/*
 * commands/snapshot.h - `memtrack snapshot PID -o FILE`.
 *
 * Context: analyzer (a command: it prints, and its result is an exit status).
 */
#ifndef MEMTRACK_COMMANDS_SNAPSHOT_H
#define MEMTRACK_COMMANDS_SNAPSHOT_H

int command_snapshot(int argc, char **argv);

#endif
