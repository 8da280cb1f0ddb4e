/*
 * report/flame_tree.h - the stacks of a profile merged into one tree by the names of their
 * functions: what flame graphs and collapsed stacks show.
 *
 * With a baseline each node has two values: the baseline's and the present one.
 *
 * Context: analyzer.
 * Memory:  the tree is one region's; names are the profiles'.
 */
#ifndef MEMTRACK_REPORT_FLAME_TREE_H
#define MEMTRACK_REPORT_FLAME_TREE_H

#include "foundation/region.h"
#include "report/profile.h"

struct flame_node {
    const char *name;
    const char *file; /* "" if unknown */
    int64_t line;     /* 0: unknown; where its samples are on several lines, the function's */
    uint32_t parent;  /* of the root: itself */
    uint32_t depth;   /* the root's is 0 */
    uint32_t first_child; /* 0: none */
    uint32_t next;        /* sibling, in order of names; 0: none */
    int64_t value;        /* with all below it */
    int64_t self;
    int64_t before; /* the baseline's value */
    int64_t self_before;
};

struct flame_tree {
    struct flame_node *nodes; /* [0] is the root; parents come before their children */
    size_t node_count;
    uint32_t depth_max;
    enum profile_metric metric;
    bool has_baseline;
    bool is_reversed;
    const struct profile *profile;
};

struct flame_request {
    enum profile_metric metric;
    bool is_reversed; /* begin at the innermost frame: who calls it */
    bool by_thread;   /* the first frame is the thread; for CPU time */
};

/* baseline may be NULL. Values that are not above zero are left out. */
const struct flame_tree *flame_tree_make(struct region *region, const struct profile *profile,
                                         const struct profile *baseline,
                                         const struct flame_request *request);

#endif
