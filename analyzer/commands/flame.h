/* commands/flame.h - `memtrack flame`: a flame graph of any metric, or of what changed. */
#ifndef MEMTRACK_COMMANDS_FLAME_H
#define MEMTRACK_COMMANDS_FLAME_H

int command_flame(int argc, char **argv);

#endif
