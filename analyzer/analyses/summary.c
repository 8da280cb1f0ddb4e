#include "analyses/summary.h"

#include "recording/intern.h"

#include <stdlib.h>
#include <string.h>

#define SUMMARY_FRAMES_MAX 8192u

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

/* ---- CPU ----------------------------------------------------------------- */

struct summary_cpu {
    struct region *region;
    struct intern_texts names;
    struct summary_function *functions;
    size_t count;
    size_t capacity;
    size_t *seen_at; /* number of the last row that counted a function's total */
    size_t seen_capacity;
};

static size_t summary_function_index(struct summary_cpu *cpu, const char *function,
                                     const char *file)
{
    char key[1024];
    size_t length = 0;
    const char *parts[] = {function, file != NULL ? file : ""};
    for (size_t i = 0; i < 2; i++) {
        size_t part = strnlen(parts[i], sizeof(key) / 2 - 1);
        memcpy(key + length, parts[i], part);
        length += part;
        key[length++] = '\n';
    }
    bool is_new;
    size_t index = (size_t)intern_texts_get(&cpu->names, key, length, &is_new) - 1;
    if (is_new) {
        cpu->functions =
            mt_grow(cpu->functions, &cpu->capacity, index + 1, sizeof(*cpu->functions));
        cpu->seen_at = mt_grow(cpu->seen_at, &cpu->seen_capacity, index + 1, sizeof(*cpu->seen_at));
        cpu->functions[index] = (struct summary_function){.function = function, .file = file};
        cpu->seen_at[index] = 0;
        cpu->count = index + 1;
    }
    return index;
}

static void summary_add_total(struct summary_cpu *cpu, size_t index, size_t row, int64_t samples)
{
    if (cpu->seen_at[index] != row) {
        cpu->seen_at[index] = row;
        cpu->functions[index].total += samples;
    }
}

/* A frame's name: the function, or module and offset. */
static const char *summary_frame_name(struct region *region, const struct model_frame *frame)
{
    if (frame->function != NULL) {
        return frame->function;
    }
    return region_format(region, "%s+0x%llx", frame->module != NULL ? frame->module->name : "?",
                         (unsigned long long)frame->module_offset);
}

static void summary_count_row(struct summary_cpu *cpu, const struct model *model,
                              const struct model_cpu *row, size_t number)
{
    static const struct model_frame *frames[SUMMARY_FRAMES_MAX];
    size_t count = model_stack_frames(model, row->stack, frames, SUMMARY_FRAMES_MAX);
    int64_t both = row->samples + row->allocator_samples;
    for (size_t i = 0; i < count; i++) {
        size_t index = summary_function_index(cpu, summary_frame_name(cpu->region, frames[i]),
                                              frames[i]->file);
        summary_add_total(cpu, index, number, both);
        if (i == 0) {
            cpu->functions[index].self += row->samples;
        }
    }
    if (row->allocator_samples > 0) {
        size_t index = summary_function_index(cpu, SUMMARY_ALLOCATOR_FUNCTION, NULL);
        cpu->functions[index].self += row->allocator_samples;
        cpu->functions[index].total += row->allocator_samples;
    }
}

static int summary_compare_functions(const void *left, const void *right)
{
    const struct summary_function *a = left;
    const struct summary_function *b = right;
    if (a->self != b->self) {
        return a->self > b->self ? -1 : 1;
    }
    if (a->total != b->total) {
        return a->total > b->total ? -1 : 1;
    }
    return strcmp(a->function, b->function);
}

static void summary_count_cpu(struct summary *summary, struct region *region)
{
    const struct model_process *process = summary->process;
    struct summary_cpu cpu = {.region = region};
    intern_texts_init(&cpu.names);
    for (size_t i = 0; i < process->cpu_count; i++) {
        summary->cpu_samples += process->cpu[i].samples + process->cpu[i].allocator_samples;
        summary->cpu_allocator_samples += process->cpu[i].allocator_samples;
        summary_count_row(&cpu, summary->model, &process->cpu[i], i + 1);
    }
    if (cpu.count > 0) {
        qsort(cpu.functions, cpu.count, sizeof(*cpu.functions), summary_compare_functions);
    }
    struct summary_function *functions = region_alloc_array(region, cpu.count, sizeof(*functions));
    if (cpu.count > 0) {
        memcpy(functions, cpu.functions, cpu.count * sizeof(*functions));
    }
    summary->functions = functions;
    summary->function_count = cpu.count;
    intern_texts_deinit(&cpu.names);
    free(cpu.functions);
    free(cpu.seen_at);
}

/* ---- the whole ----------------------------------------------------------- */

/* Until its end, or until it was last seen. */
static double summary_seconds(const struct model_process *process)
{
    int64_t end_ns = process->row.ended_ns;
    if (end_ns == RECORDING_UNKNOWN && process->point_count > 0) {
        end_ns = process->points[process->point_count - 1].time_ns;
    }
    if (end_ns == RECORDING_UNKNOWN && process->snapshot_count > 0) {
        end_ns = process->snapshots[process->snapshot_count - 1].snapshot->time_ns;
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
    summary_count_cpu(summary, region);
    return summary;
}
