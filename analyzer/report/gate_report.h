/*
 * report/gate_report.h - what `memtrack check` shows.
 *
 * Context: analyzer. Memory: documents borrow from the result and its model.
 */
#ifndef MEMTRACK_REPORT_GATE_REPORT_H
#define MEMTRACK_REPORT_GATE_REPORT_H

#include "analyses/gate.h"
#include "report/document.h"
#include "report/findings.h"
#include "report/tree.h"

struct gate_report_options {
    const char *name;      /* of the test; NULL: the program's */
    const char *recording; /* to look closer with; NULL: it is not kept */
    size_t top;            /* failures shown; 0: all */
    size_t frames_max;     /* frames shown per stack; 0: all */
    const char *baseline;  /* file; NULL */
    bool is_comment;       /* for a comment on a change: the findings in one table */
    /* Suppressions that matched nothing are named, if any were given. */
    const struct suppressions *suppressions;
};

/* In the region given. */
const struct findings *gate_report_findings(struct region *region, const struct gate_result *result,
                                            const struct gate_report_options *options);

struct report_document *gate_report_make(const struct gate_result *result,
                                         const struct gate_report_options *options);
/* One table with a row for each failure. */
struct report_document *gate_report_make_table(const struct gate_result *result,
                                               const struct gate_report_options *options);
/* The contract's JSON. */
void gate_report_write(struct report_tree *tree, const struct gate_result *result,
                       const struct gate_report_options *options);

#endif
