/*
 * census/findings.h - what a census adds up: per site the classes of its blocks, and who
 * holds them.
 *
 * Context: inside the tracked program, async-signal-safe.
 * Memory:  the caller's: findings_bytes(), lazily backed; sites in use and edges touch it.
 * Threads: one.
 */
#ifndef MEMTRACK_CENSUS_FINDINGS_H
#define MEMTRACK_CENSUS_FINDINGS_H

#include <stdbool.h>

#include "arena/layout.h"

#define FINDINGS_EDGES_LOG2 17u
#define FINDINGS_EDGES_MAX (1u << FINDINGS_EDGES_LOG2)
/* From so many edges on, pointers in one page of globals or mappings count as one holder. */
#define FINDINGS_EDGES_EXACT (FINDINGS_EDGES_MAX / 4)

#define FINDINGS_REFERENCES 1024u

/* Where a pointer to a block stands. */
struct findings_holder {
    uint32_t kind; /* enum arena_holder_kind */
    int32_t tid;
    uint64_t holder;
};

struct findings {
    struct arena_census_site *sites; /* [0..site_capacity), by stack id */
    uint32_t site_capacity;
    struct arena_census_edge *edges; /* hash table; empty: kind 0 */
    uint32_t *edge_places;           /* [0..edge_count): where in it the edges are */
    struct arena_census_edge *last;  /* the one that was counted up last */
    uint64_t references[FINDINGS_REFERENCES]; /* noted lately: hash of holder and stack */
    uint32_t stack_end;              /* ids from here on have no blocks */
    uint32_t site_count;
    uint32_t edge_count;
    uint32_t edges_merged;
};

/* For stack ids below stack_end; 1 .. ARENA_STACKS_MAX. */
size_t findings_bytes(uint32_t stack_end);

/* `memory`: findings_bytes() of zeroed memory, aligned to 64. */
void findings_init(struct findings *findings, void *memory, uint32_t stack_end);

static inline struct arena_census_site *findings_site(struct findings *findings, uint32_t stack)
{
    return &findings->sites[stack < findings->site_capacity ? stack : 0];
}

/* The edges [0..edge_count) in the order in which they were found. */
static inline const struct arena_census_edge *findings_edge(const struct findings *findings,
                                                            uint32_t number)
{
    return &findings->edges[findings->edge_places[number]];
}

/* Counts one block of `stack` as `leak_class`. */
void findings_add_block(struct findings *findings, uint32_t stack, uint64_t size_bytes,
                        enum arena_leak_class leak_class);

/* Counts one block of `stack` as held by `holder`. */
void findings_add_edge(struct findings *findings, const struct findings_holder *holder,
                       uint32_t stack, uint64_t size_bytes, bool is_interior);

/* Notes that `holder` has a pointer to a block of `stack` that something else led to first:
 * an edge of no blocks. Roots count as one holder here. */
void findings_add_reference(struct findings *findings, const struct findings_holder *holder,
                            uint32_t stack);

#endif
