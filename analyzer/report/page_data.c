#include "report/page_data.h"

#include "analyses/summary.h"
#include "report/page_parts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t page_site_position(const struct page_writer *writer, const struct model_stack *stack)
{
    return stack != NULL ? (int64_t)writer->positions[stack->id] - 1 : -1;
}

void page_write_known(struct report_tree *tree, const char *key, int64_t value)
{
    if (value == RECORDING_UNKNOWN) {
        tree_text(tree, key, NULL);
    } else {
        tree_integer(tree, key, value);
    }
}

static void page_write_started(struct report_tree *tree, const struct model *model,
                               const struct model_process *process)
{
    int64_t sum_ns;
    struct tm parts;
    char text[64] = "";
    if (model->run->started_realtime_ns <= 0
        || __builtin_add_overflow(model->run->started_realtime_ns, process->row.started_ns,
                                  &sum_ns)) {
        tree_text(tree, "started", NULL);
        return;
    }
    time_t seconds = (time_t)(sum_ns / 1000000000);
    if (gmtime_r(&seconds, &parts) != NULL) {
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
    tree_text(tree, "started", text);
}

static void page_write_facts(struct page_writer *writer, const struct summary *summary)
{
    struct report_tree *tree = writer->tree;
    const struct model_process *process = writer->process;
    const struct recording_process *row = &process->row;
    tree_object(tree, "facts");
    tree_integer(tree, "index", process->index);
    page_write_known(tree, "parent",
                     process->parent != NULL ? process->parent->index : RECORDING_UNKNOWN);
    tree_integer(tree, "pid", row->pid);
    tree_integer(tree, "ppid", row->parent_pid);
    tree_text(tree, "program", row->executable);
    tree_array(tree, "arguments");
    for (size_t i = 0; i < process->argument_count; i++) {
        tree_text(tree, NULL, process->arguments[i]);
    }
    tree_end(tree);
    tree_text(tree, "working_directory", row->working_directory);
    tree_text(tree, "allocator", row->allocator);
    tree_text(tree, "untracked", row->untracked_reason);
    page_write_known(tree, "exit_status", row->exit_status);
    page_write_known(tree, "signal", row->signal);
    tree_boolean(tree, "replaced_by_exec", row->was_replaced != 0);
    tree_boolean(tree, "running", row->ended_ns == RECORDING_UNKNOWN);
    page_write_started(tree, writer->model, process);
    tree_number(tree, "start_seconds", (double)row->started_ns / 1e9);
    tree_number(tree, "seconds", summary->seconds);
    tree_integer(tree, "threads", row->threads);
    page_write_known(tree, "cpu_user_ns", row->cpu_user_ns);
    page_write_known(tree, "cpu_system_ns", row->cpu_system_ns);
    tree_integer(tree, "dropped_events", row->dropped_events);
    tree_integer(tree, "unknown_stacks", row->unknown_stacks);
    tree_integer(tree, "approximate_stacks", row->approximate_stacks);
    tree_integer(tree, "cut_stacks", row->cut_stacks);
    tree_integer(tree, "own_bytes", row->own_bytes);
    tree_end(tree);
}

static void page_write_totals(struct page_writer *writer)
{
    struct report_tree *tree = writer->tree;
    const struct model_totals *totals = &writer->process->totals;
    const struct recording_process *row = &writer->process->row;
    tree_object(tree, "totals");
    tree_integer(tree, "allocations", totals->allocations);
    tree_integer(tree, "allocated_bytes", totals->allocated_bytes);
    tree_integer(tree, "frees", totals->frees);
    tree_integer(tree, "freed_bytes", totals->freed_bytes);
    tree_integer(tree, "live_blocks", totals->live_blocks);
    tree_integer(tree, "live_bytes", totals->live_bytes);
    tree_integer(tree, "inherited_blocks", totals->inherited_blocks);
    tree_integer(tree, "inherited_bytes", totals->inherited_bytes);
    tree_integer(tree, "temporary_allocations", totals->temporaries);
    tree_integer(tree, "peak_bytes", row->peak_bytes);
    tree_integer(tree, "peak_blocks", row->peak_blocks);
    tree_number(tree, "peak_seconds", (double)(row->peak_ns - row->started_ns) / 1e9);
    page_write_known(tree, "peak_rss_bytes", row->peak_rss_bytes);
    tree_end(tree);
}

/* ---- sites --------------------------------------------------------------- */

/* Others are stacks of CPU samples, where nothing was ever allocated. */
static bool page_is_memory_site(const struct model_site *site)
{
    return site->allocations != 0 || site->frees != 0 || site->inherited_blocks != 0
           || site->live_blocks != 0 || site->allocator_samples != 0;
}

static void page_take_sites(struct page_writer *writer, const struct model_process *process)
{
    for (size_t i = 0; i < writer->site_count; i++) {
        writer->positions[writer->sites[i]->stack->id] = 0;
    }
    writer->process = process;
    writer->site_count = 0;
    for (size_t i = 0; i < process->site_count; i++) {
        const struct model_site *site = &process->sites[i];
        if (!page_is_memory_site(site)) {
            continue;
        }
        writer->sites = mt_grow(writer->sites, &writer->site_capacity, writer->site_count + 1,
                                sizeof(*writer->sites));
        writer->sites[writer->site_count++] = site;
        writer->positions[site->stack->id] = (uint32_t)writer->site_count;
    }
}

static void page_write_column(struct page_writer *writer, const char *key, size_t offset)
{
    tree_array(writer->tree, key);
    for (size_t i = 0; i < writer->site_count; i++) {
        int64_t value;
        memcpy(&value, (const char *)writer->sites[i] + offset, sizeof(value));
        page_write_known(writer->tree, NULL, value);
    }
    tree_end(writer->tree);
}

static void page_write_sites(struct page_writer *writer)
{
#define PAGE_LEAK(part, class_name) offsetof(struct model_site, leaks.part[class_name])
    static const struct {
        const char *name;
        size_t offset;
    } columns[] = {
        {"allocations", offsetof(struct model_site, allocations)},
        {"allocated_bytes", offsetof(struct model_site, allocated_bytes)},
        {"frees", offsetof(struct model_site, frees)},
        {"freed_bytes", offsetof(struct model_site, freed_bytes)},
        {"temporary_allocations", offsetof(struct model_site, temporaries)},
        {"inherited_blocks", offsetof(struct model_site, inherited_blocks)},
        {"inherited_bytes", offsetof(struct model_site, inherited_bytes)},
        {"live_blocks", offsetof(struct model_site, live_blocks)},
        {"live_bytes", offsetof(struct model_site, live_bytes)},
        {"peak_blocks", offsetof(struct model_site, peak_blocks)},
        {"peak_bytes", offsetof(struct model_site, peak_bytes)},
        {"definite_blocks", PAGE_LEAK(blocks, RECORDING_LEAK_DEFINITE)},
        {"definite_bytes", PAGE_LEAK(bytes, RECORDING_LEAK_DEFINITE)},
        {"indirect_blocks", PAGE_LEAK(blocks, RECORDING_LEAK_INDIRECT)},
        {"indirect_bytes", PAGE_LEAK(bytes, RECORDING_LEAK_INDIRECT)},
        {"cpu_samples", offsetof(struct model_site, cpu_samples)},
        {"allocator_cpu_samples", offsetof(struct model_site, allocator_samples)},
    };
#undef PAGE_LEAK
    struct report_tree *tree = writer->tree;
    tree_object(tree, "sites");
    tree_array(tree, "id");
    for (size_t i = 0; i < writer->site_count; i++) {
        tree_integer(tree, NULL, writer->sites[i]->stack->id);
    }
    tree_end(tree);
    tree_array(tree, "leaf");
    for (size_t i = 0; i < writer->site_count; i++) {
        tree_integer(tree, NULL, page_stacks_leaf(&writer->stacks, writer->sites[i]->stack));
    }
    tree_end(tree);
    tree_array(tree, "location");
    for (size_t i = 0; i < writer->site_count; i++) {
        tree_integer(tree, NULL, page_stacks_location(&writer->stacks, writer->sites[i]->stack));
    }
    tree_end(tree);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        page_write_column(writer, columns[i].name, columns[i].offset);
    }
    tree_end(tree);
}

/* ---- the timeline -------------------------------------------------------- */

static void page_write_points(struct page_writer *writer)
{
    static const struct {
        const char *name;
        size_t offset;
    } columns[] = {
        {"live_bytes", offsetof(struct recording_point, live_bytes)},
        {"live_min_bytes", offsetof(struct recording_point, live_min_bytes)},
        {"live_max_bytes", offsetof(struct recording_point, live_max_bytes)},
        {"live_blocks", offsetof(struct recording_point, live_blocks)},
        {"rss_bytes", offsetof(struct recording_point, rss_bytes)},
        {"allocations", offsetof(struct recording_point, allocations)},
        {"cpu_ns", offsetof(struct recording_point, cpu_ns)},
        {"allocator_active_bytes", offsetof(struct recording_point, allocator_active_bytes)},
        {"allocator_resident_bytes", offsetof(struct recording_point, allocator_resident_bytes)},
    };
    struct report_tree *tree = writer->tree;
    const struct model_process *process = writer->process;
    tree_object(tree, "points");
    tree_array(tree, "seconds");
    for (size_t i = 0; i < process->point_count; i++) {
        tree_number(tree, NULL,
                    (double)(process->points[i].time_ns - process->row.started_ns) / 1e9);
    }
    tree_end(tree);
    for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
        tree_array(tree, columns[c].name);
        for (size_t i = 0; i < process->point_count; i++) {
            int64_t value;
            memcpy(&value, (const char *)&process->points[i] + columns[c].offset, sizeof(value));
            page_write_known(tree, NULL, value);
        }
        tree_end(tree);
    }
    tree_end(tree);
}

static void page_write_process(struct page_writer *writer, const struct model_process *process)
{
    const struct summary *summary = summary_make(writer->region, writer->model, process);
    page_take_sites(writer, process);
    tree_object(writer->tree, NULL);
    page_write_facts(writer, summary);
    page_write_totals(writer);
    page_write_sites(writer);
    page_write_points(writer);
    page_write_snapshots(writer);
    page_write_findings(writer);
    tree_end(writer->tree);
}

static void page_write_run(struct report_tree *tree, const struct model *model)
{
    const struct recording_run *run = model->run;
    const char *name = strrchr(model->selector.path, '/');
    tree_integer(tree, "schema", 1);
    tree_text(tree, "memtrack", MEMTRACK_VERSION);
    tree_text(tree, "file", name != NULL ? name + 1 : model->selector.path);
    tree_object(tree, "run");
    tree_text(tree, "memtrack", run->memtrack_version);
    tree_text(tree, "host", run->host);
    tree_text(tree, "kernel", run->kernel);
    tree_text(tree, "command", run->command);
    page_write_known(tree, "sample_bytes",
                     run->sample_bytes > 0 ? run->sample_bytes : RECORDING_UNKNOWN);
    tree_integer(tree, "cpu_hz", run->cpu_hz);
    tree_text(tree, "cpu_clock", run->cpu_clock);
    tree_integer(tree, "depth", run->depth_max);
    tree_text(tree, "follow", run->follow);
    tree_text(tree, "leaks", run->leaks);
    page_write_known(tree, "memory_limit_bytes", run->memory_limit_bytes);
    tree_boolean(tree, "complete", model_is_complete(model));
    tree_text(tree, "damage", recording_reader_damage(model->reader));
    tree_text(tree, "state", model->selector.text);
    tree_number(tree, "state_seconds", model->state_seconds);
    tree_end(tree);
}

void page_data_write(struct report_tree *tree, const struct model *model,
                     const struct model_process *only)
{
    struct page_writer writer = {.tree = tree, .model = model, .region = region_new()};
    writer.positions =
        region_alloc_array(writer.region, model->stack_count + 1, sizeof(*writer.positions));
    page_stacks_init(&writer.stacks, model);
    tree_object(tree, NULL);
    page_write_run(tree, model);
    tree_array(tree, "processes");
    for (size_t i = 0; i < model->process_count; i++) {
        if (only == NULL || only == &model->processes[i]) {
            page_write_process(&writer, &model->processes[i]);
        }
    }
    tree_end(tree);
    tree_integer(tree, "opens_with",
                 only == NULL && model->process_count > 0 ? model_main_process(model)->index : 0);
    page_stacks_write(&writer.stacks, tree);
    tree_end(tree);
    page_stacks_deinit(&writer.stacks);
    free(writer.sites);
    region_free(writer.region);
}
