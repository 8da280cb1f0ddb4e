/*
 * report/run_parts.h - the report's parts, shared by its own files alone:
 *
 *   run_report.c     the head, totals, lists of sites, leaks, errors, CPU, notes
 *   run_processes.c  resident memory and the tree of processes
 *
 * Context: analyzer. Memory: the document's region.
 */
#ifndef MEMTRACK_REPORT_RUN_PARTS_H
#define MEMTRACK_REPORT_RUN_PARTS_H

#include "report/run_report.h"

struct run_maker {
    struct report_document *document;
    const struct summary *summary;
    const struct model *model;
    const struct model_process *process;
    const struct run_report_options *options;
    uint32_t *numbers; /* by stack id: the number under which a site is listed; 0: not yet */
    bool *has_stack;   /* by stack id: its stack was shown */
    uint32_t number_last;
};

static inline double run_share(int64_t part, int64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

/* "program argument ...": the process's arguments, or its executable. */
const char *run_command_line(struct region *region, const struct model_process *process);

void run_add_ledger(struct run_maker *maker);
void run_add_processes(struct run_maker *maker);

#endif
