/*
 * report/cpu_report.h - `memtrack cpu`: where CPU time went, for people, for spreadsheets and
 * for programs.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_REPORT_CPU_REPORT_H
#define MEMTRACK_REPORT_CPU_REPORT_H

#include "analyses/cpu.h"
#include "report/document.h"
#include "report/tree.h"

struct cpu_report_options {
    size_t top;        /* rows per list; 0: all */
    size_t frames_max; /* frames shown per stack; 0: all */
};

/* For people. The document borrows from the result and its model. */
struct report_document *cpu_report_make(const struct cpu_result *result,
                                        const struct cpu_report_options *options);

/* One table with all entries; with callers and callees where these were asked for. */
struct report_document *cpu_report_make_table(const struct cpu_result *result);

void cpu_report_write(struct report_tree *tree, const struct cpu_result *result);

/* The members of the contract's "cpu" object, into an object that is open. */
void cpu_report_write_members(struct report_tree *tree, const struct cpu_result *result);

/* A finding as a sentence, in the region. */
const char *cpu_report_sentence(struct region *region, const struct cpu_result *result,
                                const struct cpu_finding *finding);

#endif
