/*
 * analyses/annotate.h - what each source line allocates, holds and costs.
 *
 * A block counts for the line of its stack's location: the first frame that belongs to
 * neither the C library, the C++ runtime nor an allocator. Inlined code counts for its own
 * line. CPU self is time in the line itself, CPU total in it or in what it calls; time in
 * malloc and free is in the totals of the lines that led there. ANNOTATE_*_TOTAL counts
 * each line on a stack once.
 *
 * Context: analyzer.
 * Memory:  results live in the region that was given; they borrow from the model.
 */
#ifndef MEMTRACK_ANALYSES_ANNOTATE_H
#define MEMTRACK_ANALYSES_ANNOTATE_H

#include "model/model.h"

enum annotate_value {
    ANNOTATE_ALLOCATIONS,
    ANNOTATE_ALLOCATED, /* bytes */
    ANNOTATE_LIVE,      /* bytes */
    ANNOTATE_BLOCKS,
    ANNOTATE_PEAK, /* bytes */
    ANNOTATE_TEMPORARY,
    ANNOTATE_LEAKED, /* bytes, definite and indirect */
    ANNOTATE_CPU_SELF,
    ANNOTATE_CPU_TOTAL,       /* samples */
    ANNOTATE_ALLOCATED_TOTAL, /* by this line or what it calls */
    ANNOTATE_LIVE_TOTAL,
    ANNOTATE_VALUES
};

struct annotate_line {
    int64_t line;
    const char *source;   /* as it was recorded; NULL: it was not */
    const char *function; /* one of those it is in; NULL: unknown */
    int64_t values[ANNOTATE_VALUES];
};

struct annotate_file {
    const char *path;
    const struct annotate_line *lines; /* by number; those with a value only */
    size_t line_count;
    int64_t values[ANNOTATE_VALUES]; /* sums; of totals the largest line's */
    double heat;                     /* sum of its shares of all */
};

struct annotate {
    const struct model *model;
    const struct model_process *process; /* NULL: all */
    const struct annotate_file *files;   /* hottest first */
    size_t file_count;
    int64_t totals[ANNOTATE_VALUES];   /* of the run; with what has no line */
    int64_t lineless[ANNOTATE_VALUES]; /* what has no line */
    const struct model_module *lineless_module; /* where most of that is; NULL */
};

const struct annotate *annotate_make(struct region *region, const struct model *model,
                                     const struct model_process *process);

#endif
