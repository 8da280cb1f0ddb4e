/* The contract's JSON of a run, and the table of its sites. */
#include "analyses/leaks.h"
#include "report/cpu_report.h"
#include "analyses/ledger.h"
#include "report/place.h"
#include "report/run_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void write_integer_or_null(struct report_tree *tree, const char *key, int64_t value)
{
    if (value == RECORDING_UNKNOWN) {
        tree_text(tree, key, NULL);
    } else {
        tree_integer(tree, key, value);
    }
}

static void write_started(struct report_tree *tree, const struct model *model,
                          const struct model_process *process)
{
    int64_t epoch_ns = model->run->started_realtime_ns;
    if (epoch_ns <= 0) {
        tree_text(tree, "started", NULL);
        return;
    }
    int64_t sum_ns;
    if (__builtin_add_overflow(epoch_ns, process->row.started_ns, &sum_ns)) {
        sum_ns = epoch_ns;
    }
    time_t seconds = (time_t)(sum_ns / 1000000000);
    struct tm parts;
    char text[64] = "";
    if (gmtime_r(&seconds, &parts) != NULL) {
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
    tree_text(tree, "started", text);
}

static void write_process(struct report_tree *tree, const struct summary *summary)
{
    const struct model_process *process = summary->process;
    const struct recording_process *row = &process->row;
    tree_object(tree, "process");
    tree_integer(tree, "pid", row->pid);
    tree_integer(tree, "ppid", row->parent_pid);
    tree_text(tree, "program", row->executable);
    tree_array(tree, "arguments");
    for (size_t i = 0; i < process->argument_count; i++) {
        tree_text(tree, NULL, process->arguments[i]);
    }
    tree_end(tree);
    write_integer_or_null(tree, "exit_status", row->exit_status);
    write_integer_or_null(tree, "signal", row->signal);
    write_started(tree, summary->model, process);
    tree_number(tree, "seconds", summary->seconds);
    tree_text(tree, "host", summary->model->run->host);
    tree_text(tree, "allocator", row->allocator);
    tree_text(tree, "working_directory", row->working_directory);
    tree_text(tree, "started_by",
              row->start == RECORDING_START_FORK     ? "fork"
              : row->start == RECORDING_START_ATTACH ? "attach"
                                                     : "exec");
    tree_boolean(tree, "replaced_by_exec", row->was_replaced != 0);
    tree_boolean(tree, "running", row->ended_ns == RECORDING_UNKNOWN);
    tree_text(tree, "untracked", row->untracked_reason);
    tree_integer(tree, "threads", row->threads);
    tree_end(tree);
}

static void write_mode(struct report_tree *tree, const struct model *model)
{
    const struct recording_run *run = model->run;
    tree_object(tree, "mode");
    write_integer_or_null(tree, "sample_bytes",
                          run->sample_bytes > 0 ? run->sample_bytes : RECORDING_UNKNOWN);
    tree_integer(tree, "cpu_hz", run->cpu_hz);
    tree_integer(tree, "depth", run->depth_max);
    tree_boolean(tree, "complete", model_is_complete(model));
    tree_text(tree, "state", model->selector.text);
    tree_number(tree, "state_seconds", model->state_seconds);
    tree_end(tree);
}

static void write_interval(struct report_tree *tree, const char *key, int64_t estimate,
                           double variance)
{
    double half = 1.96 * sqrt(variance);
    double low = (double)estimate - half;
    tree_array(tree, key);
    tree_number(tree, NULL, low > 0 ? low : 0);
    tree_number(tree, NULL, (double)estimate + half);
    tree_end(tree);
}

/* Only in a run that samples: how many samples the estimates rest on, and their 95 %
 * intervals. */
static void write_sampling(struct report_tree *tree, bool is_sampled, int64_t allocations,
                           int64_t allocated_bytes, int64_t live_blocks, int64_t live_bytes,
                           const struct model_variance *variance)
{
    if (!is_sampled) {
        return;
    }
    tree_object(tree, "sampling");
    tree_integer(tree, "sampled_allocations", variance->sampled_allocations);
    write_interval(tree, "allocations", allocations, variance->allocations);
    write_interval(tree, "allocated_bytes", allocated_bytes, variance->allocated_bytes);
    write_interval(tree, "live_blocks", live_blocks, variance->live_blocks);
    write_interval(tree, "live_bytes", live_bytes, variance->live_bytes);
    tree_end(tree);
}

static void write_totals(struct report_tree *tree, const struct model *model,
                         const struct model_process *process)
{
    const struct model_totals *totals = &process->totals;
    const struct recording_process *row = &process->row;
    tree_object(tree, "totals");
    tree_integer(tree, "allocations", totals->allocations);
    tree_integer(tree, "frees", totals->frees);
    tree_integer(tree, "allocated_bytes", totals->allocated_bytes);
    tree_integer(tree, "freed_bytes", totals->freed_bytes);
    tree_integer(tree, "live_blocks", totals->live_blocks);
    tree_integer(tree, "live_bytes", totals->live_bytes);
    tree_integer(tree, "inherited_blocks", totals->inherited_blocks);
    tree_integer(tree, "inherited_bytes", totals->inherited_bytes);
    tree_integer(tree, "peak_bytes", row->peak_bytes);
    tree_integer(tree, "peak_blocks", row->peak_blocks);
    tree_number(tree, "peak_seconds", (double)(row->peak_ns - row->started_ns) / 1e9);
    tree_integer(tree, "temporary_allocations", totals->temporaries);
    write_integer_or_null(tree, "peak_rss_bytes", row->peak_rss_bytes);
    tree_integer(tree, "dropped_events", row->dropped_events);
    tree_integer(tree, "stacks", (int64_t)process->site_count);
    tree_integer(tree, "unknown_stacks", row->unknown_stacks);
    tree_integer(tree, "approximate_stacks", row->approximate_stacks);
    tree_integer(tree, "cut_stacks", row->cut_stacks);
    tree_integer(tree, "own_bytes", row->own_bytes);
    write_sampling(tree, model->run->sample_bytes > 0, totals->allocations,
                   totals->allocated_bytes, totals->live_blocks, totals->live_bytes,
                   &process->variance);
    tree_end(tree);
}

static void write_defects(struct report_tree *tree, const struct model *model,
                          const struct model_process *process)
{
    static const char *const names[] = {[RECORDING_DOUBLE_FREE] = "double-free",
                                        [RECORDING_INVALID_FREE] = "invalid-free",
                                        [RECORDING_MISMATCHED_FREE] = "mismatched-free"};
    tree_array(tree, "errors");
    for (size_t i = 0; i < process->defect_count; i++) {
        const struct model_defect *defect = &process->defects[i];
        tree_object(tree, NULL);
        tree_text(tree, "kind", names[defect->kind]);
        tree_integer(tree, "count", defect->count);
        tree_text(tree, "allocated_as",
                  defect->allocated_as[0] != '\0' ? defect->allocated_as : NULL);
        tree_text(tree, "released_as", defect->released_as[0] != '\0' ? defect->released_as : NULL);
        place_write_location(tree, "location", defect->release);
        place_write_stack(tree, "stack", model, defect->release);
        place_write_stack(tree, "allocation_stack", model, defect->allocation);
        tree_end(tree);
    }
    tree_end(tree);
}

static const char *const write_class_names[RECORDING_LEAK_CLASSES] = {
    "definite", "indirect", "possible", "reachable", "suppressed"};

static void write_class(struct report_tree *tree, const char *key, int64_t blocks, int64_t bytes)
{
    tree_object(tree, key);
    tree_integer(tree, "blocks", blocks);
    tree_integer(tree, "bytes", bytes);
    tree_end(tree);
}

static void write_classes(struct report_tree *tree, const struct model_leaks *leaks)
{
    for (size_t i = 0; i < RECORDING_LEAK_CLASSES; i++) {
        write_class(tree, write_class_names[i], leaks->blocks[i], leaks->bytes[i]);
    }
}

static void write_leaks(struct report_tree *tree, const struct model *model,
                        const struct model_process *process)
{
    tree_object(tree, "leaks");
    write_classes(tree, &process->leaks);
    tree_text(tree, "scan", leaks_scan(model, process));
    tree_end(tree);
}

static void write_lifetimes(struct report_tree *tree, const struct model *model,
                            const struct model_site *site)
{
    int64_t rest = site->frees;
    tree_array(tree, "lifetimes");
    double from = 0;
    double tick = (double)model->run->tick_ns / 1e9;
    for (size_t i = 0; i < RECORDING_LIFETIME_BUCKETS; i++) {
        rest -= model_site_lifetimes(site, i);
    }
    for (size_t i = 0; i <= RECORDING_LIFETIME_BUCKETS; i++) {
        int64_t frees = i == 0 ? rest : model_site_lifetimes(site, i - 1);
        if (frees > 0) {
            tree_object(tree, NULL);
            tree_number(tree, "from_seconds", from);
            tree_integer(tree, "blocks", frees);
            tree_end(tree);
        }
        from = tick * (double)(UINT64_C(1) << i);
    }
    tree_end(tree);
}

/* Others are stacks of CPU samples, where nothing was ever allocated. */
static bool is_memory_site(const struct model_site *site)
{
    return site->allocations != 0 || site->frees != 0 || site->inherited_blocks != 0
           || site->live_blocks != 0 || site->allocator_samples != 0;
}

static void write_sites(struct report_tree *tree, const struct model *model,
                        const struct model_process *process)
{
    tree_array(tree, "sites");
    for (size_t i = 0; i < process->site_count; i++) {
        const struct model_site *site = &process->sites[i];
        if (!is_memory_site(site)) {
            continue;
        }
        tree_object(tree, NULL);
        tree_integer(tree, "id", site->stack->id);
        place_write_stack(tree, "stack", model, site->stack);
        place_write_location(tree, "location", site->stack);
        tree_integer(tree, "allocations", site->allocations);
        tree_integer(tree, "allocated_bytes", site->allocated_bytes);
        tree_integer(tree, "frees", site->frees);
        tree_integer(tree, "freed_bytes", site->freed_bytes);
        tree_integer(tree, "temporary_allocations", site->temporaries);
        tree_integer(tree, "live_blocks", site->live_blocks);
        tree_integer(tree, "live_bytes", site->live_bytes);
        tree_integer(tree, "peak_blocks", site->peak_blocks);
        tree_integer(tree, "peak_bytes", site->peak_bytes);
        tree_integer(tree, "cpu_samples", site->cpu_samples);
        tree_integer(tree, "allocator_cpu_samples", site->allocator_samples);
        tree_object(tree, "leaks");
        write_classes(tree, &site->leaks);
        tree_end(tree);
        write_lifetimes(tree, model, site);
        write_sampling(tree, model->run->sample_bytes > 0, site->allocations,
                       site->allocated_bytes, site->live_blocks, site->live_bytes,
                       &site->variance);
        tree_end(tree);
    }
    tree_end(tree);
}

/* Where the resident memory was; items add up to "rss_bytes". */
static void write_ledger(struct report_tree *tree, const struct model *model,
                         const struct model_process *process)
{
    struct region *region = region_new();
    const struct ledger *ledger = ledger_find(region, model, process);
    tree_array(tree, "resident");
    for (size_t i = 0; ledger != NULL && i < ledger->count; i++) {
        tree_object(tree, NULL);
        tree_text(tree, "item", ledger->entries[i].item);
        tree_integer(tree, "bytes", ledger->entries[i].bytes);
        tree_end(tree);
    }
    tree_end(tree);
    region_free(region);
}

static void write_timeline(struct report_tree *tree, const struct model_process *process)
{
    tree_array(tree, "timeline");
    for (size_t i = 0; i < process->point_count; i++) {
        const struct recording_point *point = &process->points[i];
        tree_object(tree, NULL);
        tree_number(tree, "seconds", (double)(point->time_ns - process->row.started_ns) / 1e9);
        tree_integer(tree, "live_bytes", point->live_bytes);
        tree_integer(tree, "live_min_bytes", point->live_min_bytes);
        tree_integer(tree, "live_max_bytes", point->live_max_bytes);
        tree_integer(tree, "live_blocks", point->live_blocks);
        write_integer_or_null(tree, "rss_bytes", point->rss_bytes);
        tree_integer(tree, "allocations", point->allocations);
        if (point->cpu_ns == RECORDING_UNKNOWN) {
            tree_text(tree, "cpu_seconds", NULL);
        } else {
            tree_number(tree, "cpu_seconds", (double)point->cpu_ns / 1e9);
        }
        if (point->allocator_resident_bytes != RECORDING_UNKNOWN) {
            tree_object(tree, "allocator");
            write_integer_or_null(tree, "allocated_bytes", point->allocator_allocated_bytes);
            write_integer_or_null(tree, "active_bytes", point->allocator_active_bytes);
            write_integer_or_null(tree, "metadata_bytes", point->allocator_metadata_bytes);
            write_integer_or_null(tree, "resident_bytes", point->allocator_resident_bytes);
            write_integer_or_null(tree, "retained_bytes", point->allocator_retained_bytes);
            tree_end(tree);
        }
        tree_end(tree);
    }
    tree_end(tree);
    tree_array(tree, "snapshots");
    for (size_t i = 0; i < process->snapshot_count; i++) {
        const struct model_process_snapshot *item = &process->snapshots[i];
        tree_object(tree, NULL);
        tree_integer(tree, "index", item->snapshot->index);
        tree_number(tree, "seconds", (double)item->snapshot->time_ns / 1e9);
        tree_text(tree, "label", item->snapshot->label);
        tree_integer(tree, "live_bytes", item->live_bytes);
        tree_integer(tree, "live_blocks", item->live_blocks);
        write_integer_or_null(tree, "rss_bytes", item->rss_bytes);
        tree_end(tree);
    }
    tree_end(tree);
}

/* Everything of one process but its children; leaves its object open. */
static void write_begin_process(struct report_tree *tree, const struct model *model,
                                const struct model_process *process)
{
    struct region *region = region_new();
    const struct summary *summary = summary_make(region, model, process);
    tree_object(tree, NULL);
    tree_integer(tree, "schema", 1);
    tree_text(tree, "memtrack", MEMTRACK_VERSION);
    write_process(tree, summary);
    write_mode(tree, model);
    write_totals(tree, model, process);
    write_defects(tree, model, process);
    write_leaks(tree, model, process);
    write_sites(tree, model, process);
    write_timeline(tree, process);
    write_ledger(tree, model, process);
    tree_object(tree, "cpu");
    cpu_report_write_members(tree, summary->cpu);
    tree_end(tree);
    region_free(region);
}

/* By a path instead of recursion: a chain of execs may be thousands long. */
void run_report_write(struct report_tree *tree, const struct model *model,
                      const struct model_process *process)
{
    size_t *next = calloc(model->process_count + 1, sizeof(*next));
    const struct model_process **path = calloc(model->process_count + 1, sizeof(*path));
    if (next == NULL || path == NULL) {
        free(next);
        free(path);
        return;
    }
    size_t depth = 0;
    path[0] = process;
    write_begin_process(tree, model, process);
    tree_array(tree, "children");
    for (;;) {
        const struct model_process *at = path[depth];
        if (next[at->index] < at->child_count) {
            path[++depth] = at->children[next[at->index]++];
            write_begin_process(tree, model, path[depth]);
            tree_array(tree, "children");
            continue;
        }
        tree_end(tree);
        tree_end(tree);
        if (depth == 0) {
            break;
        }
        depth--;
    }
    free(next);
    free(path);
}

/* ---- the table ----------------------------------------------------------- */

static void write_table_row(struct report_document *document, struct report_table *table,
                            const struct model *model, const struct model_process *process,
                            const struct model_site *site)
{
    struct report_row *row = report_add_row(document, table);
    const struct model_frame *location = site->stack->location;
    size_t column = 0;
    report_set_integer(row, column++, process->index);
    report_set_integer(row, column++, process->row.pid);
    report_set_integer(row, column++, site->stack->id);
    report_set_text(row, column++, location != NULL ? location->function : NULL);
    report_set_text(row, column++, location != NULL ? location->file : NULL);
    if (location != NULL && location->line > 0) {
        report_set_integer(row, column, location->line);
    }
    column++;
    report_set_text(row, column++,
                    location != NULL && location->module != NULL ? location->module->path : NULL);
    const int64_t values[] = {
        site->allocations, site->allocated_bytes, site->frees,
        site->freed_bytes, site->temporaries,     site->live_blocks,
        site->live_bytes,  site->peak_blocks,     site->peak_bytes,
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        report_set_integer(row, column++, values[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        report_set_integer(row, column++, site->leaks.blocks[i]);
        report_set_integer(row, column++, site->leaks.bytes[i]);
    }
    report_set_integer(row, column++, site->cpu_samples);
    place_set_frames(document, model, site->stack, row);
}

struct report_document *run_report_make_table(const struct model *model,
                                              const struct model_process *only)
{
    static const struct report_column columns[] = {
        {"process", "process", REPORT_COUNT},
        {"pid", "pid", REPORT_COUNT},
        {"site", "site", REPORT_COUNT},
        {"function", "function", REPORT_TEXT},
        {"file", "file", REPORT_TEXT},
        {"line", "line", REPORT_COUNT},
        {"module", "module", REPORT_TEXT},
        {"allocations", "allocations", REPORT_COUNT},
        {"allocated", "allocated_bytes", REPORT_BYTES},
        {"frees", "frees", REPORT_COUNT},
        {"freed", "freed_bytes", REPORT_BYTES},
        {"temporary", "temporary_allocations", REPORT_COUNT},
        {"live blocks", "live_blocks", REPORT_COUNT},
        {"live", "live_bytes", REPORT_BYTES},
        {"peak blocks", "peak_blocks", REPORT_COUNT},
        {"peak", "peak_bytes", REPORT_BYTES},
        {"definite blocks", "definite_blocks", REPORT_COUNT},
        {"definite", "definite_bytes", REPORT_BYTES},
        {"indirect blocks", "indirect_blocks", REPORT_COUNT},
        {"indirect", "indirect_bytes", REPORT_BYTES},
        {"possible blocks", "possible_blocks", REPORT_COUNT},
        {"possible", "possible_bytes", REPORT_BYTES},
        {"reachable blocks", "reachable_blocks", REPORT_COUNT},
        {"reachable", "reachable_bytes", REPORT_BYTES},
        {"CPU", "cpu_samples", REPORT_COUNT}};
    struct report_document *document = report_document_new();
    struct report_table *table =
        report_add_table(document, columns, sizeof(columns) / sizeof(columns[0]));
    table->is_data = true;
    for (size_t i = 0; i < model->process_count; i++) {
        const struct model_process *process = &model->processes[i];
        if (only != NULL && process != only) {
            continue;
        }
        for (size_t k = 0; k < process->site_count; k++) {
            write_table_row(document, table, model, process, &process->sites[k]);
        }
    }
    return document;
}
