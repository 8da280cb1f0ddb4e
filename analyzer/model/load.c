/* From the reader's rows to a model. */
#include "model/model.h"

#include "model/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A list that grows while a process is loaded and then moves into the region. */
struct load_list {
    void *items;
    size_t count;
    size_t capacity;
};

struct loader {
    struct model *model;
    struct model_process *process;
    const struct model_image *image;
    struct load_list list;
    struct model_site *sites;
    size_t site_count;
    size_t site_capacity;
    /* The only process: its sites grow where they stay, with room for every stack. */
    bool are_sites_in_place;
    /* By the model's stack id: position in sites + 1, or 0. Shared by all processes, and
     * all zero between them: a build with thousands of processes has few stacks in each. */
    uint32_t *site_index;
    int64_t last_snapshot; /* rows beyond it are not applied */
    int64_t census;
};

static void *load_add(struct load_list *list, size_t element_bytes)
{
    list->items = mt_grow(list->items, &list->capacity, list->count + 1, element_bytes);
    void *item = (char *)list->items + list->count * element_bytes;
    list->count++;
    memset(item, 0, element_bytes);
    return item;
}

/* Moves the list's items into the region and leaves it empty. */
static void *load_take(struct loader *loader, size_t element_bytes, size_t *count)
{
    struct load_list *list = &loader->list;
    void *items = region_alloc_array(loader->model->region, list->count, element_bytes);
    if (list->count > 0) {
        memcpy(items, list->items, list->count * element_bytes);
    }
    *count = list->count;
    free(list->items);
    *list = (struct load_list){0}; /* the next items may be of another size */
    return items;
}

static const char *load_text(const struct loader *loader, const char *text)
{
    return text == NULL ? "" : region_copy_text(loader->model->region, text);
}

static const struct model_stack *load_stack(const struct loader *loader, int64_t stack)
{
    const struct model_image *image = loader->image;
    if (stack >= 0 && (size_t)stack < image->stack_count && image->stacks[stack] != NULL) {
        return image->stacks[stack];
    }
    return loader->model->tables->empty;
}

/* ---- processes ----------------------------------------------------------- */

static int load_visit_process(void *context, const void *row)
{
    struct loader *loader = context;
    struct model_process *process = load_add(&loader->list, sizeof(*process));
    process->row = *(const struct recording_process *)row;
    struct recording_process *p = &process->row;
    p->executable = load_text(loader, p->executable);
    p->working_directory = load_text(loader, p->working_directory);
    p->allocator = region_copy_text(loader->model->region, p->allocator);
    p->untracked_reason = region_copy_text(loader->model->region, p->untracked_reason);
    p->cpu_sampling = region_copy_text(loader->model->region, p->cpu_sampling);
    p->scan = region_copy_text(loader->model->region, p->scan);
    return 0;
}

static int load_compare_started(const void *left, const void *right)
{
    const struct model_process *a = left;
    const struct model_process *b = right;
    if (a->row.started_ns != b->row.started_ns) {
        return a->row.started_ns < b->row.started_ns ? -1 : 1;
    }
    return a->row.id < b->row.id ? -1 : a->row.id > b->row.id;
}

struct load_id {
    int64_t id;
    struct model_process *process;
};

static int load_compare_ids(const void *left, const void *right)
{
    const struct load_id *a = left;
    const struct load_id *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

static struct model_process *load_process_by_id(const struct load_id *ids, size_t count, int64_t id)
{
    const struct load_id key = {.id = id};
    const struct load_id *found = bsearch(&key, ids, count, sizeof(key), load_compare_ids);
    return found != NULL ? found->process : NULL;
}

/* A parent must come before its child, so that a damaged file cannot make a circle. What
 * has no known parent hangs on the run's first process: nothing of a run is left out. */
static void load_build_tree(struct model *model)
{
    size_t count = model->process_count;
    size_t *counts = region_alloc_array(model->region, count, sizeof(*counts));
    struct load_id *ids = region_alloc_array(model->region, count, sizeof(*ids));
    for (size_t i = 0; i < count; i++) {
        ids[i] = (struct load_id){model->processes[i].row.id, &model->processes[i]};
    }
    qsort(ids, count, sizeof(*ids), load_compare_ids);
    for (size_t i = 0; i < count; i++) {
        struct model_process *process = &model->processes[i];
        process->index = (int64_t)i;
        struct model_process *parent = load_process_by_id(ids, count, process->row.parent);
        process->parent = parent != NULL && parent < process ? parent
                          : i > 0                            ? &model->processes[0]
                                                             : NULL;
        if (process->parent != NULL) {
            process->parent->child_count++;
        }
    }
    for (size_t i = 0; i < model->process_count; i++) {
        struct model_process *process = &model->processes[i];
        process->children =
            region_alloc_array(model->region, process->child_count, sizeof(struct model_process *));
        if (process->parent != NULL) {
            size_t at = counts[process->parent->index]++;
            process->parent->children[at] = process;
        }
    }
}

static int load_visit_argument(void *context, const void *row)
{
    struct loader *loader = context;
    const struct recording_argument *argument = row;
    const char **item = load_add(&loader->list, sizeof(*item));
    *item = load_text(loader, argument->value);
    return 0;
}

static int load_visit_thread(void *context, const void *row)
{
    struct loader *loader = context;
    struct recording_thread *thread = load_add(&loader->list, sizeof(*thread));
    *thread = *(const struct recording_thread *)row;
    thread->name = load_text(loader, thread->name);
    return 0;
}

/* ---- snapshots ----------------------------------------------------------- */

static int load_visit_snapshot(void *context, const void *row)
{
    struct loader *loader = context;
    const struct recording_snapshot *snapshot = row;
    struct model_snapshot *item = load_add(&loader->list, sizeof(*item));
    item->index = (int64_t)loader->list.count - 1;
    item->snapshot = snapshot->snapshot;
    item->time_ns = snapshot->time_ns;
    item->label = region_copy_text(loader->model->region, snapshot->label);
    item->cause = load_text(loader, snapshot->cause);
    return 0;
}

static const struct model_snapshot *load_find_snapshot(const struct model *model, int64_t snapshot)
{
    size_t low = 0;
    size_t high = model->snapshot_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (model->snapshots[middle].snapshot < snapshot) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < model->snapshot_count && model->snapshots[low].snapshot == snapshot
               ? &model->snapshots[low]
               : NULL;
}

static int load_visit_snapshot_process(void *context, const void *row)
{
    struct loader *loader = context;
    const struct recording_snapshot_process *totals = row;
    const struct model_snapshot *snapshot = load_find_snapshot(loader->model, totals->snapshot);
    if (snapshot != NULL) {
        struct model_process_snapshot *item = load_add(&loader->list, sizeof(*item));
        *item = (struct model_process_snapshot){.snapshot = snapshot,
                                                .live_bytes = totals->live_bytes,
                                                .live_blocks = totals->live_blocks,
                                                .allocations = totals->allocations,
                                                .rss_bytes = totals->rss_bytes};
    }
    return 0;
}

/* ---- sites --------------------------------------------------------------- */

static struct model_site *load_site(struct loader *loader, int64_t stack)
{
    const struct model_stack *found = load_stack(loader, stack);
    uint32_t *position = &loader->site_index[found->id];
    if (*position == 0) {
        loader->sites = mt_grow(loader->sites, &loader->site_capacity, loader->site_count + 1,
                                sizeof(*loader->sites));
        loader->sites[loader->site_count] = (struct model_site){.stack = found,
                                                                .oldest_ns = RECORDING_UNKNOWN,
                                                                .retained_bytes = RECORDING_UNKNOWN,
                                                                .pinned_bytes = RECORDING_UNKNOWN};
        *position = (uint32_t)++loader->site_count;
    }
    return &loader->sites[*position - 1];
}

static int load_visit_site(void *context, const void *row)
{
    const struct recording_site *from = row;
    struct model_site *site = load_site(context, from->stack);
    site->allocations += from->allocations;
    site->allocated_bytes += from->allocated_bytes;
    site->frees += from->frees;
    site->freed_bytes += from->freed_bytes;
    site->temporaries += from->temporaries;
    site->peak_blocks += from->peak_blocks;
    site->peak_bytes += from->peak_bytes;
    site->inherited_blocks += from->inherited_blocks;
    site->inherited_bytes += from->inherited_bytes;
    return 0;
}

/* The shares at the peak and what was inherited, which snapshots do not repeat. */
static int load_visit_site_shares(void *context, const void *row)
{
    const struct recording_site *from = row;
    struct model_site *site = load_site(context, from->stack);
    site->peak_blocks += from->peak_blocks;
    site->peak_bytes += from->peak_bytes;
    site->inherited_blocks += from->inherited_blocks;
    site->inherited_bytes += from->inherited_bytes;
    return 0;
}

static void load_add_variance(struct model_variance *to, const struct recording_sample *from)
{
    to->sampled_allocations += from->sampled_allocations;
    to->allocations += from->allocations_variance;
    to->allocated_bytes += from->allocated_bytes_variance;
    to->live_blocks += from->live_blocks_variance;
    to->live_bytes += from->live_bytes_variance;
}

static int load_visit_sample(void *context, const void *row)
{
    struct loader *loader = context;
    const struct recording_sample *from = row;
    load_add_variance(&load_site(loader, from->stack)->variance, from);
    load_add_variance(&loader->process->variance, from);
    return 0;
}

static int load_visit_lifetime(void *context, const void *row)
{
    const struct recording_lifetime *lifetime = row;
    const struct loader *loader = context;
    struct model_site *site = load_site(context, lifetime->stack);
    if (site->lifetimes == NULL) {
        site->lifetimes = region_alloc_array(loader->model->region, RECORDING_LIFETIME_BUCKETS,
                                             sizeof(*site->lifetimes));
    }
    for (size_t i = 0; i < RECORDING_LIFETIME_BUCKETS; i++) {
        site->lifetimes[i] += lifetime->frees[i];
    }
    return 0;
}

/* Equal stacks may have several ids, so the latest row of each id counts: rows are
 * collected per id first. */
static int load_visit_snapshot_site(void *context, const void *row)
{
    struct loader *loader = context;
    const struct recording_snapshot_site *from = row;
    if (from->snapshot > loader->last_snapshot) {
        return 1;
    }
    if (from->stack < 0 || (size_t)from->stack > loader->image->stack_count) {
        return 0;
    }
    struct recording_snapshot_site *latest = loader->list.items;
    latest[from->stack] = *from;
    latest[from->stack].process = 1; /* there is a row */
    return 0;
}

static void load_sites_of_snapshot(struct loader *loader, int64_t snapshot)
{
    size_t count = loader->image->stack_count + 1;
    struct recording_snapshot_site *latest = calloc(count, sizeof(*latest));
    struct load_list kept = loader->list;
    if (latest == NULL) {
        return;
    }
    loader->list = (struct load_list){.items = latest};
    loader->last_snapshot = snapshot;
    recording_reader_each(loader->model->reader, RECORDING_TABLE_SNAPSHOT_SITE,
                          loader->process->row.id, load_visit_snapshot_site, loader);
    loader->list = kept;
    for (size_t i = 0; i < count; i++) {
        if (latest[i].process == 0) {
            continue;
        }
        struct model_site *site = load_site(loader, (int64_t)i);
        site->allocations += latest[i].allocations;
        site->allocated_bytes += latest[i].allocated_bytes;
        site->frees += latest[i].frees;
        site->freed_bytes += latest[i].freed_bytes;
        site->temporaries += latest[i].temporaries;
    }
    free(latest);
}

static int load_visit_any(void *context, const void *row)
{
    (void)context;
    (void)row;
    return 1;
}

/* The counters of all sites in the state that was selected. */
static void load_sites(struct loader *loader)
{
    struct model *model = loader->model;
    struct recording_reader *reader = model->reader;
    int64_t id = loader->process->row.id;
    const struct model_snapshot *snapshot = model->state_snapshot;
    bool has_end =
        recording_reader_each(reader, RECORDING_TABLE_SITE, id, load_visit_any, NULL) != 0;
    if (snapshot == NULL && !has_end && model->snapshot_count > 0
        && model->selector.state != MODEL_STATE_PEAK) {
        snapshot = &model->snapshots[model->snapshot_count - 1];
    }
    if (snapshot == NULL) {
        recording_reader_each(reader, RECORDING_TABLE_SITE, id, load_visit_site, loader);
        recording_reader_each(reader, RECORDING_TABLE_SAMPLE, id, load_visit_sample, loader);
    } else {
        recording_reader_each(reader, RECORDING_TABLE_SITE, id, load_visit_site_shares, loader);
        if (snapshot->time_ns >= loader->process->row.started_ns) {
            load_sites_of_snapshot(loader, snapshot->snapshot);
        }
    }
    if (!model->selector.is_lean) {
        recording_reader_each(reader, RECORDING_TABLE_LIFETIME, id, load_visit_lifetime, loader);
    }
}

static int load_visit_cpu(void *context, const void *row)
{
    struct loader *loader = context;
    const struct recording_cpu *cpu = row;
    struct model_cpu *item = load_add(&loader->list, sizeof(*item));
    item->thread = cpu->thread;
    item->stack = load_stack(loader, cpu->stack);
    item->samples = cpu->samples;
    item->system_samples = cpu->system_samples;
    item->allocator_samples = cpu->allocator_samples;
    item->allocator_system_samples = cpu->allocator_system_samples;
    const struct model_image *image = loader->image;
    if (cpu->stack >= 0 && (size_t)cpu->stack < image->stack_count
        && image->is_in_allocator[cpu->stack]) {
        item->allocator_samples += item->samples;
        item->allocator_system_samples += item->system_samples;
        item->samples = 0;
        item->system_samples = 0;
    }
    struct model_site *site = load_site(loader, cpu->stack);
    site->cpu_samples += item->samples;
    site->allocator_samples += item->allocator_samples;
    return 0;
}

/* ---- census -------------------------------------------------------------- */

struct load_census {
    struct loader *loader;
    struct recording_census best;
    bool has_best;
};

static int load_visit_census(void *context, const void *row)
{
    struct load_census *search = context;
    const struct recording_census *census = row;
    const struct model *model = search->loader->model;
    /* A scan in mid-run says nothing of an end that came later. */
    bool has_ended = search->loader->process->row.ended_ns != RECORDING_UNKNOWN;
    bool fits = model->state_snapshot == NULL
                    ? census->is_final || !has_ended
                    : census->snapshot == model->state_snapshot->snapshot;
    if (fits) {
        search->best = *census;
        search->best.scan = region_copy_text(model->region, census->scan);
        search->best.remark = region_copy_text(model->region, census->remark);
        search->has_best = true;
    }
    return 0;
}

static int load_visit_census_site(void *context, const void *row)
{
    struct loader *loader = context;
    const struct recording_census_site *from = row;
    struct model_site *site = load_site(loader, from->stack);
    for (size_t i = 0; i < RECORDING_LEAK_CLASSES; i++) {
        site->leaks.blocks[i] += from->blocks[i];
        site->leaks.bytes[i] += from->bytes[i];
        loader->process->leaks.blocks[i] += from->blocks[i];
        loader->process->leaks.bytes[i] += from->bytes[i];
    }
    site->led_blocks += from->led_blocks;
    site->led_bytes += from->led_bytes;
    if (from->oldest_ns != RECORDING_UNKNOWN && from->oldest_ns > site->oldest_ns) {
        site->oldest_ns = from->oldest_ns;
    }
    if (from->retained_bytes != RECORDING_UNKNOWN) {
        site->retained_bytes = from->retained_bytes;
    }
    if (from->pinned_bytes != RECORDING_UNKNOWN) {
        site->pinned_bytes = from->pinned_bytes;
    }
    return 0;
}

static void load_census(struct loader *loader)
{
    struct load_census search = {.loader = loader};
    recording_reader_each(loader->model->reader, RECORDING_TABLE_CENSUS, loader->process->row.id,
                          load_visit_census, &search);
    if (!search.has_best) {
        return;
    }
    struct recording_census *census = region_alloc(loader->model->region, sizeof(*census));
    *census = search.best;
    loader->process->census = census;
    recording_reader_each(loader->model->reader, RECORDING_TABLE_CENSUS_SITE, census->census,
                          load_visit_census_site, loader);
}

/* ---- the rest of a process ----------------------------------------------- */

static int load_visit_point(void *context, const void *row)
{
    struct loader *loader = context;
    struct recording_point *point = load_add(&loader->list, sizeof(*point));
    *point = *(const struct recording_point *)row;
    return 0;
}

static int load_visit_defect(void *context, const void *row)
{
    struct loader *loader = context;
    const struct recording_defect *from = row;
    struct model_defect *defect = load_add(&loader->list, sizeof(*defect));
    defect->kind = from->kind;
    defect->count = from->count;
    defect->release = load_stack(loader, from->release_stack);
    defect->allocation =
        from->allocation_stack != 0 ? load_stack(loader, from->allocation_stack) : NULL;
    defect->allocated_as = load_text(loader, from->allocated_as);
    defect->released_as = load_text(loader, from->released_as);
    defect->address = from->address;
    return 0;
}

static int load_compare_sites(const void *left, const void *right)
{
    const struct model_site *a = left;
    const struct model_site *b = right;
    return a->stack->id < b->stack->id ? -1 : a->stack->id > b->stack->id;
}

/* Derives what is live in this state, and the totals. */
static void load_finish_sites(struct loader *loader)
{
    struct model *model = loader->model;
    struct model_process *process = loader->process;
    bool is_peak = model->selector.state == MODEL_STATE_PEAK;
    struct model_totals *totals = &process->totals;
    struct model_site *sites =
        loader->are_sites_in_place
            ? loader->sites
            : region_alloc_array(model->region, loader->site_count, sizeof(*sites));
    bool is_ordered = true; /* the rows' order is almost always that of the ids */
    for (size_t i = 0; i < loader->site_count; i++) {
        struct model_site *site = &sites[i];
        if (!loader->are_sites_in_place) {
            *site = loader->sites[i];
        }
        is_ordered = is_ordered && (i == 0 || sites[i - 1].stack->id < site->stack->id);
        loader->site_index[site->stack->id] = 0;
        site->live_blocks =
            is_peak ? site->peak_blocks : site->allocations - site->frees + site->inherited_blocks;
        site->live_bytes = is_peak
                               ? site->peak_bytes
                               : site->allocated_bytes - site->freed_bytes + site->inherited_bytes;
        totals->allocations += site->allocations;
        totals->allocated_bytes += site->allocated_bytes;
        totals->frees += site->frees;
        totals->freed_bytes += site->freed_bytes;
        totals->temporaries += site->temporaries;
        totals->inherited_blocks += site->inherited_blocks;
        totals->inherited_bytes += site->inherited_bytes;
        totals->live_blocks += site->live_blocks;
        totals->live_bytes += site->live_bytes;
    }
    if (!is_ordered) {
        qsort(sites, loader->site_count, sizeof(*sites), load_compare_sites);
    }
    process->sites = sites;
    process->site_count = loader->site_count;
}

/* What a process is in every state. */
static void load_process(struct model *model, struct model_process *process)
{
    struct recording_reader *reader = model->reader;
    struct loader loader = {.model = model, .process = process};
    int64_t id = process->row.id;
    loader.image = model_load_image(model, process->row.image);
    recording_reader_each(reader, RECORDING_TABLE_ARGUMENT, id, load_visit_argument, &loader);
    process->arguments = load_take(&loader, sizeof(*process->arguments), &process->argument_count);
    recording_reader_each(reader, RECORDING_TABLE_THREAD, id, load_visit_thread, &loader);
    process->threads = load_take(&loader, sizeof(*process->threads), &process->thread_count);
    recording_reader_each(reader, RECORDING_TABLE_SNAPSHOT_PROCESS, id, load_visit_snapshot_process,
                          &loader);
    process->snapshots = load_take(&loader, sizeof(*process->snapshots), &process->snapshot_count);
    recording_reader_each(reader, RECORDING_TABLE_POINT, id, load_visit_point, &loader);
    process->points = load_take(&loader, sizeof(*process->points), &process->point_count);
    recording_reader_each(reader, RECORDING_TABLE_DEFECT, id, load_visit_defect, &loader);
    process->defects = load_take(&loader, sizeof(*process->defects), &process->defect_count);
    free(loader.list.items);
}

/* What it is in the state that was selected. */
static void load_process_state(struct model *model, struct model_process *process)
{
    struct loader loader = {.model = model, .process = process};
    loader.image = model_load_image(model, process->row.image);
    struct model_tables *tables = model->tables;
    size_t known = tables->site_index_count;
    tables->site_index = mt_grow(tables->site_index, &tables->site_index_count,
                                 model->stack_count + 1, sizeof(*tables->site_index));
    memset(tables->site_index + known, 0,
           (tables->site_index_count - known) * sizeof(*tables->site_index));
    loader.site_index = tables->site_index;
    if (model->process_count == 1) {
        loader.are_sites_in_place = true;
        loader.site_capacity = model->stack_count + 1;
        loader.sites = region_alloc_array(model->region, loader.site_capacity,
                                          sizeof(*loader.sites));
    }
    load_sites(&loader);
    if (!model->selector.is_lean) {
        recording_reader_each(model->reader, RECORDING_TABLE_CPU, process->row.id, load_visit_cpu,
                              &loader);
    }
    process->cpu = load_take(&loader, sizeof(*process->cpu), &process->cpu_count);
    load_census(&loader);
    load_finish_sites(&loader);
    if (!loader.are_sites_in_place) {
        free(loader.sites);
    }
    free(loader.list.items);
}

/* ---- the state ----------------------------------------------------------- */

static int load_no_state(const struct model *model, struct mt_error *error)
{
    if (model->snapshot_count == 0) {
        return mt_error_set(error, -ENOENT, MT_STATUS_USAGE,
                            "%s@%s: the recording has no snapshots, leave \"@%s\" out",
                            model->selector.path, model->selector.text, model->selector.text);
    }
    return mt_error_set(error, -ENOENT, MT_STATUS_USAGE,
                        "%s@%s: no such snapshot; it has %zu, @0 to @%zu", model->selector.path,
                        model->selector.text, model->snapshot_count, model->snapshot_count - 1);
}

static int load_choose_state(struct model *model, struct mt_error *error)
{
    const struct model_selector *selector = &model->selector;
    const struct model_snapshot *found = NULL;
    size_t count = model->snapshot_count;
    switch (selector->state) {
    case MODEL_STATE_DEFAULT:
    case MODEL_STATE_EXIT:
    case MODEL_STATE_PEAK:
        return 0;
    case MODEL_STATE_FIRST:
        found = count > 0 ? &model->snapshots[0] : NULL;
        break;
    case MODEL_STATE_LAST:
        found = count > 0 ? &model->snapshots[count - 1] : NULL;
        break;
    case MODEL_STATE_INDEX:
        found = selector->index < (int64_t)count ? &model->snapshots[selector->index] : NULL;
        break;
    case MODEL_STATE_TIME:
        for (size_t i = 0; i < count && model->snapshots[i].time_ns <= selector->time_ns; i++) {
            found = &model->snapshots[i];
        }
        break;
    case MODEL_STATE_LABEL:
        for (size_t i = 0; i < count; i++) {
            const char *label = model->snapshots[i].label;
            if (label != NULL && strcmp(label, selector->label) == 0) {
                found = &model->snapshots[i];
            }
        }
        break;
    }
    if (found == NULL) {
        return load_no_state(model, error);
    }
    model->state_snapshot = found;
    return 0;
}

static double load_state_seconds(const struct model *model)
{
    if (model->state_snapshot != NULL) {
        return (double)model->state_snapshot->time_ns / 1e9;
    }
    if (model->process_count == 0) {
        return 0;
    }
    const struct model_process *first = &model->processes[0];
    if (model->selector.state == MODEL_STATE_PEAK) {
        return (double)first->row.peak_ns / 1e9;
    }
    int64_t end_ns = first->row.ended_ns;
    if (end_ns == RECORDING_UNKNOWN) {
        end_ns = first->point_count > 0 ? first->points[first->point_count - 1].time_ns : 0;
    }
    return (double)end_ns / 1e9;
}

static int load_all(struct model *model, struct mt_error *error)
{
    struct loader loader = {.model = model};
    recording_reader_each(model->reader, RECORDING_TABLE_SNAPSHOT, 0, load_visit_snapshot, &loader);
    model->snapshots = load_take(&loader, sizeof(*model->snapshots), &model->snapshot_count);
    int code = load_choose_state(model, error);
    if (code == 0) {
        recording_reader_each(model->reader, RECORDING_TABLE_PROCESS, 0, load_visit_process,
                              &loader);
        model->processes = load_take(&loader, sizeof(*model->processes), &model->process_count);
    }
    free(loader.list.items);
    if (code != 0) {
        return code;
    }
    if (model->process_count == 0) {
        return mt_error_set(
            error, -ENODATA, MT_STATUS_DATA, "%s: no process was recorded in it: %s; record again",
            model->selector.path,
            recording_reader_damage(model->reader) != NULL ? recording_reader_damage(model->reader)
                                                           : "the program never started");
    }
    qsort(model->processes, model->process_count, sizeof(*model->processes), load_compare_started);
    load_build_tree(model);
    model_load_symbols(model);
    for (size_t i = 0; i < model->process_count; i++) {
        load_process(model, &model->processes[i]);
        load_process_state(model, &model->processes[i]);
    }
    model->state_seconds = load_state_seconds(model);
    return 0;
}

static void load_copy_selector(struct model *model, const struct model_selector *selector,
                               const char *path)
{
    model->selector = *selector;
    model->selector.path = region_copy_text(model->region, path);
    model->selector.label = region_copy_text(model->region, selector->label);
    model->selector.text = region_copy_text(model->region, selector->text);
}

int model_load(const struct model_selector *selector, struct model **model, struct mt_error *error)
{
    struct recording_reader *reader = NULL;
    int code = recording_reader_open(selector->path, &reader, error);
    if (code != 0) {
        return code;
    }
    struct region *region = region_new();
    struct model *made = region_alloc(region, sizeof(*made));
    made->region = region;
    made->reader = reader;
    made->run = recording_reader_run(reader);
    load_copy_selector(made, selector, selector->path);
    made->tables = region_alloc(region, sizeof(*made->tables));
    code = load_all(made, error);
    if (code != 0) {
        model_free(made);
        return code;
    }
    *model = made;
    return 0;
}

/* The same processes with nothing in them that depends on the state. */
static void load_copy_processes(struct model *model, const struct model *base)
{
    model->process_count = base->process_count;
    model->processes =
        region_alloc_array(model->region, base->process_count, sizeof(*model->processes));
    for (size_t i = 0; i < base->process_count; i++) {
        const struct model_process *from = &base->processes[i];
        model->processes[i] = (struct model_process){
            .row = from->row,
            .arguments = from->arguments,
            .argument_count = from->argument_count,
            .points = from->points,
            .point_count = from->point_count,
            .snapshots = from->snapshots,
            .snapshot_count = from->snapshot_count,
            .defects = from->defects,
            .defect_count = from->defect_count,
            .threads = from->threads,
            .thread_count = from->thread_count,
        };
    }
    load_build_tree(model);
}

int model_load_state(struct model *base, const struct model_selector *selector,
                     struct model **model, struct mt_error *error)
{
    struct region *region = region_new();
    struct model *made = region_alloc(region, sizeof(*made));
    *made = (struct model){
        .region = region,
        .reader = base->reader,
        .run = base->run,
        .snapshots = base->snapshots,
        .snapshot_count = base->snapshot_count,
        .modules = base->modules,
        .module_count = base->module_count,
        .stack_count = base->stack_count,
        .tables = base->tables,
        .base = base,
    };
    load_copy_selector(made, selector, base->selector.path);
    int code = load_choose_state(made, error);
    if (code != 0) {
        model_free(made);
        return code;
    }
    load_copy_processes(made, base);
    for (size_t i = 0; i < made->process_count; i++) {
        load_process_state(made, &made->processes[i]);
    }
    made->state_seconds = load_state_seconds(made);
    *model = made;
    return 0;
}

void model_free(struct model *model)
{
    if (model == NULL) {
        return;
    }
    if (model->base != NULL) {
        region_free(model->region);
        return;
    }
    for (size_t i = 0; i < model->tables->image_count; i++) {
        free(model->tables->images[i].stacks);
        free(model->tables->images[i].is_in_allocator);
    }
    free(model->tables->images);
    free(model->tables->site_index);
    free(model->modules);
    recording_reader_close(model->reader);
    region_free(model->region);
}

bool model_is_complete(const struct model *model)
{
    return recording_reader_is_complete(model->reader);
}

const char *model_program_name(const struct model_process *process)
{
    const char *path = process->row.executable != NULL ? process->row.executable : "";
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* A first process whose peak is less than this part of another's only started that one. */
#define MODEL_STARTER_PART 8

const struct model_process *model_main_process(const struct model *model)
{
    const struct model_process *largest = &model->processes[0];
    for (size_t i = 1; i < model->process_count; i++) {
        if (model->processes[i].row.peak_bytes > largest->row.peak_bytes) {
            largest = &model->processes[i];
        }
    }
    return model->processes[0].row.peak_bytes < largest->row.peak_bytes / MODEL_STARTER_PART
               ? largest
               : &model->processes[0];
}

const struct model_process *model_find_process(const struct model *model, const char *name)
{
    const char *digits = name[0] == '#' ? name + 1 : name;
    char *end;
    errno = 0;
    long long number = strtoll(digits, &end, 10);
    if (end == digits || *end != '\0' || errno != 0 || number < 0) {
        return NULL;
    }
    if (name[0] != '#') {
        for (size_t i = model->process_count; i > 0; i--) {
            if (model->processes[i - 1].row.pid == number) {
                return &model->processes[i - 1];
            }
        }
    }
    return (size_t)number < model->process_count ? &model->processes[number] : NULL;
}

struct snapshot_walk {
    const struct model *model;
    const struct model_process *process;
    int (*visit)(void *context, const struct model_snapshot *snapshot,
                 const struct model_stack *stack, const struct recording_snapshot_site *row);
    void *context;
};

static int walk_snapshot_site(void *context, const void *row)
{
    struct snapshot_walk *walk = context;
    const struct recording_snapshot_site *site = row;
    const struct model_snapshot *snapshot = load_find_snapshot(walk->model, site->snapshot);
    if (snapshot == NULL) {
        return 0;
    }
    return walk->visit(walk->context, snapshot,
                       model_find_stack(walk->model, walk->process, site->stack), site);
}

int model_each_snapshot_site(const struct model *model, const struct model_process *process,
                             int (*visit)(void *context, const struct model_snapshot *snapshot,
                                          const struct model_stack *stack,
                                          const struct recording_snapshot_site *row),
                             void *context)
{
    struct snapshot_walk walk = {
        .model = model, .process = process, .visit = visit, .context = context};
    return recording_reader_each(model->reader, RECORDING_TABLE_SNAPSHOT_SITE, process->row.id,
                                 walk_snapshot_site, &walk);
}
