/*
 * commands/suppression_printer.h - a leak as a suppression in Valgrind's form, which
 * analyses/suppressions.h reads.
 *
 * Context: analyzer. Memory: none. Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_SUPPRESSION_PRINTER_H
#define MEMTRACK_COMMANDS_SUPPRESSION_PRINTER_H

#include <stdio.h>

#include "model/model.h"

/* Matches leaks of this class with this stack. The name tells place and amount. */
void suppression_print(FILE *out, const struct model *model, const struct model_stack *stack,
                       enum recording_leak_class leak_class, int64_t blocks, int64_t bytes);

#endif
