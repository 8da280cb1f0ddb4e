/* What changed from snapshot to snapshot, as columns of small numbers. */
#include "report/page_parts.h"

#include <stdlib.h>
#include <string.h>

enum { CHANGE_ALLOCATIONS, CHANGE_ALLOCATED, CHANGE_FREES, CHANGE_FREED, CHANGE_TEMPORARY, CHANGES };

static const char *const change_names[CHANGES] = {"allocations", "allocated_bytes", "frees",
                                                  "freed_bytes", "temporary_allocations"};

struct page_counters {
    int64_t values[CHANGES];
};

struct page_change {
    uint32_t site; /* position */
    struct page_counters delta;
};

struct page_changes {
    const struct page_writer *writer;
    uint32_t *positions; /* by the run's snapshot index: position + 1; 0: not the process's */
    size_t *counts;      /* by position: rows */
    struct intern_texts stack_ids; /* the tracker's */
    struct page_counters *last;    /* by the id in it, from 1 */
    size_t last_count;
    size_t last_capacity;
    struct page_change *rows;
    size_t row_count;
    size_t row_capacity;
};

static int page_visit_change(void *context, const struct model_snapshot *snapshot,
                             const struct model_stack *stack,
                             const struct recording_snapshot_site *row)
{
    struct page_changes *changes = context;
    int64_t site = page_site_position(changes->writer, stack);
    uint32_t position = changes->positions[snapshot->index];
    if (site < 0 || position == 0) {
        return 0;
    }
    bool is_new = false;
    int64_t id = intern_texts_get(&changes->stack_ids, &row->stack, sizeof(row->stack), &is_new);
    if (is_new) {
        changes->last = mt_grow(changes->last, &changes->last_capacity, (size_t)id + 1,
                                sizeof(*changes->last));
        changes->last[id] = (struct page_counters){{0}};
    }
    struct page_counters now = {{row->allocations, row->allocated_bytes, row->frees,
                                 row->freed_bytes, row->temporaries}};
    changes->rows = mt_grow(changes->rows, &changes->row_capacity, changes->row_count + 1,
                            sizeof(*changes->rows));
    struct page_change *change = &changes->rows[changes->row_count++];
    change->site = (uint32_t)site;
    for (size_t i = 0; i < CHANGES; i++) {
        change->delta.values[i] = now.values[i] - changes->last[id].values[i];
    }
    changes->last[id] = now;
    changes->counts[position - 1]++;
    return 0;
}

static void page_write_snapshot_list(struct page_writer *writer)
{
    struct report_tree *tree = writer->tree;
    const struct model_process *process = writer->process;
    tree_array(tree, "snapshots");
    for (size_t i = 0; i < process->snapshot_count; i++) {
        const struct model_process_snapshot *item = &process->snapshots[i];
        tree_object(tree, NULL);
        tree_integer(tree, "index", item->snapshot->index);
        tree_number(tree, "seconds",
                    (double)(item->snapshot->time_ns - process->row.started_ns) / 1e9);
        tree_text(tree, "label", item->snapshot->label);
        tree_text(tree, "cause", item->snapshot->cause);
        tree_integer(tree, "live_bytes", item->live_bytes);
        tree_integer(tree, "live_blocks", item->live_blocks);
        tree_integer(tree, "allocations", item->allocations);
        page_write_known(tree, "rss_bytes", item->rss_bytes);
        tree_end(tree);
    }
    tree_end(tree);
}

/* Most sites ask for one size, so bytes are told as what differs from it: mostly nothing. */
static int64_t page_usual_bytes(const struct model_site *site, int64_t blocks)
{
    return site->allocations > 0 ? blocks * (site->allocated_bytes / site->allocations) : 0;
}

static int64_t page_change_value(const struct page_writer *writer, const struct page_change *change,
                                 size_t column)
{
    const struct model_site *site = writer->sites[change->site];
    int64_t value = change->delta.values[column];
    if (column == CHANGE_ALLOCATED) {
        return value - page_usual_bytes(site, change->delta.values[CHANGE_ALLOCATIONS]);
    }
    if (column == CHANGE_FREED) {
        return value - page_usual_bytes(site, change->delta.values[CHANGE_FREES]);
    }
    return value;
}

/* "rows" says how many rows each snapshot has; "site" is the step from the row before it. Bytes
 * are without blocks * floor(allocated_bytes / allocations) of the site. */
static void page_write_change_columns(struct page_writer *writer,
                                      const struct page_changes *changes)
{
    struct report_tree *tree = writer->tree;
    tree_object(tree, "changes");
    tree_array(tree, "rows");
    for (size_t i = 0; i < writer->process->snapshot_count; i++) {
        tree_integer(tree, NULL, (int64_t)changes->counts[i]);
    }
    tree_end(tree);
    tree_array(tree, "site");
    int64_t before = 0;
    for (size_t i = 0; i < changes->row_count; i++) {
        tree_integer(tree, NULL, changes->rows[i].site - before);
        before = changes->rows[i].site;
    }
    tree_end(tree);
    for (size_t c = 0; c < CHANGES; c++) {
        tree_array(tree, change_names[c]);
        for (size_t i = 0; i < changes->row_count; i++) {
            tree_integer(tree, NULL, page_change_value(writer, &changes->rows[i], c));
        }
        tree_end(tree);
    }
    tree_end(tree);
}

void page_write_snapshots(struct page_writer *writer)
{
    const struct model_process *process = writer->process;
    struct region *region = region_new();
    struct page_changes changes = {
        .writer = writer,
        .positions = region_alloc_array(region, writer->model->snapshot_count + 1,
                                        sizeof(*changes.positions)),
        .counts =
            region_alloc_array(region, process->snapshot_count + 1, sizeof(*changes.counts)),
    };
    intern_texts_init(&changes.stack_ids);
    for (size_t i = 0; i < process->snapshot_count; i++) {
        changes.positions[process->snapshots[i].snapshot->index] = (uint32_t)i + 1;
    }
    model_each_snapshot_site(writer->model, process, page_visit_change, &changes);
    page_write_snapshot_list(writer);
    page_write_change_columns(writer, &changes);
    intern_texts_deinit(&changes.stack_ids);
    free(changes.last);
    free(changes.rows);
    region_free(region);
}
