/*
 * commands/site_printer.h - shows sites to a program's user while the program runs: a test
 * that found blocks left over asks for their stacks.
 *
 * Context: recorder (its print_sites), analyzer's symbolizer.
 * Memory:  a symbolizer that lives from the first print until site_printer_deinit().
 */
#ifndef MEMTRACK_COMMANDS_SITE_PRINTER_H
#define MEMTRACK_COMMANDS_SITE_PRINTER_H

#include <stdio.h>

#include "recorder/recorder.h"

struct symbolizer;
struct site_printer {
    FILE *out;
    struct symbolizer *symbolizer; /* NULL until needed */
};

/* A recorder_options.print_sites; `context` is a struct site_printer. */
void site_printer_print(void *context, const char *title, const struct recorder_site *sites,
                        size_t count);

void site_printer_deinit(struct site_printer *printer);

#endif
