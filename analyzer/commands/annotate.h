/* commands/annotate.h - `memtrack annotate`: source lines with memory and CPU beside them. */
#ifndef MEMTRACK_COMMANDS_ANNOTATE_H
#define MEMTRACK_COMMANDS_ANNOTATE_H

int command_annotate(int argc, char **argv);

#endif
