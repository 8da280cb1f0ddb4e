/*
 * analyses/diff.h - what changed between two states: of one run, of two runs of a program,
 * of two versions of it.
 *
 * Sites are matched by their stacks, in two steps:
 *   1. by place: modules are the same when their build-ids are (without build-id: their
 *      paths), addresses when module and offset are. Load addresses play no part.
 *   2. what is left and passes through a module that the other side has in another build:
 *      by the names of its functions, whether they were inlined or not; several sites with equal names are paired in the
 *      order of their lines, so that the sum of line distances is least (a line whose text
 *      became another counts as far). Lines count from their function's first line, so an
 *      edit above a function moves nothing.
 *
 * Context: analyzer.
 * Memory:  results live in the region that was given; they borrow from both models.
 * Threads: one at a time.
 */
#ifndef MEMTRACK_ANALYSES_DIFF_H
#define MEMTRACK_ANALYSES_DIFF_H

#include "model/model.h"

#include <regex.h>

enum diff_by { DIFF_BY_STACK, DIFF_BY_FUNCTION, DIFF_BY_FILE, DIFF_BY_MODULE, DIFF_BY_LINE };
enum diff_sort {
    DIFF_SORT_LIVE, /* live bytes; allocations where no site's live bytes changed */
    DIFF_SORT_BLOCKS,
    DIFF_SORT_ALLOCATIONS,
    DIFF_SORT_ALLOCATED,
    DIFF_SORT_TEMPORARY
};
enum diff_status { DIFF_SAME, DIFF_NEW, DIFF_GREW, DIFF_SHRANK, DIFF_GONE };

struct diff_options {
    enum diff_by by;
    enum diff_sort sort;
    int64_t min_bytes;     /* leave out what changed by less live bytes; 0: nothing */
    const regex_t *focus;  /* keep sites with such a function, file or module; NULL: all */
    const regex_t *ignore; /* leave out sites with such a one; NULL: none */
};

struct diff_values {
    int64_t live_bytes;
    int64_t live_blocks;
    int64_t allocations;
    int64_t allocated_bytes;
    int64_t temporaries;
};

struct diff_side {
    const struct model *model;
    const struct model_process *process;
    struct diff_values totals;    /* of all sites, left out or not */
    bool has_allocations;         /* false: only what is live is known in this state (@peak) */
};

/* A site, or with DIFF_BY_* a group of sites. */
struct diff_item {
    enum diff_status status;
    struct diff_values a;
    struct diff_values b;
    const struct model *model; /* that stack and frame belong to: B's, or A's if gone */
    const struct model_stack *stack; /* NULL in groups */
    const struct model_frame *frame; /* where; NULL: unknown */
    const char *name;                /* of a group; NULL for sites */
};

struct diff {
    struct diff_options options;
    struct diff_side a;
    struct diff_side b;
    const struct diff_item *items; /* by the size of what changed, largest first */
    size_t item_count;
    int64_t grown_bytes;    /* sum of positive deltas of live bytes over items */
    size_t matched_by_place;
    size_t matched_by_name; /* sites whose module was rebuilt in between */
    size_t left_out;        /* by focus, ignore and min_bytes */
    bool are_builds_different;
    bool are_rates_different;
};

const struct diff *diff_make(struct region *region, const struct model *a,
                             const struct model_process *process_a, const struct model *b,
                             const struct model_process *process_b,
                             const struct diff_options *options);

int64_t diff_delta(const struct diff_item *item, enum diff_sort metric);

#endif
