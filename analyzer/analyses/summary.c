#include "analyses/summary.h"

#include <stdlib.h>

int64_t summary_metric_of(const struct model_site *site, enum summary_metric metric)
{
    switch (metric) {
    case SUMMARY_ALLOCATED:
        return site->allocated_bytes;
    case SUMMARY_ALLOCATIONS:
        return site->allocations;
    case SUMMARY_LIVE:
        return site->live_bytes;
    case SUMMARY_PEAK:
        return site->peak_bytes;
    case SUMMARY_TEMPORARY:
        return site->temporaries;
    case SUMMARY_LEAKED:
        return site->leaks.bytes[RECORDING_LEAK_DEFINITE]
               + site->leaks.bytes[RECORDING_LEAK_INDIRECT];
    case SUMMARY_METRICS:
        break;
    }
    return 0;
}

struct summary_item {
    int64_t value;
    const struct model_site *site;
};

static int summary_compare_items(const void *left, const void *right)
{
    const struct summary_item *a = left;
    const struct summary_item *b = right;
    if (a->value != b->value) {
        return a->value > b->value ? -1 : 1;
    }
    return a->site->stack->id < b->site->stack->id ? -1 : 1;
}

static struct summary_ranking
summary_rank(struct region *region, const struct model_process *process, enum summary_metric metric)
{
    struct summary_ranking ranking = {0};
    struct summary_item *items = calloc(process->site_count + 1, sizeof(*items));
    if (items == NULL) {
        return ranking;
    }
    for (size_t i = 0; i < process->site_count; i++) {
        const struct model_site *site = &process->sites[i];
        int64_t value = summary_metric_of(site, metric);
        ranking.total += value;
        if (value > 0) {
            items[ranking.count++] = (struct summary_item){.value = value, .site = site};
        }
    }
    qsort(items, ranking.count, sizeof(*items), summary_compare_items);
    ranking.sites = region_alloc_array(region, ranking.count, sizeof(*ranking.sites));
    for (size_t i = 0; i < ranking.count; i++) {
        ranking.sites[i] = items[i].site;
    }
    free(items);
    return ranking;
}

/* ---- the whole ----------------------------------------------------------- */

/* Until its end, or until it was last seen. */
static double summary_seconds(const struct model_process *process)
{
    int64_t end_ns = process->row.ended_ns;
    if (end_ns == RECORDING_UNKNOWN && process->point_count > 0) {
        end_ns = process->points[process->point_count - 1].time_ns;
    }
    if (process->row.ended_ns == RECORDING_UNKNOWN && process->snapshot_count > 0) {
        int64_t seen_ns = process->snapshots[process->snapshot_count - 1].snapshot->time_ns;
        end_ns = seen_ns > end_ns ? seen_ns : end_ns; /* the unknown is below all times */
    }
    double seconds = (double)(end_ns - process->row.started_ns) / 1e9;
    return end_ns == RECORDING_UNKNOWN || seconds < 0 ? 0 : seconds;
}

const struct summary *summary_make(struct region *region, const struct model *model,
                                   const struct model_process *process)
{
    struct summary *summary = region_alloc(region, sizeof(*summary));
    summary->model = model;
    summary->process = process;
    summary->seconds = summary_seconds(process);
    for (int metric = 0; metric < SUMMARY_METRICS; metric++) {
        summary->rankings[metric] = summary_rank(region, process, (enum summary_metric)metric);
    }
    /* Without a function to look for there is nothing that could fail. */
    struct cpu_request request = {.process = process, .by = CPU_BY_FUNCTION};
    cpu_analyze(region, model, &request, &summary->cpu, NULL);
    return summary;
}
