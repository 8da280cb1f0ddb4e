/*
 * commands/pager.h - long output to a terminal goes through a pager, as git does it.
 *
 * MEMTRACK_PAGER, then PAGER, else less; "cat" or "" for none. LESS is FRX where it is not
 * set: quit when it fits, keep colours, leave the text on the screen.
 *
 * Context: analyzer. Memory: none. Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_PAGER_H
#define MEMTRACK_COMMANDS_PAGER_H

#include <stdio.h>

/* The pager's input, or NULL: stdout is no terminal, or no pager is wanted. */
FILE *pager_open(void);
/* Waits until the person is done. */
void pager_close(FILE *pager);

#endif
