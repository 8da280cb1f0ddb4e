/* commands/cpu.h - `memtrack cpu FILE`. Context: analyzer. */
#ifndef MEMTRACK_COMMANDS_CPU_H
#define MEMTRACK_COMMANDS_CPU_H

int command_cpu(int argc, char **argv);

#endif
