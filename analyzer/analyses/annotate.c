#include "analyses/annotate.h"

#include "analyses/summary.h"
#include "recording/intern.h"

#include <stdlib.h>
#include <string.h>

#define ANNOTATE_FRAMES_MAX 8192u
#define ANNOTATE_NONE SIZE_MAX

struct annotate_entry {
    struct annotate_line line;
    size_t file;
    size_t seen_at; /* number of the last stack that was added to its totals */
};

struct annotate_work {
    struct region *region;
    struct annotate *result;
    struct intern_texts paths;
    struct annotate_file *files;
    size_t file_capacity;
    struct intern_texts keys; /* file and line */
    struct annotate_entry *entries;
    size_t entry_count;
    size_t entry_capacity;
    int64_t *module_bytes; /* allocated without a line, by module */
    size_t stack;          /* number of the stack under way */
    const struct model_frame *frames[ANNOTATE_FRAMES_MAX];
    size_t frame_count;
};

static size_t work_file(struct annotate_work *work, const char *path)
{
    bool is_new;
    size_t index = (size_t)intern_texts_get(&work->paths, path, strlen(path), &is_new) - 1;
    if (is_new) {
        work->files =
            mt_grow(work->files, &work->file_capacity, index + 1, sizeof(*work->files));
        work->files[index] = (struct annotate_file){.path = path};
        work->result->file_count = index + 1;
    }
    return index;
}

/* The entry of a frame's line; ANNOTATE_NONE: it has no line. */
static size_t work_line(struct annotate_work *work, const struct model_frame *frame)
{
    if (frame == NULL || frame->file == NULL || frame->file[0] == '\0' || frame->line <= 0) {
        return ANNOTATE_NONE;
    }
    size_t file = work_file(work, frame->file);
    int64_t key[2] = {(int64_t)file, frame->line};
    bool is_new;
    size_t index = (size_t)intern_texts_get(&work->keys, key, sizeof(key), &is_new) - 1;
    if (is_new) {
        work->entries =
            mt_grow(work->entries, &work->entry_capacity, index + 1, sizeof(*work->entries));
        work->entries[index] = (struct annotate_entry){
            .file = file, .line = {.line = frame->line, .function = frame->function}};
        work->entry_count = index + 1;
    }
    if (work->entries[index].line.source == NULL) {
        work->entries[index].line.source = frame->source;
    }
    return index;
}

static void work_take_stack(struct annotate_work *work, const struct model_stack *stack)
{
    work->stack++;
    work->frame_count =
        model_stack_frames(work->result->model, stack, work->frames, ANNOTATE_FRAMES_MAX);
}

/* Adds to `value` of each line on the stack, once. */
static void work_add_totals(struct annotate_work *work, const int64_t add[ANNOTATE_VALUES])
{
    for (size_t i = 0; i < work->frame_count; i++) {
        size_t index = work_line(work, work->frames[i]);
        if (index == ANNOTATE_NONE || work->entries[index].seen_at == work->stack) {
            continue;
        }
        struct annotate_entry *entry = &work->entries[index];
        entry->seen_at = work->stack;
        for (int k = ANNOTATE_CPU_TOTAL; k < ANNOTATE_VALUES; k++) {
            entry->line.values[k] += add[k];
        }
    }
}

static void work_add_self(struct annotate_work *work, const struct model_frame *frame,
                          const int64_t add[ANNOTATE_VALUES])
{
    size_t index = work_line(work, frame);
    int64_t *values = index != ANNOTATE_NONE ? work->entries[index].line.values
                                             : work->result->lineless;
    for (int k = 0; k < ANNOTATE_CPU_TOTAL; k++) {
        values[k] += add[k];
    }
    if (index == ANNOTATE_NONE && frame != NULL && frame->module != NULL) {
        work->module_bytes[frame->module - work->result->model->modules] +=
            add[ANNOTATE_ALLOCATED];
    }
}

static void work_add_site(struct annotate_work *work, const struct model_site *site)
{
    const int64_t add[ANNOTATE_VALUES] = {
        [ANNOTATE_ALLOCATIONS] = site->allocations,
        [ANNOTATE_ALLOCATED] = site->allocated_bytes,
        [ANNOTATE_LIVE] = site->live_bytes,
        [ANNOTATE_BLOCKS] = site->live_blocks,
        [ANNOTATE_PEAK] = site->peak_bytes,
        [ANNOTATE_TEMPORARY] = site->temporaries,
        [ANNOTATE_LEAKED] = summary_metric_of(site, SUMMARY_LEAKED),
        [ANNOTATE_ALLOCATED_TOTAL] = site->allocated_bytes,
        [ANNOTATE_LIVE_TOTAL] = site->live_bytes,
    };
    work_take_stack(work, site->stack);
    work_add_self(work, site->stack->location, add);
    work_add_totals(work, add);
    for (int k = 0; k < ANNOTATE_VALUES; k++) {
        work->result->totals[k] += add[k];
    }
}

static void work_add_cpu(struct annotate_work *work, const struct model_cpu *row)
{
    const int64_t add[ANNOTATE_VALUES] = {
        [ANNOTATE_CPU_SELF] = row->samples,
        [ANNOTATE_CPU_TOTAL] = row->samples + row->allocator_samples,
    };
    work_take_stack(work, row->stack);
    if (row->samples > 0) {
        work_add_self(work, work->frame_count > 0 ? work->frames[0] : NULL, add);
    }
    work_add_totals(work, add);
    work->result->totals[ANNOTATE_CPU_SELF] += row->samples + row->allocator_samples;
    work->result->totals[ANNOTATE_CPU_TOTAL] += row->samples + row->allocator_samples;
}

/* ---- files and lines in order -------------------------------------------------- */

static int compare_entries(const void *left, const void *right)
{
    const struct annotate_entry *a = left;
    const struct annotate_entry *b = right;
    if (a->file != b->file) {
        return a->file < b->file ? -1 : 1;
    }
    return (a->line.line > b->line.line) - (a->line.line < b->line.line);
}

static int compare_files(const void *left, const void *right)
{
    const struct annotate_file *a = left;
    const struct annotate_file *b = right;
    if (a->heat != b->heat) {
        return a->heat > b->heat ? -1 : 1;
    }
    return strcmp(a->path, b->path);
}

static void file_sum(struct annotate_file *file, const int64_t totals[ANNOTATE_VALUES])
{
    static const enum annotate_value shares[] = {ANNOTATE_ALLOCATED, ANNOTATE_ALLOCATIONS,
                                                 ANNOTATE_LIVE, ANNOTATE_PEAK, ANNOTATE_CPU_SELF};
    for (size_t i = 0; i < file->line_count; i++) {
        for (int k = 0; k < ANNOTATE_VALUES; k++) {
            int64_t value = file->lines[i].values[k];
            bool is_total = k >= ANNOTATE_CPU_TOTAL;
            int64_t larger = value > file->values[k] ? value : file->values[k];
            file->values[k] = is_total ? larger : file->values[k] + value;
        }
    }
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        int64_t total = totals[shares[i]];
        file->heat += total > 0 ? (double)file->values[shares[i]] / (double)total : 0;
    }
}

static void work_finish(struct annotate_work *work)
{
    struct annotate *result = work->result;
    struct annotate_line *lines =
        region_alloc_array(work->region, work->entry_count, sizeof(*lines));
    struct annotate_file *files =
        region_alloc_array(work->region, result->file_count, sizeof(*files));
    if (work->entry_count > 0) {
        qsort(work->entries, work->entry_count, sizeof(*work->entries), compare_entries);
        memcpy(files, work->files, result->file_count * sizeof(*files));
    }
    for (size_t i = 0; i < work->entry_count; i++) {
        struct annotate_file *file = &files[work->entries[i].file];
        lines[i] = work->entries[i].line;
        file->lines = file->line_count == 0 ? &lines[i] : file->lines;
        file->line_count++;
    }
    for (size_t i = 0; i < result->file_count; i++) {
        file_sum(&files[i], result->totals);
    }
    if (result->file_count > 0) {
        qsort(files, result->file_count, sizeof(*files), compare_files);
    }
    result->files = files;
    int64_t most = 0;
    for (size_t i = 0; i < result->model->module_count; i++) {
        if (work->module_bytes[i] > most) {
            most = work->module_bytes[i];
            result->lineless_module = &result->model->modules[i];
        }
    }
}

const struct annotate *annotate_make(struct region *region, const struct model *model,
                                     const struct model_process *process)
{
    struct annotate *result = region_alloc(region, sizeof(*result));
    struct annotate_work *work = region_alloc(region, sizeof(*work));
    size_t first = process != NULL ? (size_t)process->index : 0;
    size_t count = process != NULL ? 1 : model->process_count;
    *result = (struct annotate){.model = model, .process = process};
    work->region = region;
    work->result = result;
    work->module_bytes =
        region_alloc_array(region, model->module_count + 1, sizeof(*work->module_bytes));
    intern_texts_init(&work->paths);
    intern_texts_init(&work->keys);
    for (size_t p = first; p < first + count; p++) {
        for (size_t i = 0; i < model->processes[p].site_count; i++) {
            work_add_site(work, &model->processes[p].sites[i]);
        }
        for (size_t i = 0; i < model->processes[p].cpu_count; i++) {
            work_add_cpu(work, &model->processes[p].cpu[i]);
        }
    }
    work_finish(work);
    intern_texts_deinit(&work->paths);
    intern_texts_deinit(&work->keys);
    free(work->files);
    free(work->entries);
    return result;
}
