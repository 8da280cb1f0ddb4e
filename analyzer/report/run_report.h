/*
 * report/run_report.h - `memtrack report`: one process of a recording, for people, for
 * spreadsheets and for programs.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_REPORT_RUN_REPORT_H
#define MEMTRACK_REPORT_RUN_REPORT_H

#include "analyses/summary.h"
#include "report/document.h"
#include "report/tree.h"

struct run_report_options {
    size_t top;        /* rows per list */
    size_t frames_max; /* frames shown per stack; 0: all */
    size_t stacks_max; /* rows per list that show their stacks; 0: all */
    bool has_startup;  /* show the frames below main and thread functions too */
    /* Tells whether memtrack has a command, so that a report suggests only what exists. */
    bool (*has_command)(const char *name);
};

/* The report for people. The document borrows from the summary's model. */
struct report_document *run_report_make(const struct summary *summary,
                                        const struct run_report_options *options);

/* One table with a row for each site of each process that was chosen (NULL: all). */
struct report_document *run_report_make_table(const struct model *model,
                                              const struct model_process *only);

/* The contract's JSON: `process` and its children, nested. */
void run_report_write(struct report_tree *tree, const struct model *model,
                      const struct model_process *process);

#endif
