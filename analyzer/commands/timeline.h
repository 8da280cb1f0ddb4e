/*
 * commands/timeline.h - `memtrack timeline FILE`.
 *
 * Context: analyzer (a command: it prints, and its result is an exit status).
 */
#ifndef MEMTRACK_COMMANDS_TIMELINE_H
#define MEMTRACK_COMMANDS_TIMELINE_H

int command_timeline(int argc, char **argv);

#endif
