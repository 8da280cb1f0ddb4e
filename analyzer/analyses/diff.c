#include "analyses/diff.h"

#include "analyses/stack_match.h"
#include "recording/intern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct differ {
    struct region *region;
    struct diff *diff;
    struct diff_item *items;
    size_t count;
    size_t capacity;
};

static struct diff_values diff_values_of(const struct model_site *site)
{
    return (struct diff_values){.live_bytes = site->live_bytes,
                                .live_blocks = site->live_blocks,
                                .allocations = site->allocations,
                                .allocated_bytes = site->allocated_bytes,
                                .temporaries = site->temporaries};
}

static void diff_values_add(struct diff_values *sum, const struct diff_values *more)
{
    sum->live_bytes += more->live_bytes;
    sum->live_blocks += more->live_blocks;
    sum->allocations += more->allocations;
    sum->allocated_bytes += more->allocated_bytes;
    sum->temporaries += more->temporaries;
}

/* What is live decides; where nothing is or was, whether it was ever allocated there. */
static enum diff_status diff_status_of(const struct diff_values *a, const struct diff_values *b)
{
    bool was_live = a->live_blocks != 0 || a->live_bytes != 0;
    bool is_live = b->live_blocks != 0 || b->live_bytes != 0;
    if (!was_live && !is_live) {
        return a->allocations == 0 && b->allocations != 0   ? DIFF_NEW
               : a->allocations != 0 && b->allocations == 0 ? DIFF_GONE
                                                            : DIFF_SAME;
    }
    if (was_live != is_live) {
        return is_live ? DIFF_NEW : DIFF_GONE;
    }
    int64_t delta = b->live_bytes != a->live_bytes ? b->live_bytes - a->live_bytes
                                                   : b->live_blocks - a->live_blocks;
    return delta > 0 ? DIFF_GREW : delta < 0 ? DIFF_SHRANK : DIFF_SAME;
}

int64_t diff_delta(const struct diff_item *item, enum diff_sort metric)
{
    switch (metric) {
    case DIFF_SORT_LIVE:
        return item->b.live_bytes - item->a.live_bytes;
    case DIFF_SORT_BLOCKS:
        return item->b.live_blocks - item->a.live_blocks;
    case DIFF_SORT_ALLOCATIONS:
        return item->b.allocations - item->a.allocations;
    case DIFF_SORT_ALLOCATED:
        return item->b.allocated_bytes - item->a.allocated_bytes;
    case DIFF_SORT_TEMPORARY:
        return item->b.temporaries - item->a.temporaries;
    }
    return 0;
}

/* ---- focus and ignore ------------------------------------------------------ */

static bool diff_matches(const regex_t *pattern, const char *text)
{
    return text != NULL && regexec(pattern, text, 0, NULL, 0) == 0;
}

/* By address: 1 if any of its frames has such a function, file or module. */
static bool *diff_find(const struct model *model, const regex_t *pattern)
{
    if (pattern == NULL) {
        return NULL;
    }
    size_t count = model_address_count(model);
    size_t capacity = 0;
    bool *found = mt_grow(NULL, &capacity, count + 1, sizeof(*found));
    for (size_t i = 0; i < count; i++) {
        const struct model_address *address = model_address_at(model, (uint32_t)i);
        found[i] = false;
        for (uint32_t k = 0; k < address->frame_count && !found[i]; k++) {
            const struct model_frame *frame = &address->frames[k];
            found[i] = diff_matches(pattern, frame->function) || diff_matches(pattern, frame->file)
                       || (frame->module != NULL && diff_matches(pattern, frame->module->path));
        }
    }
    return found;
}

static bool diff_stack_has(const bool *found, const struct model_stack *stack)
{
    for (uint32_t i = 0; i < stack->address_count; i++) {
        if (found[stack->addresses[i]]) {
            return true;
        }
    }
    return false;
}

static void diff_filter(struct differ *differ)
{
    const struct diff_options *options = &differ->diff->options;
    const struct model *models[] = {differ->diff->a.model, differ->diff->b.model};
    bool *focus[2];
    bool *ignore[2];
    for (size_t i = 0; i < 2; i++) {
        focus[i] = diff_find(models[i], options->focus);
        ignore[i] = diff_find(models[i], options->ignore);
    }
    size_t kept = 0;
    for (size_t i = 0; i < differ->count; i++) {
        const struct diff_item *item = &differ->items[i];
        size_t side = item->model == models[0] ? 0 : 1;
        bool is_left_out =
            (focus[side] != NULL && !diff_stack_has(focus[side], item->stack))
            || (ignore[side] != NULL && diff_stack_has(ignore[side], item->stack));
        if (!is_left_out) {
            differ->items[kept++] = *item;
        }
    }
    differ->diff->left_out += differ->count - kept;
    differ->count = kept;
    for (size_t i = 0; i < 2; i++) {
        free(focus[i]);
        free(ignore[i]);
    }
}

/* ---- sites ----------------------------------------------------------------- */

static void diff_add_item(struct differ *differ, const struct model_site *a,
                          const struct model_site *b)
{
    differ->items =
        mt_grow(differ->items, &differ->capacity, differ->count + 1, sizeof(*differ->items));
    struct diff_item *item = &differ->items[differ->count++];
    *item = (struct diff_item){
        .model = b != NULL ? differ->diff->b.model : differ->diff->a.model,
        .stack = b != NULL ? b->stack : a->stack,
    };
    item->frame = item->stack->location;
    if (a != NULL) {
        item->a = diff_values_of(a);
    }
    if (b != NULL) {
        item->b = diff_values_of(b);
    }
}

static void diff_match_sites(struct differ *differ)
{
    struct diff *diff = differ->diff;
    const struct model_process *a = diff->a.process;
    const struct model_process *b = diff->b.process;
    struct stack_match match = stack_match_make(diff->a.model, a, diff->b.model, b);
    size_t capacity = 0;
    bool *has_partner = mt_grow(NULL, &capacity, b->site_count + 1, sizeof(*has_partner));
    memset(has_partner, 0, b->site_count * sizeof(*has_partner));
    for (size_t i = 0; i < a->site_count; i++) {
        size_t partner = match.partner[i];
        if (partner != STACK_MATCH_NONE) {
            has_partner[partner] = true;
        }
        diff_add_item(differ, &a->sites[i], partner != STACK_MATCH_NONE ? &b->sites[partner] : NULL);
    }
    for (size_t i = 0; i < b->site_count; i++) {
        if (!has_partner[i]) {
            diff_add_item(differ, NULL, &b->sites[i]);
        }
    }
    diff->matched_by_place = match.by_place;
    diff->matched_by_name = match.by_name;
    diff->are_builds_different = match.are_builds_different;
    free(has_partner);
    stack_match_deinit(&match);
}

/* ---- groups ---------------------------------------------------------------- */

static const char *diff_group_name(struct region *region, enum diff_by by,
                                   const struct model_frame *frame)
{
    if (frame == NULL) {
        return "(no stack)";
    }
    const char *module = frame->module != NULL ? frame->module->path : "(unknown module)";
    switch (by) {
    case DIFF_BY_FUNCTION:
        return frame->function != NULL ? frame->function
                                       : region_format(region, "%s+0x%llx", module,
                                                       (unsigned long long)frame->module_offset);
    case DIFF_BY_FILE:
        return frame->file != NULL ? frame->file : module;
    case DIFF_BY_LINE:
        return frame->file == NULL ? module
               : frame->line > 0   ? region_format(region, "%s:%lld", frame->file,
                                                   (long long)frame->line)
                                   : frame->file;
    case DIFF_BY_MODULE:
    case DIFF_BY_STACK:
        break;
    }
    return module;
}

static void diff_group(struct differ *differ)
{
    enum diff_by by = differ->diff->options.by;
    if (by == DIFF_BY_STACK) {
        return;
    }
    struct intern_texts names;
    struct diff_item *groups = NULL;
    size_t count = 0;
    size_t capacity = 0;
    intern_texts_init(&names);
    for (size_t i = 0; i < differ->count; i++) {
        const struct diff_item *item = &differ->items[i];
        const char *name = diff_group_name(differ->region, by, item->frame);
        bool is_new;
        size_t index = (size_t)intern_texts_get(&names, name, strlen(name), &is_new) - 1;
        if (is_new) {
            groups = mt_grow(groups, &capacity, index + 1, sizeof(*groups));
            groups[index] =
                (struct diff_item){.model = item->model, .frame = item->frame, .name = name};
            count = index + 1;
        }
        diff_values_add(&groups[index].a, &item->a);
        diff_values_add(&groups[index].b, &item->b);
    }
    intern_texts_deinit(&names);
    free(differ->items);
    differ->items = groups;
    differ->count = count;
}

/* ---- order ----------------------------------------------------------------- */

struct diff_rank {
    int64_t first;
    int64_t second;
    size_t index;
};

static int64_t diff_absolute(int64_t value)
{
    return value < 0 ? -value : value;
}

static int diff_compare_ranks(const void *left, const void *right)
{
    const struct diff_rank *a = left;
    const struct diff_rank *b = right;
    if (a->first != b->first) {
        return a->first > b->first ? -1 : 1;
    }
    if (a->second != b->second) {
        return a->second > b->second ? -1 : 1;
    }
    return a->index < b->index ? -1 : a->index > b->index;
}

/* Statuses, the items that are large enough, their order. */
static void diff_finish(struct differ *differ)
{
    struct diff *diff = differ->diff;
    size_t capacity = 0;
    struct diff_rank *ranks = mt_grow(NULL, &capacity, differ->count + 1, sizeof(*ranks));
    size_t kept = 0;
    for (size_t i = 0; i < differ->count; i++) {
        struct diff_item *item = &differ->items[i];
        item->status = diff_status_of(&item->a, &item->b);
        int64_t delta = diff_delta(item, DIFF_SORT_LIVE);
        diff->grown_bytes += delta > 0 ? delta : 0;
        if (diff_absolute(delta) < diff->options.min_bytes) {
            diff->left_out++;
            continue;
        }
        ranks[kept++] =
            (struct diff_rank){.first = diff_absolute(diff_delta(item, diff->options.sort)),
                               .second = diff_absolute(diff_delta(item, DIFF_SORT_ALLOCATIONS)),
                               .index = i};
    }
    qsort(ranks, kept, sizeof(*ranks), diff_compare_ranks);
    struct diff_item *items = region_alloc_array(differ->region, kept, sizeof(*items));
    for (size_t i = 0; i < kept; i++) {
        items[i] = differ->items[ranks[i].index];
    }
    diff->items = items;
    diff->item_count = kept;
    free(ranks);
}

/* ---- the whole ------------------------------------------------------------- */

static struct diff_side diff_side_of(const struct model *model, const struct model_process *process)
{
    struct diff_side side = {.model = model,
                             .process = process,
                             .has_allocations = model->selector.state != MODEL_STATE_PEAK};
    for (size_t i = 0; i < process->site_count; i++) {
        struct diff_values values = diff_values_of(&process->sites[i]);
        diff_values_add(&side.totals, &values);
    }
    return side;
}

const struct diff *diff_make(struct region *region, const struct model *a,
                             const struct model_process *process_a, const struct model *b,
                             const struct model_process *process_b,
                             const struct diff_options *options)
{
    struct diff *diff = region_alloc(region, sizeof(*diff));
    struct differ differ = {.region = region, .diff = diff};
    diff->options = *options;
    diff->a = diff_side_of(a, process_a);
    diff->b = diff_side_of(b, process_b);
    diff->are_rates_different = a->run->sample_bytes != b->run->sample_bytes;
    diff_match_sites(&differ);
    if (options->focus != NULL || options->ignore != NULL) {
        diff_filter(&differ);
    }
    diff_group(&differ);
    diff_finish(&differ);
    free(differ.items);
    return diff;
}
