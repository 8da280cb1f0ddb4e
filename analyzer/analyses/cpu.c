#include "analyses/cpu_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double cpu_seconds(const struct cpu_result *result, int64_t samples)
{
    return result->hz > 0 ? (double)samples / (double)result->hz : 0;
}

double cpu_percent(const struct cpu_result *result, int64_t samples)
{
    return result->samples > 0 ? 100.0 * (double)samples / (double)result->samples : 0;
}

/* ---- tallies: entries by key ---------------------------------------------- */

void cpu_tally_init(struct cpu_tally *tally)
{
    *tally = (struct cpu_tally){0};
    intern_texts_init(&tally->keys);
}

void cpu_tally_deinit(struct cpu_tally *tally)
{
    intern_texts_deinit(&tally->keys);
    free(tally->entries);
    free(tally->seen_at);
}

size_t cpu_tally_index(struct cpu_tally *tally, const void *key, size_t bytes, bool *is_new)
{
    size_t index = (size_t)intern_texts_get(&tally->keys, key, bytes, is_new) - 1;
    if (*is_new) {
        tally->entries =
            mt_grow(tally->entries, &tally->capacity, index + 1, sizeof(*tally->entries));
        tally->seen_at =
            mt_grow(tally->seen_at, &tally->seen_capacity, index + 1, sizeof(*tally->seen_at));
        tally->entries[index] = (struct cpu_entry){.name = ""};
        tally->seen_at[index] = 0;
        tally->count = index + 1;
    }
    return index;
}

void cpu_tally_total(struct cpu_tally *tally, size_t index, size_t row, int64_t samples)
{
    if (tally->seen_at[index] != row) {
        tally->seen_at[index] = row;
        tally->entries[index].total += samples;
    }
}

static int compare_entries(const void *left, const void *right)
{
    const struct cpu_entry *a = left;
    const struct cpu_entry *b = right;
    if (a->self != b->self) {
        return a->self > b->self ? -1 : 1;
    }
    if (a->total != b->total) {
        return a->total > b->total ? -1 : 1;
    }
    int names = strcmp(a->name, b->name);
    return names != 0 ? names : (a->thread > b->thread) - (a->thread < b->thread);
}

struct cpu_list cpu_tally_take(struct cpu_tally *tally, struct region *region)
{
    struct cpu_list list = {0};
    if (tally->count > 0) {
        qsort(tally->entries, tally->count, sizeof(*tally->entries), compare_entries);
        list.entries = region_alloc_array(region, tally->count, sizeof(*list.entries));
        memcpy(list.entries, tally->entries, tally->count * sizeof(*list.entries));
        list.count = tally->count;
    }
    return list;
}

/* ---- keys ----------------------------------------------------------------- */

const char *cpu_frame_name(struct region *region, const struct model_frame *frame)
{
    if (frame->function != NULL) {
        return frame->function;
    }
    if (frame->module != NULL && frame->module->name[0] == '[') { /* [vdso] */
        return frame->module->name;
    }
    return frame->module != NULL && frame->module->name[0] != '\0'
               ? region_format(region, "[in %s]", frame->module->name)
               : "[unknown]";
}

/* Two texts and a number, cut to what fits: names of 4 KiB that differ later are rare. */
static size_t key_make(char key[CPU_KEY_BYTES], const char *first, const char *second,
                       int64_t number)
{
    const char *parts[2] = {first, second != NULL ? second : ""};
    size_t length = 0;
    for (size_t i = 0; i < 2; i++) {
        size_t part = strnlen(parts[i], CPU_KEY_BYTES / 2 - sizeof(number) - 1);
        memcpy(key + length, parts[i], part);
        length += part;
        key[length++] = '\0';
    }
    memcpy(key + length, &number, sizeof(number));
    return length + sizeof(number);
}

size_t cpu_tally_function(struct cpu_tally *tally, struct region *region,
                          const struct model_frame *frame)
{
    char key[CPU_KEY_BYTES];
    const char *name = cpu_frame_name(region, frame);
    bool is_new;
    size_t index =
        cpu_tally_index(tally, key, key_make(key, name, frame->file, 0), &is_new);
    if (is_new) {
        tally->entries[index].name = name;
        tally->entries[index].frame = frame;
    }
    return index;
}

size_t cpu_tally_line(struct cpu_tally *tally, struct region *region,
                      const struct model_frame *frame)
{
    char key[CPU_KEY_BYTES];
    const char *name = cpu_frame_name(region, frame);
    bool is_new;
    /* Without a line, functions are all that can be told apart. */
    size_t bytes = frame->file != NULL && frame->line > 0
                       ? key_make(key, frame->file, "", frame->line)
                       : key_make(key, name, "", -1);
    size_t index = cpu_tally_index(tally, key, bytes, &is_new);
    if (is_new) {
        tally->entries[index].name = name;
        tally->entries[index].frame = frame;
    }
    return index;
}

static size_t tally_module(struct cpu_tally *tally, const struct model_frame *frame)
{
    char key[CPU_KEY_BYTES];
    const char *path =
        frame->module != NULL && frame->module->path[0] != '\0' ? frame->module->path : "[unknown]";
    bool is_new;
    size_t index = cpu_tally_index(tally, key, key_make(key, path, "", 0), &is_new);
    if (is_new) {
        tally->entries[index].name = path;
    }
    return index;
}

size_t cpu_tally_allocator(struct cpu_tally *tally)
{
    char key[CPU_KEY_BYTES];
    bool is_new;
    size_t index = cpu_tally_index(tally, key, key_make(key, CPU_ALLOCATOR, "", -2), &is_new);
    tally->entries[index].name = CPU_ALLOCATOR;
    return index;
}

static size_t tally_frame(struct cpu_tally *tally, struct region *region, enum cpu_by by,
                          const struct model_frame *frame)
{
    if (by == CPU_BY_LINE) {
        return cpu_tally_line(tally, region, frame);
    }
    if (by == CPU_BY_MODULE) {
        return tally_module(tally, frame);
    }
    return cpu_tally_function(tally, region, frame);
}

/* ---- counting ------------------------------------------------------------- */

static void count_frames(struct cpu_work *work, struct cpu_tally *tally, enum cpu_by by,
                         const struct model_cpu *row)
{
    size_t count =
        model_stack_frames(work->result->model, row->stack, work->frames, CPU_FRAMES_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t index = tally_frame(tally, work->region, by, work->frames[i]);
        cpu_tally_total(tally, index, work->row, row->samples + row->allocator_samples);
        if (i == 0) {
            tally->entries[index].self += row->samples;
            tally->entries[index].system += row->system_samples;
        }
    }
    if (count == 0 && row->samples > 0) {
        static const struct model_frame nowhere;
        size_t index = tally_frame(tally, work->region, by, &nowhere);
        tally->entries[index].self += row->samples;
        tally->entries[index].system += row->system_samples;
        cpu_tally_total(tally, index, work->row, row->samples);
    }
    if (row->allocator_samples > 0) {
        size_t index = cpu_tally_allocator(tally);
        tally->entries[index].self += row->allocator_samples;
        tally->entries[index].total += row->allocator_samples;
        tally->entries[index].system += row->allocator_system_samples;
    }
}

static const struct recording_thread *find_thread(const struct model_process *process,
                                                  int64_t thread)
{
    for (size_t i = 0; i < process->thread_count; i++) {
        if (process->threads[i].thread == thread) {
            return &process->threads[i];
        }
    }
    return NULL;
}

static void count_thread(struct cpu_tally *tally, struct region *region,
                         const struct model_process *process, const struct model_cpu *row)
{
    int64_t key[2] = {process->row.id, row->thread};
    bool is_new;
    size_t index = cpu_tally_index(tally, key, sizeof(key), &is_new);
    struct cpu_entry *entry = &tally->entries[index];
    if (is_new) {
        const struct recording_thread *thread = find_thread(process, row->thread);
        entry->process = process;
        entry->thread = row->thread;
        entry->tid = thread != NULL ? thread->tid : 0;
        entry->threads_served = thread != NULL ? thread->threads_served : 0;
        entry->name = thread != NULL && thread->name != NULL && thread->name[0] != '\0'
                          ? thread->name
                          : region_format(region, "thread %lld", (long long)row->thread);
    }
    entry->self += row->samples + row->allocator_samples;
    entry->total += row->samples + row->allocator_samples;
    entry->system += row->system_samples + row->allocator_system_samples;
}

static void count_stack(struct cpu_work *work, const struct model_cpu *row)
{
    uint32_t key = row->stack->id;
    bool is_new;
    size_t index = cpu_tally_index(&work->tally, &key, sizeof(key), &is_new);
    struct cpu_entry *entry = &work->tally.entries[index];
    if (is_new) {
        size_t count = model_stack_frames(work->result->model, row->stack, work->frames, 1);
        entry->stack = row->stack;
        entry->frame = count > 0 ? work->frames[0] : NULL;
        entry->name = count > 0 ? cpu_frame_name(work->region, work->frames[0]) : "[unknown]";
    }
    entry->self += row->samples + row->allocator_samples;
    entry->total += row->samples + row->allocator_samples;
    entry->system += row->system_samples + row->allocator_system_samples;
}

static void count_site(struct cpu_work *work, const struct model_cpu *row)
{
    uint32_t key = row->stack->id;
    bool is_new;
    size_t index = cpu_tally_index(&work->sites, &key, sizeof(key), &is_new);
    work->sites.entries[index].stack = row->stack;
    work->sites.entries[index].self += row->allocator_samples;
}

static void count_row(void *context, const struct model_process *process,
                      const struct model_cpu *row)
{
    struct cpu_work *work = context;
    struct cpu_result *result = work->result;
    work->row++;
    result->samples += row->samples + row->allocator_samples;
    result->system += row->system_samples + row->allocator_system_samples;
    result->allocator += row->allocator_samples;
    result->allocator_system += row->allocator_system_samples;
    if (row->allocator_samples > 0) {
        count_site(work, row);
    }
    count_thread(&work->threads, work->region, process, row);
    count_frames(work, &work->functions, CPU_BY_FUNCTION, row);
    if (result->by == CPU_BY_STACK) {
        count_stack(work, row);
    } else if (result->by == CPU_BY_LINE || result->by == CPU_BY_MODULE) {
        count_frames(work, &work->tally, result->by, row);
    }
}

static double process_seconds(const struct model_process *process)
{
    int64_t end_ns = process->row.ended_ns;
    if (end_ns == RECORDING_UNKNOWN && process->point_count > 0) {
        end_ns = process->points[process->point_count - 1].time_ns;
    }
    return end_ns == RECORDING_UNKNOWN || end_ns < process->row.started_ns
               ? 0
               : ((double)end_ns - (double)process->row.started_ns) / 1e9;
}

/* An exec leaves the process's figures running: only its last image's count. */
static bool is_last_image(const struct model_process *process)
{
    for (size_t i = 0; i < process->child_count; i++) {
        const struct model_process *child = process->children[i];
        if (process->row.was_replaced != 0 && child->row.pid == process->row.pid
            && child->row.start == RECORDING_START_EXEC) {
            return false;
        }
    }
    return true;
}

/* Of what a file says, which may be anything: unknown counts as 0, too much as the most. */
static int64_t sum(int64_t a, int64_t b)
{
    int64_t result;
    a = a == RECORDING_UNKNOWN ? 0 : a;
    b = b == RECORDING_UNKNOWN ? 0 : b;
    return __builtin_add_overflow(a, b, &result) ? INT64_MAX : result;
}

static void count_facts(struct cpu_result *result, const struct model_process *process)
{
    const struct recording_process *row = &process->row;
    result->lost = sum(result->lost, row->cpu_samples_lost);
    result->threads_missed = sum(result->threads_missed, row->cpu_threads_missed);
    result->wall_seconds += process_seconds(process);
    if (!is_last_image(process)) {
        return;
    }
    if (row->cpu_user_ns == RECORDING_UNKNOWN || row->cpu_system_ns == RECORDING_UNKNOWN) {
        result->used_seconds = -1;
        result->kernel_seconds = -1;
    } else if (result->used_seconds >= 0) {
        result->used_seconds += ((double)row->cpu_user_ns + (double)row->cpu_system_ns) / 1e9;
        result->kernel_seconds += (double)row->cpu_system_ns / 1e9;
    }
    if (row->minor_faults != RECORDING_UNKNOWN) {
        result->minor_faults = sum(result->minor_faults, row->minor_faults);
        result->major_faults = sum(result->major_faults, row->major_faults);
    }
}

static void take_sites(struct cpu_work *work)
{
    struct cpu_list list = cpu_tally_take(&work->sites, work->region);
    struct cpu_site *sites = region_alloc_array(work->region, list.count, sizeof(*sites));
    for (size_t i = 0; i < list.count; i++) {
        sites[i] = (struct cpu_site){.stack = list.entries[i].stack, .samples = list.entries[i].self};
    }
    work->result->sites = sites;
    work->result->site_count = list.count;
}

void cpu_each_row(const struct cpu_result *result,
                  void (*visit)(void *context, const struct model_process *process,
                                const struct model_cpu *row),
                  void *context)
{
    for (size_t i = 0; i < result->model->process_count; i++) {
        const struct model_process *process = &result->model->processes[i];
        if (result->process != NULL && process != result->process) {
            continue;
        }
        for (size_t k = 0; k < process->cpu_count; k++) {
            visit(context, process, &process->cpu[k]);
        }
    }
}

int cpu_analyze(struct region *region, const struct model *model, const struct cpu_request *request,
                const struct cpu_result **result, struct mt_error *error)
{
    struct cpu_result *made = region_alloc(region, sizeof(*made));
    *made = (struct cpu_result){.model = model,
                                .process = request->process,
                                .by = request->by,
                                .hz = model->run->cpu_hz,
                                .is_wall = model->run->cpu_clock != NULL
                                           && strcmp(model->run->cpu_clock, "wall") == 0,
                                .minor_faults = RECORDING_UNKNOWN,
                                .major_faults = RECORDING_UNKNOWN};
    struct cpu_work *work = region_alloc(region, sizeof(*work));
    work->region = region;
    work->result = made;
    struct cpu_tally *tallies[] = {&work->tally, &work->functions, &work->threads, &work->sites};
    for (size_t i = 0; i < sizeof(tallies) / sizeof(tallies[0]); i++) {
        cpu_tally_init(tallies[i]);
    }
    cpu_each_row(made, count_row, work);
    work->function_list = cpu_tally_take(&work->functions, region);
    work->thread_list = cpu_tally_take(&work->threads, region);
    made->list = made->by == CPU_BY_FUNCTION ? work->function_list
                 : made->by == CPU_BY_THREAD ? work->thread_list
                                             : cpu_tally_take(&work->tally, region);
    take_sites(work);
    for (size_t i = 0; i < sizeof(tallies) / sizeof(tallies[0]); i++) {
        cpu_tally_deinit(tallies[i]);
    }
    for (size_t i = 0; i < model->process_count; i++) {
        if (request->process == NULL || &model->processes[i] == request->process) {
            count_facts(made, &model->processes[i]);
        }
    }
    int code = 0;
    if (request->of != NULL) {
        code = cpu_find_around(work, request->of, error);
    }
    if (code == 0) {
        cpu_find_findings(work);
        *result = made;
    }
    return code;
}
