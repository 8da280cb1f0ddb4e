/*
 * analyses/stack_match.h - which stack of one recording is which of another.
 *
 * How, is told in analyses/diff.h.
 *
 * Context: analyzer.
 * Memory:  the result is the caller's to free().
 * Threads: one at a time.
 */
#ifndef MEMTRACK_ANALYSES_STACK_MATCH_H
#define MEMTRACK_ANALYSES_STACK_MATCH_H

#include "model/model.h"

#define STACK_MATCH_NONE SIZE_MAX

struct stack_match {
    size_t *partner; /* [0..a->site_count): index of b's site, or STACK_MATCH_NONE */
    size_t by_place;
    size_t by_name;
    bool are_builds_different;
};

/* Matches the sites of two processes. */
struct stack_match stack_match_make(const struct model *a, const struct model_process *process_a,
                                    const struct model *b, const struct model_process *process_b);
void stack_match_deinit(struct stack_match *match);

#endif
