/*
 * report/diff_report.h - `memtrack diff` for people, for spreadsheets and for programs.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_REPORT_DIFF_REPORT_H
#define MEMTRACK_REPORT_DIFF_REPORT_H

#include "analyses/diff.h"
#include "report/document.h"
#include "report/tree.h"

struct diff_report_options {
    const char *name_a; /* as the person wrote them, selector included */
    const char *name_b;
    size_t top;        /* rows shown */
    size_t frames_max; /* frames shown per stack; 0: all */
    size_t stacks_max; /* rows that show their stack; 0: all */
};

/* The document borrows from the diff and its models. */
struct report_document *diff_report_make(const struct diff *diff,
                                         const struct diff_report_options *options);
/* One table with a row for each item, unchanged ones too. */
struct report_document *diff_report_make_table(const struct diff *diff);
/* The contract's JSON. */
void diff_report_write(struct report_tree *tree, const struct diff *diff,
                       const struct diff_report_options *options);

#endif
