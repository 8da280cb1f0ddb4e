#include "analyses/leaks.h"

#include <stdlib.h>
#include <string.h>

const char *leaks_class_name(enum recording_leak_class leak_class)
{
    static const char *const names[RECORDING_LEAK_CLASSES] = {"definite", "indirect", "possible",
                                                              "reachable", "ignored"};
    return names[leak_class];
}

const char *leaks_scan(const struct model *model, const struct model_process *process)
{
    if (process->census != NULL && process->census->scan != NULL) {
        return process->census->scan;
    }
    if (process->row.scan != NULL && process->row.scan[0] != '\0') {
        return process->row.scan;
    }
    return model->run->leaks != NULL && strcmp(model->run->leaks, "off") == 0
               ? "off"
               : "failed: no scan was recorded";
}

struct recorded {
    struct suppressions *suppressions;
    struct mt_error *error;
};

static int recorded_add(void *context, const void *row)
{
    struct recorded *recorded = context;
    const struct recording_suppression *suppression = row;
    const char *origin = suppression->origin;
    return suppressions_add_text(recorded->suppressions,
                                 origin == NULL ? "the recording's suppressions" : origin,
                                 suppression->text == NULL ? "" : suppression->text,
                                 recorded->error);
}

int leaks_add_recorded_suppressions(const struct model *model, struct suppressions *suppressions,
                                    struct mt_error *error)
{
    struct recorded recorded = {suppressions, error};
    return recording_reader_each(model->reader, RECORDING_TABLE_SUPPRESSION, 0, recorded_add,
                                 &recorded);
}

/* ---- suppressions --------------------------------------------------------- */

/*
 * What only suppressed blocks lead to is suppressed with them, as LeakSanitizer does. The
 * scan tells how much each site leads to, not to whom: so this holds where every site that
 * leads to something is suppressed. Returns one of their suppressions, or NULL.
 */
static struct suppression *find_leader(struct suppressions *suppressions, const struct model *model,
                                       const struct model_process *process)
{
    struct suppression *leader = NULL;
    for (size_t i = 0; suppressions->count > 0 && i < process->site_count; i++) {
        const struct model_site *site = &process->sites[i];
        if (site->led_blocks > 0 && site->leaks.blocks[RECORDING_LEAK_DEFINITE] > 0) {
            leader = suppressions_match(suppressions, model, site->stack, RECORDING_LEAK_DEFINITE,
                                        0, 0);
            if (leader == NULL) {
                return NULL;
            }
        }
    }
    return leader;
}

/* Returns what suppresses a site's blocks of one class, counted up, or NULL. */
static struct suppression *find_suppression(struct suppressions *suppressions,
                                            const struct model *model,
                                            const struct model_site *site,
                                            enum recording_leak_class leak_class,
                                            struct suppression *leader)
{
    int64_t blocks = site->leaks.blocks[leak_class];
    int64_t bytes = site->leaks.bytes[leak_class];
    struct suppression *found =
        suppressions_match(suppressions, model, site->stack, leak_class, blocks, bytes);
    if (found == NULL && leader != NULL && leak_class == RECORDING_LEAK_INDIRECT) {
        found = leader;
        leader->blocks += blocks;
        leader->bytes += bytes;
    }
    return found;
}

static void move_to_ignored(struct model_leaks *leaks, int leak_class, int64_t blocks,
                            int64_t bytes)
{
    leaks->blocks[leak_class] -= blocks;
    leaks->bytes[leak_class] -= bytes;
    leaks->blocks[RECORDING_LEAK_IGNORED] += blocks;
    leaks->bytes[RECORDING_LEAK_IGNORED] += bytes;
}

static void settle_process(struct model *model, struct model_process *process,
                           struct suppressions *suppressions)
{
    struct suppression *leader = find_leader(suppressions, model, process);
    struct model_site *sites =
        region_alloc_array(model->region, process->site_count, sizeof(*sites));
    for (size_t i = 0; i < process->site_count; i++) {
        sites[i] = process->sites[i];
        struct model_leaks *leaks = &sites[i].leaks;
        for (int j = 0; j < RECORDING_LEAK_IGNORED; j++) {
            int64_t blocks = leaks->blocks[j];
            int64_t bytes = leaks->bytes[j];
            if (blocks > 0
                && find_suppression(suppressions, model, &sites[i], (enum recording_leak_class)j,
                                    leader)
                       != NULL) {
                move_to_ignored(leaks, j, blocks, bytes);
                move_to_ignored(&process->leaks, j, blocks, bytes);
            }
        }
    }
    process->sites = sites;
}

int leaks_settle(struct model *model, struct mt_error *error)
{
    struct region *region = region_new();
    struct suppressions suppressions;
    suppressions_init(&suppressions, region);
    int code = leaks_add_recorded_suppressions(model, &suppressions, error);
    for (size_t i = 0; code == 0 && suppressions.count > 0 && i < model->process_count; i++) {
        settle_process(model, &model->processes[i], &suppressions);
    }
    suppressions_deinit(&suppressions);
    region_free(region);
    return code;
}

/* ---- items ---------------------------------------------------------------- */

static int64_t item_weight(const struct leaks_item *item)
{
    return item->bytes + item->led_bytes;
}

/* Definite before possible before indirect, then by bytes, then by blocks. */
static int compare_items(const void *left, const void *right)
{
    static const int rank[RECORDING_LEAK_CLASSES] = {0, 2, 1, 3, 4};
    const struct leaks_item *a = left;
    const struct leaks_item *b = right;
    if (a->leak_class != b->leak_class) {
        return rank[a->leak_class] - rank[b->leak_class];
    }
    if (item_weight(a) != item_weight(b)) {
        return item_weight(a) > item_weight(b) ? -1 : 1;
    }
    if (a->blocks != b->blocks) {
        return a->blocks > b->blocks ? -1 : 1;
    }
    return a->site->stack->id < b->site->stack->id ? -1 : a->site->stack->id > b->site->stack->id;
}

static void item_add(struct leaks_result *result, struct suppressions *suppressions,
                     struct suppression *leader, const struct model_site *site,
                     enum recording_leak_class leak_class)
{
    struct leaks_item item = {.site = site,
                              .leak_class = leak_class,
                              .blocks = site->leaks.blocks[leak_class],
                              .bytes = site->leaks.bytes[leak_class]};
    if (item.blocks == 0) {
        return;
    }
    if (leak_class == RECORDING_LEAK_DEFINITE) {
        item.led_blocks = site->led_blocks;
        item.led_bytes = site->led_bytes;
    }
    if (suppressions != NULL && leak_class != RECORDING_LEAK_IGNORED) {
        item.suppression =
            find_suppression(suppressions, result->model, site, leak_class, leader);
    }
    if (item.suppression != NULL || leak_class == RECORDING_LEAK_IGNORED) {
        result->suppressed_blocks += item.blocks;
        result->suppressed_bytes += item.bytes;
        return;
    }
    result->totals.blocks[leak_class] += item.blocks;
    result->totals.bytes[leak_class] += item.bytes;
    if (leak_class == RECORDING_LEAK_REACHABLE) {
        result->held[result->held_count++] = (struct leaks_held){
            .site = site,
            .blocks = item.blocks,
            .bytes = item.bytes,
            .retained_bytes = site->retained_bytes};
    } else {
        result->items[result->item_count++] = item;
    }
}

/* ---- chains --------------------------------------------------------------- */

struct chain_row {
    const struct model_stack *stack;
    int64_t chain;
    int64_t step;
    struct leaks_holder holder;
    int64_t blocks;
    int64_t bytes;
};

struct chain_rows {
    struct region *region;
    const struct model *model;
    const struct model_process *process;
    struct chain_row *rows;
    size_t count;
    size_t capacity;
};

/* A root in words: "the stack of thread 17 'worker', in serve server.c:88". */
static const char *root_text(const struct chain_rows *rows, const struct recording_holder *holder)
{
    if (holder->text == NULL || holder->address <= 0) {
        return region_copy_text(rows->region, holder->text);
    }
    const struct model_frame *frame =
        model_address_at(rows->model, (uint32_t)holder->address)->frames;
    if (frame->function == NULL) {
        return region_copy_text(rows->region, holder->text);
    }
    const char *slash = frame->file != NULL ? strrchr(frame->file, '/') : NULL;
    if (frame->file != NULL && frame->line > 0) {
        return region_format(rows->region, "%s, in %s %s:%lld", holder->text, frame->function,
                             slash != NULL ? slash + 1 : frame->file, (long long)frame->line);
    }
    return region_format(rows->region, "%s, in %s (%s)", holder->text, frame->function,
                         frame->module != NULL ? frame->module->name : "an unknown file");
}

static int chain_row_add(void *context, const void *row)
{
    struct chain_rows *rows = context;
    const struct recording_holder *holder = row;
    rows->rows = mt_grow(rows->rows, &rows->capacity, rows->count + 1, sizeof(*rows->rows));
    rows->rows[rows->count++] = (struct chain_row){
        .stack = model_find_stack(rows->model, rows->process, holder->stack),
        .chain = holder->chain,
        .step = holder->step,
        .holder = {.kind = holder->kind,
                   .text = root_text(rows, holder),
                   .stack = holder->kind == RECORDING_HOLDER_SITE
                                ? model_find_stack(rows->model, rows->process,
                                                   holder->holder_stack)
                                : NULL,
                   .address = holder->address},
        .blocks = holder->blocks,
        .bytes = holder->bytes};
    return 0;
}

static int compare_rows(const void *left, const void *right)
{
    const struct chain_row *a = left;
    const struct chain_row *b = right;
    if (a->stack != b->stack) {
        return a->stack->id < b->stack->id ? -1 : 1;
    }
    if (a->chain != b->chain) {
        return a->chain < b->chain ? -1 : 1;
    }
    return a->step < b->step ? -1 : a->step > b->step;
}

/* Rows [first, end) are of one stack. */
static void chains_make(const struct chain_rows *rows, size_t first, size_t end,
                        struct leaks_held *held)
{
    struct leaks_chain *chains = region_alloc_array(rows->region, end - first, sizeof(*chains));
    struct leaks_holder *steps = region_alloc_array(rows->region, end - first, sizeof(*steps));
    size_t count = 0;
    for (size_t i = first; i < end; i++) {
        const struct chain_row *row = &rows->rows[i];
        steps[i - first] = row->holder;
        if (i == first || row->chain != rows->rows[i - 1].chain) {
            chains[count++] = (struct leaks_chain){
                .steps = &steps[i - first], .blocks = row->blocks, .bytes = row->bytes};
        }
        chains[count - 1].step_count++;
    }
    held->chains = chains;
    held->chain_count = count;
}

static void chains_load(struct region *region, struct leaks_result *result)
{
    struct chain_rows rows = {
        .region = region, .model = result->model, .process = result->process};
    if (result->process->census == NULL) {
        return;
    }
    recording_reader_each(result->model->reader, RECORDING_TABLE_HOLDER,
                          result->process->census->census, chain_row_add, &rows);
    if (rows.count > 0) {
        qsort(rows.rows, rows.count, sizeof(*rows.rows), compare_rows);
    }
    for (size_t first = 0; first < rows.count;) {
        size_t end = first + 1;
        while (end < rows.count && rows.rows[end].stack == rows.rows[first].stack) {
            end++;
        }
        for (size_t i = 0; i < result->held_count; i++) {
            if (result->held[i].site->stack == rows.rows[first].stack) {
                chains_make(&rows, first, end, &result->held[i]);
            }
        }
        first = end;
    }
    free(rows.rows);
}

static int compare_held(const void *left, const void *right)
{
    const struct leaks_held *a = left;
    const struct leaks_held *b = right;
    if (a->bytes != b->bytes) {
        return a->bytes > b->bytes ? -1 : 1;
    }
    return a->site->stack->id < b->site->stack->id ? -1 : a->site->stack->id > b->site->stack->id;
}

static int compare_pinning(const void *left, const void *right)
{
    const struct leaks_pinning *a = left;
    const struct leaks_pinning *b = right;
    if (a->bytes != b->bytes) {
        return a->bytes > b->bytes ? -1 : 1;
    }
    return a->site->stack->id < b->site->stack->id ? -1 : a->site->stack->id > b->site->stack->id;
}

void leaks_analyze(struct region *region, const struct model *model,
                   const struct model_process *process, struct suppressions *suppressions,
                   struct leaks_result *result)
{
    size_t count = process->site_count;
    struct suppression *leader =
        suppressions != NULL ? find_leader(suppressions, model, process) : NULL;
    *result = (struct leaks_result){.model = model,
                                    .process = process,
                                    .scan = leaks_scan(model, process)};
    result->items =
        region_alloc_array(region, count * RECORDING_LEAK_CLASSES + 1, sizeof(*result->items));
    result->held = region_alloc_array(region, count + 1, sizeof(*result->held));
    result->pinning = region_alloc_array(region, count + 1, sizeof(*result->pinning));
    for (size_t i = 0; i < count; i++) {
        const struct model_site *site = &process->sites[i];
        for (int j = 0; j < RECORDING_LEAK_CLASSES; j++) {
            item_add(result, suppressions, leader, site, (enum recording_leak_class)j);
        }
        if (site->pinned_bytes != RECORDING_UNKNOWN && site->pinned_bytes > 0) {
            result->pinning[result->pinning_count++] = (struct leaks_pinning){
                .site = site,
                .pages = (site->pinned_bytes + 4095) / 4096,
                .bytes = site->pinned_bytes};
        }
    }
    qsort(result->items, result->item_count, sizeof(*result->items), compare_items);
    qsort(result->held, result->held_count, sizeof(*result->held), compare_held);
    qsort(result->pinning, result->pinning_count, sizeof(*result->pinning), compare_pinning);
    chains_load(region, result);
}
