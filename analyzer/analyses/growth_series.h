/*
 * analyses/growth_series.h - each site's live bytes over a process's snapshots; for
 * analyses/growth.c.
 *
 * A recording holds what changed from snapshot to snapshot; a series is expanded when it is
 * looked at, so memory is that of the changes: 40 bytes each.
 *
 * Context: analyzer. Threads: one at a time.
 */
#ifndef MEMTRACK_ANALYSES_GROWTH_SERIES_H
#define MEMTRACK_ANALYSES_GROWTH_SERIES_H

#include "model/model.h"

struct growth_change {
    uint32_t snapshot; /* position */
    uint32_t next;     /* index + 1 of the same id's next change; 0: none */
    int64_t live_bytes;
    int64_t live_blocks;
    int64_t allocations;
    int64_t frees;
};

/* The tracker's stack ids that mean one stack of the model. */
struct growth_id {
    uint32_t first; /* index + 1 of its first change */
    uint32_t last;
    uint32_t next; /* index + 1 of the next id of the same stack */
};

struct growth_series {
    size_t count; /* snapshots of the process, at or before the state selected */
    double *seconds; /* [0..count) */
    bool has_exit;   /* the last one was taken when the process ended */
    struct growth_change *changes;
    size_t change_count;
    size_t change_capacity;
    struct growth_id *ids; /* by the tracker's id */
    size_t id_count;
    size_t id_capacity;
    uint32_t *stacks; /* by the model's stack id: index + 1 of its first id */
    uint32_t *positions; /* by the model's snapshot index; UINT32_MAX: not the process's */
    size_t position_count;
};

void growth_series_load(struct growth_series *series, const struct model *model,
                        const struct model_process *process);
void growth_series_deinit(struct growth_series *series);

/* Live bytes at all snapshots, into bytes[0..count). */
void growth_series_expand(const struct growth_series *series, const struct model_site *site,
                          double *bytes);
/* Cumulative allocations at all snapshots; the frees at the last. */
int64_t growth_series_expand_allocations(const struct growth_series *series,
                                         const struct model_site *site, int64_t *allocations);

#endif
