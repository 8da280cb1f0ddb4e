/* commands/export.h - `memtrack export`: a recording in the formats of other viewers. */
#ifndef MEMTRACK_COMMANDS_EXPORT_H
#define MEMTRACK_COMMANDS_EXPORT_H

int command_export(int argc, char **argv);

#endif
