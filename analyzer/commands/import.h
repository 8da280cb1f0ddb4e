/* commands/import.h - `memtrack import`: another allocator's heap profile as a recording. */
#ifndef MEMTRACK_COMMANDS_IMPORT_H
#define MEMTRACK_COMMANDS_IMPORT_H

int command_import(int argc, char **argv);

#endif
