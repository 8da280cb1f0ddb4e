/*
 * report/growth_report.h - `memtrack growth` for people, for spreadsheets and for programs.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_REPORT_GROWTH_REPORT_H
#define MEMTRACK_REPORT_GROWTH_REPORT_H

#include "analyses/growth.h"
#include "report/document.h"
#include "report/tree.h"

struct growth_report_options {
    size_t top;        /* rows in each list */
    size_t frames_max; /* frames shown per stack; 0: all */
};

/* The document borrows from the result and its model. */
struct report_document *growth_report_make(const struct growth *growth,
                                           const struct growth_report_options *options);
/* One table with a row for each site. */
struct report_document *growth_report_make_table(const struct growth *growth);
/* The contract's JSON. */
void growth_report_write(struct report_tree *tree, const struct growth *growth);

#endif
