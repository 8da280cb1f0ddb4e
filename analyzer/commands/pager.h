/*
 * commands/pager.h - long output to a terminal goes through a pager, as git does it.
 *
 * MEMTRACK_PAGER, then PAGER, else less; "cat" or "" for none. LESS is FRX where it is not
 * set: quit when it fits, keep colours, leave the text on the screen.
 *
 * Context: analyzer. Memory: one pager at a time, static. Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_PAGER_H
#define MEMTRACK_COMMANDS_PAGER_H

#include <stdio.h>

struct pager;

/* NULL: stdout is no terminal, no pager is wanted, or it could not be started (said on stderr
 * where the person chose it). While it runs, Ctrl-C is the pager's. */
struct pager *pager_open(void);
FILE *pager_input(const struct pager *pager);
/* Waits until the person is done. Who leaves early ends nothing but the pager. */
void pager_close(struct pager *pager);

#endif
