#include "analyses/growth_series.h"

#include <stdlib.h>
#include <string.h>

#define SERIES_IDS_MAX (INT64_C(1) << 25)

static int series_visit(void *context, const struct model_snapshot *snapshot,
                        const struct model_stack *stack, const struct recording_snapshot_site *row)
{
    struct growth_series *series = context;
    uint32_t position = (size_t)snapshot->index < series->position_count
                            ? series->positions[snapshot->index]
                            : UINT32_MAX;
    if (position == UINT32_MAX || row->stack < 0 || row->stack >= SERIES_IDS_MAX
        || series->change_count >= UINT32_MAX - 1) {
        return 0;
    }
    size_t id = (size_t)row->stack;
    series->ids = mt_grow(series->ids, &series->id_capacity, id + 1, sizeof(*series->ids));
    while (series->id_count <= id) {
        series->ids[series->id_count++] = (struct growth_id){0};
    }
    series->changes = mt_grow(series->changes, &series->change_capacity, series->change_count + 1,
                              sizeof(*series->changes));
    series->changes[series->change_count++] = (struct growth_change){
        .snapshot = position,
        .live_bytes = row->allocated_bytes - row->freed_bytes,
        .live_blocks = row->allocations - row->frees,
        .allocations = row->allocations,
        .frees = row->frees,
    };
    uint32_t number = (uint32_t)series->change_count;
    struct growth_id *entry = &series->ids[id];
    if (entry->first == 0) {
        entry->first = number;
        entry->next = series->stacks[stack->id];
        series->stacks[stack->id] = (uint32_t)id + 1;
    } else {
        series->changes[entry->last - 1].next = number;
    }
    entry->last = number;
    return 0;
}

void growth_series_load(struct growth_series *series, const struct model *model,
                        const struct model_process *process)
{
    *series = (struct growth_series){.position_count = model->snapshot_count};
    series->seconds = calloc(process->snapshot_count + 1, sizeof(*series->seconds));
    series->positions = calloc(model->snapshot_count + 1, sizeof(*series->positions));
    series->stacks = calloc(model->stack_count + 2, sizeof(*series->stacks));
    if (series->seconds == NULL || series->positions == NULL || series->stacks == NULL) {
        return;
    }
    memset(series->positions, 0xff, model->snapshot_count * sizeof(*series->positions));
    const struct model_snapshot *end = model->state_snapshot;
    for (size_t i = 0; i < process->snapshot_count; i++) {
        const struct model_snapshot *snapshot = process->snapshots[i].snapshot;
        if (end != NULL && snapshot->index > end->index) {
            break;
        }
        series->positions[snapshot->index] = (uint32_t)series->count;
        series->seconds[series->count++] = (double)snapshot->time_ns / 1e9;
        series->has_exit = strcmp(snapshot->cause, "exit") == 0;
    }
    model_each_snapshot_site(model, process, series_visit, series);
}

void growth_series_deinit(struct growth_series *series)
{
    free(series->seconds);
    free(series->positions);
    free(series->stacks);
    free(series->changes);
    free(series->ids);
}

void growth_series_expand(const struct growth_series *series, const struct model_site *site,
                          double *bytes)
{
    for (size_t i = 0; i < series->count; i++) {
        bytes[i] = (double)site->inherited_bytes;
    }
    for (uint32_t id = series->stacks[site->stack->id]; id != 0; id = series->ids[id - 1].next) {
        for (uint32_t at = series->ids[id - 1].first; at != 0;) {
            const struct growth_change *change = &series->changes[at - 1];
            at = change->next;
            size_t end = at != 0 ? series->changes[at - 1].snapshot : series->count;
            for (size_t i = change->snapshot; i < end; i++) {
                bytes[i] += (double)change->live_bytes;
            }
        }
    }
}

int64_t growth_series_expand_allocations(const struct growth_series *series,
                                         const struct model_site *site, int64_t *allocations)
{
    int64_t frees = 0;
    for (size_t i = 0; i < series->count; i++) {
        allocations[i] = site->inherited_blocks;
    }
    for (uint32_t id = series->stacks[site->stack->id]; id != 0; id = series->ids[id - 1].next) {
        for (uint32_t at = series->ids[id - 1].first; at != 0;) {
            const struct growth_change *change = &series->changes[at - 1];
            at = change->next;
            size_t end = at != 0 ? series->changes[at - 1].snapshot : series->count;
            for (size_t i = change->snapshot; i < end; i++) {
                allocations[i] += change->allocations;
            }
            frees += at == 0 ? change->frees : 0;
        }
    }
    return frees;
}
