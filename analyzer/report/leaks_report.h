/*
 * report/leaks_report.h - what `memtrack leaks` shows.
 *
 * Context: analyzer. Memory: documents own their content but for the model's texts.
 */
#ifndef MEMTRACK_REPORT_LEAKS_REPORT_H
#define MEMTRACK_REPORT_LEAKS_REPORT_H

#include "analyses/leaks.h"
#include "report/document.h"
#include "report/tree.h"

struct leaks_report_options {
    size_t top; /* rows of each list; 0: all */
};

/* suppressions: those of the result, counted up for the other processes, to tell which were
 * used; NULL: none were given. */
struct report_document *leaks_report_make(const struct leaks_result *result,
                                          struct suppressions *suppressions,
                                          const struct leaks_report_options *options);

/* One table with a row for each site and class, for CSV. */
struct report_document *leaks_report_make_table(const struct leaks_result *result);

/* The object {"schema": 1, "process": ..., "leaks": ..., "sites": [...], ...}. */
void leaks_report_write(struct report_tree *tree, const struct leaks_result *result,
                        const struct suppressions *suppressions);

/* "97.0 % of 812 MB: g_sessions (server) -> table_grow table.c:88 -> session_new" into
 * text: a chain and the site at its end. */
void leaks_report_chain(const struct leaks_held *held, const struct leaks_chain *chain, char *text,
                        size_t text_bytes);

#endif
