/*
 * analyses/summary.h - what a report of one process says: who allocates, holds, churns,
 * made up the peak, leaks, and where CPU time went.
 *
 * Context: analyzer.
 * Memory:  results live in the region that was given; they borrow from the model.
 */
#ifndef MEMTRACK_ANALYSES_SUMMARY_H
#define MEMTRACK_ANALYSES_SUMMARY_H

#include "analyses/cpu.h"

enum summary_metric {
    SUMMARY_ALLOCATED,   /* allocated bytes */
    SUMMARY_ALLOCATIONS, /* number of allocations */
    SUMMARY_LIVE,        /* live bytes in the selected state */
    SUMMARY_PEAK,        /* share of the peak */
    SUMMARY_TEMPORARY,   /* temporary allocations */
    SUMMARY_LEAKED,      /* definite and indirect bytes */
    SUMMARY_METRICS
};

/* Sites with a metric above 0, largest first; equal ones by stack id. */
struct summary_ranking {
    const struct model_site **sites;
    size_t count;
    int64_t total; /* of the metric over all sites */
};

struct summary {
    const struct model *model;
    const struct model_process *process;
    double seconds; /* how long it ran, or was seen running */
    struct summary_ranking rankings[SUMMARY_METRICS];
    const struct cpu_result *cpu; /* by function */
};

int64_t summary_metric_of(const struct model_site *site, enum summary_metric metric);

const struct summary *summary_make(struct region *region, const struct model *model,
                                   const struct model_process *process);

#endif
