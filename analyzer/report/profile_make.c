#include "report/profile_make.h"

#include "analyses/cpu.h"
#include "analyses/summary.h"
#include "recording/intern.h"

#include <stdlib.h>
#include <string.h>

#define PROFILE_KEY_BYTES 16384u

struct profile_maker {
    struct region *region;
    const struct model *model;
    struct profile *profile;
    uint32_t *location_of;  /* by the model's index of the address; PROFILE_NONE: not yet */
    uint32_t *sample_of;    /* by stack id, for memory */
    uint32_t *module_of;    /* by position in model->modules */
    uint32_t allocator;     /* the location of time in malloc and free; PROFILE_NONE: not yet */
    struct profile_module *modules;
    struct intern_texts keys;
    struct profile_function *functions;
    size_t function_capacity;
    struct profile_location *locations;
    size_t location_capacity;
    struct profile_sample *samples;
    size_t sample_capacity;
    struct profile_thread *threads;
    size_t thread_capacity;
};

/* ---- functions, modules, locations ----------------------------------------- */

static const char *maker_build_id(struct region *region, const struct model_module *module)
{
    char *text = region_alloc(region, module->build_id_bytes * 2 + 1);
    for (size_t i = 0; i < module->build_id_bytes; i++) {
        static const char digits[] = "0123456789abcdef";
        text[2 * i] = digits[module->build_id[i] >> 4];
        text[2 * i + 1] = digits[module->build_id[i] & 15];
    }
    return text;
}

static uint32_t maker_module(struct profile_maker *maker, const struct model_module *module)
{
    if (module == NULL || module == maker->model->modules || module->path[0] == '\0') {
        return PROFILE_NONE;
    }
    uint32_t *slot = &maker->module_of[module - maker->model->modules];
    if (*slot == PROFILE_NONE) {
        *slot = (uint32_t)maker->profile->module_count++;
        maker->modules[*slot] =
            (struct profile_module){.path = module->path,
                                    .name = module->name,
                                    .build_id = maker_build_id(maker->region, module)};
    }
    return *slot;
}

static const char *maker_function_name(struct region *region, const struct model_frame *frame)
{
    if (frame->function != NULL && frame->function[0] != '\0') {
        return frame->function;
    }
    if (frame->module == NULL || frame->module->name[0] == '\0') {
        return "[unknown]";
    }
    return frame->module->name[0] == '[' ? frame->module->name
                                         : region_format(region, "[in %s]", frame->module->name);
}

static size_t key_add(char *key, size_t length, const char *text)
{
    size_t bytes = strnlen(text, PROFILE_KEY_BYTES / 2 - 16);
    memcpy(key + length, text, bytes);
    key[length + bytes] = '\0';
    return length + bytes + 1;
}

/* A function is its name and its file: copies in several modules are one. */
static uint32_t maker_function(struct profile_maker *maker, const struct model_frame *frame)
{
    char key[PROFILE_KEY_BYTES];
    const char *name = maker_function_name(maker->region, frame);
    const char *file = frame->file != NULL ? frame->file : "";
    bool is_new;
    size_t bytes = key_add(key, key_add(key, 0, name), file);
    uint32_t index = (uint32_t)intern_texts_get(&maker->keys, key, bytes, &is_new) - 1;
    if (is_new) {
        maker->functions = mt_grow(maker->functions, &maker->function_capacity, index + 1,
                                   sizeof(*maker->functions));
        maker->functions[index] = (struct profile_function){
            .name = name,
            .linkage_name = frame->linkage_name != NULL ? frame->linkage_name : name,
            .file = file,
            .line = frame->function_line,
            .module = maker_module(maker, frame->module),
        };
        maker->profile->function_count = index + 1;
    }
    return index;
}

static uint32_t maker_add_location(struct profile_maker *maker,
                                   const struct model_address *address)
{
    uint32_t index = (uint32_t)maker->profile->location_count++;
    struct profile_frame *frames =
        region_alloc_array(maker->region, address->frame_count, sizeof(*frames));
    for (uint32_t i = 0; i < address->frame_count; i++) {
        frames[i].function = maker_function(maker, &address->frames[i]);
        frames[i].line = address->frames[i].line;
    }
    const struct model_frame *outermost = &address->frames[address->frame_count - 1];
    maker->locations = mt_grow(maker->locations, &maker->location_capacity, index + 1,
                               sizeof(*maker->locations));
    struct profile_location *location = &maker->locations[index];
    *location = (struct profile_location){
        .frames = frames,
        .frame_count = address->frame_count,
        .module = maker_module(maker, outermost->module),
        /* Return addresses were recorded; viewers want the call. */
        .offset = outermost->module_offset > 0 ? outermost->module_offset - 1 : 0,
    };
    if (location->module != PROFILE_NONE
        && maker->modules[location->module].end <= location->offset) {
        maker->modules[location->module].end = location->offset + 1;
    }
    return index;
}

static uint32_t maker_location(struct profile_maker *maker, uint32_t address)
{
    uint32_t *slot = &maker->location_of[address];
    if (*slot == PROFILE_NONE) {
        *slot = maker_add_location(maker, model_address_at(maker->model, address));
    }
    return *slot;
}

static uint32_t maker_allocator(struct profile_maker *maker)
{
    if (maker->allocator == PROFILE_NONE) {
        static const struct model_frame frame = {.function = CPU_ALLOCATOR};
        static const struct model_address address = {.frames = &frame, .frame_count = 1};
        maker->allocator = maker_add_location(maker, &address);
    }
    return maker->allocator;
}

/* ---- samples --------------------------------------------------------------- */

static struct profile_sample *maker_add_sample(struct profile_maker *maker,
                                               const struct model_stack *stack, uint32_t thread,
                                               bool in_allocator)
{
    size_t index = maker->profile->sample_count++;
    uint32_t count = stack->address_count + (in_allocator ? 1 : 0);
    uint32_t *locations = region_alloc_array(maker->region, count, sizeof(*locations));
    uint32_t filled = 0;
    if (in_allocator) {
        locations[filled++] = maker_allocator(maker);
    }
    for (uint32_t i = 0; i < stack->address_count; i++) {
        locations[filled++] = maker_location(maker, stack->addresses[i]);
    }
    maker->samples =
        mt_grow(maker->samples, &maker->sample_capacity, index + 1, sizeof(*maker->samples));
    maker->samples[index] = (struct profile_sample){
        .locations = locations, .location_count = count, .thread = thread};
    return &maker->samples[index];
}

/* Lifetimes are known by powers of two: the middle of each is taken. */
static int64_t site_lifetimes_us(const struct model_site *site, int64_t tick_ns)
{
    double sum_us = 0;
    double tick_us = tick_ns > 0 ? (double)tick_ns / 1e3 : 0;
    for (unsigned i = 0; i < RECORDING_LIFETIME_BUCKETS; i++) {
        sum_us += (double)model_site_lifetimes(site, i) * 1.5 * (double)(1u << i) * tick_us;
    }
    return sum_us < 9e18 ? (int64_t)sum_us : INT64_MAX;
}

static void maker_add_site(struct profile_maker *maker, const struct model_site *site)
{
    uint32_t *slot = &maker->sample_of[site->stack->id];
    if (*slot == PROFILE_NONE) {
        *slot = (uint32_t)maker->profile->sample_count;
        maker_add_sample(maker, site->stack, PROFILE_NONE, false);
    }
    int64_t *values = maker->samples[*slot].values;
    values[PROFILE_ALLOCATED] += site->allocated_bytes;
    values[PROFILE_ALLOCATIONS] += site->allocations;
    values[PROFILE_LIVE] += site->live_bytes;
    values[PROFILE_BLOCKS] += site->live_blocks;
    values[PROFILE_PEAK] += site->peak_bytes;
    values[PROFILE_PEAK_BLOCKS] += site->peak_blocks;
    values[PROFILE_TEMPORARY] += site->temporaries;
    values[PROFILE_LEAKED] += summary_metric_of(site, SUMMARY_LEAKED);
    values[PROFILE_LIFETIMES] += site_lifetimes_us(site, maker->model->run->tick_ns);
    values[PROFILE_LEAKED_BLOCKS] += site->leaks.blocks[RECORDING_LEAK_DEFINITE]
                                     + site->leaks.blocks[RECORDING_LEAK_INDIRECT];
}

static uint32_t maker_thread(const struct model_process *process, int64_t thread,
                             size_t first)
{
    for (size_t i = 0; i < process->thread_count; i++) {
        if (process->threads[i].thread == thread) {
            return (uint32_t)(first + i);
        }
    }
    return (uint32_t)(first + process->thread_count); /* one that has no name */
}

static size_t maker_add_threads(struct profile_maker *maker, const struct model_process *process)
{
    size_t first = maker->profile->thread_count;
    size_t count = process->thread_count + 1;
    maker->threads = mt_grow(maker->threads, &maker->thread_capacity, first + count,
                             sizeof(*maker->threads));
    for (size_t i = 0; i < process->thread_count; i++) {
        const struct recording_thread *row = &process->threads[i];
        maker->threads[first + i] = (struct profile_thread){
            .name = row->name != NULL ? row->name : "", .pid = process->row.pid, .tid = row->tid};
    }
    maker->threads[first + count - 1] =
        (struct profile_thread){.name = "", .pid = process->row.pid};
    maker->profile->thread_count = first + count;
    return first;
}

static void maker_add_cpu(struct profile_maker *maker, const struct model_process *process)
{
    size_t first = maker_add_threads(maker, process);
    for (size_t i = 0; i < process->cpu_count; i++) {
        const struct model_cpu *row = &process->cpu[i];
        uint32_t thread = maker_thread(process, row->thread, first);
        if (row->samples > 0) {
            maker_add_sample(maker, row->stack, thread, false)->values[PROFILE_CPU] = row->samples;
        }
        if (row->allocator_samples > 0) {
            maker_add_sample(maker, row->stack, thread, true)->values[PROFILE_CPU] =
                row->allocator_samples;
        }
    }
}

/* ---- facts ----------------------------------------------------------------- */

static int64_t known_or(int64_t value, int64_t otherwise)
{
    return value == RECORDING_UNKNOWN ? otherwise : value;
}

static struct profile_timeline maker_timeline(struct region *region,
                                              const struct model_process *process)
{
    struct profile_point *points =
        region_alloc_array(region, process->point_count, sizeof(*points));
    for (size_t i = 0; i < process->point_count; i++) {
        const struct recording_point *row = &process->points[i];
        points[i] = (struct profile_point){
            .seconds = (double)(row->time_ns - process->row.started_ns) / 1e9,
            .live_bytes = row->live_bytes,
            .live_max_bytes =
                row->live_max_bytes > row->live_bytes ? row->live_max_bytes : row->live_bytes,
            .live_blocks = row->live_blocks,
            .rss_bytes = known_or(row->rss_bytes, -1),
            .allocations = row->allocations,
            .cpu_seconds = (double)known_or(row->cpu_ns, 0) / 1e9,
        };
    }
    return (struct profile_timeline){.program = process->row.executable,
                                     .pid = process->row.pid,
                                     .points = points,
                                     .point_count = process->point_count};
}

static const char *maker_command(struct region *region, const struct model_process *process)
{
    const char *text = process->argument_count > 0 ? "" : process->row.executable;
    for (size_t i = 0; i < process->argument_count; i++) {
        text = region_format(region, "%s%s%s", text, i == 0 ? "" : " ", process->arguments[i]);
    }
    return text;
}

static bool maker_has_census(const struct model_process *process)
{
    return process->census != NULL
           && (process->census->scan == NULL || strncmp(process->census->scan, "full", 4) == 0);
}

static void maker_set_process(struct profile_maker *maker, const struct model_process *process)
{
    struct profile *profile = maker->profile;
    for (size_t i = 0; i < process->site_count; i++) {
        maker_add_site(maker, &process->sites[i]);
    }
    profile->has_metric[PROFILE_LEAKED] |= maker_has_census(process);
    if (process->row.peak_bytes > profile->peak_bytes) {
        profile->peak_bytes = process->row.peak_bytes;
        profile->peak_seconds = (double)(process->row.peak_ns - process->row.started_ns) / 1e9;
    }
    double end = (double)known_or(process->row.ended_ns, process->row.started_ns) / 1e9;
    double start = (double)process->row.started_ns / 1e9;
    profile->seconds = end - start > profile->seconds ? end - start : profile->seconds;
}

static void maker_set_facts(struct profile_maker *maker, const struct model_process *main)
{
    const struct model *model = maker->model;
    struct profile *profile = maker->profile;
    profile->program = main->row.executable;
    profile->command = maker_command(maker->region, main);
    profile->pid = main->row.pid;
    profile->started_ns = model->run->started_realtime_ns > 0 ? model->run->started_realtime_ns : 0;
    profile->state_seconds = model->state_seconds;
    profile->cpu_hz = model->run->cpu_hz > 0 ? model->run->cpu_hz : 0;
    profile->is_wall =
        model->run->cpu_clock != NULL && strcmp(model->run->cpu_clock, "wall") == 0;
    profile->sample_bytes = known_or(model->run->sample_bytes, 0);
    /* Of the peak's moment only the blocks that lived then are known. */
    bool has_counts = model->selector.state != MODEL_STATE_PEAK;
    profile->has_metric[PROFILE_ALLOCATED] = has_counts;
    profile->has_metric[PROFILE_ALLOCATIONS] = has_counts;
    profile->has_metric[PROFILE_TEMPORARY] = has_counts;
    profile->has_metric[PROFILE_LIVE] = true;
    profile->has_metric[PROFILE_BLOCKS] = true;
    profile->has_metric[PROFILE_PEAK] = true;
    profile->has_metric[PROFILE_PEAK_BLOCKS] = true;
    profile->has_metric[PROFILE_LIFETIMES] = has_counts;
}

/* Moves a grown array into the region. */
static void *keep_array(struct region *region, void *array, size_t count, size_t element_bytes)
{
    void *kept = region_alloc_array(region, count, element_bytes);
    if (count > 0) {
        memcpy(kept, array, count * element_bytes);
    }
    free(array);
    return kept;
}

static void maker_finish(struct profile_maker *maker, const struct model_process *main)
{
    struct profile *profile = maker->profile;
    profile->program_module = PROFILE_NONE;
    for (size_t i = 0; i < profile->module_count; i++) {
        if (strcmp(maker->modules[i].path, main->row.executable) == 0) {
            profile->program_module = (uint32_t)i;
        }
    }
    for (size_t i = 0; i < profile->sample_count; i++) {
        for (int metric = 0; metric < PROFILE_METRICS; metric++) {
            profile->totals[metric] += maker->samples[i].values[metric];
        }
    }
    profile->has_metric[PROFILE_CPU] = profile->totals[PROFILE_CPU] > 0;
    profile->has_metric[PROFILE_LEAKED_BLOCKS] = profile->has_metric[PROFILE_LEAKED];
    struct region *region = maker->region;
    profile->modules = maker->modules;
    profile->functions = keep_array(region, maker->functions, profile->function_count,
                                    sizeof(*maker->functions));
    profile->locations = keep_array(region, maker->locations, profile->location_count,
                                    sizeof(*maker->locations));
    profile->samples =
        keep_array(region, maker->samples, profile->sample_count, sizeof(*maker->samples));
    profile->threads =
        keep_array(region, maker->threads, profile->thread_count, sizeof(*maker->threads));
}

static uint32_t *none_array(size_t count)
{
    size_t capacity = 0;
    uint32_t *array = mt_grow(NULL, &capacity, count + 1, sizeof(*array));
    memset(array, 0xff, (count + 1) * sizeof(*array));
    return array;
}

const struct profile *profile_make(struct region *region, const struct model *model,
                                   const struct model_process *process)
{
    const struct model_process *main = process != NULL ? process : &model->processes[0];
    size_t first = process != NULL ? (size_t)process->index : 0;
    size_t count = process != NULL ? 1 : model->process_count;
    struct profile_maker maker = {
        .region = region,
        .model = model,
        .profile = region_alloc(region, sizeof(struct profile)),
        .location_of = none_array(model_address_count(model)),
        .sample_of = none_array(model->stack_count + 1),
        .module_of = none_array(model->module_count),
        .modules = region_alloc_array(region, model->module_count + 1,
                                      sizeof(struct profile_module)),
        .allocator = PROFILE_NONE,
    };
    struct profile_timeline *timelines = region_alloc_array(region, count, sizeof(*timelines));
    intern_texts_init(&maker.keys);
    maker_set_facts(&maker, main);
    for (size_t i = 0; i < count; i++) {
        maker_set_process(&maker, &model->processes[first + i]);
        timelines[i] = maker_timeline(region, &model->processes[first + i]);
    }
    for (size_t i = 0; i < count; i++) {
        maker_add_cpu(&maker, &model->processes[first + i]);
    }
    maker.profile->timelines = timelines;
    maker.profile->timeline_count = count;
    maker.profile->process_count = count;
    maker_finish(&maker, main);
    intern_texts_deinit(&maker.keys);
    free(maker.location_of);
    free(maker.sample_of);
    free(maker.module_of);
    return maker.profile;
}

const char *profile_missing(struct region *region, const struct model *model,
                            const struct profile *profile, enum profile_metric metric)
{
    const char *file = model->selector.path;
    if (metric == PROFILE_CPU && profile->cpu_hz == 0) {
        return region_format(region,
                             "%s: no CPU samples: it was recorded with --no-cpu; record again "
                             "without that",
                             file);
    }
    if (metric == PROFILE_CPU) {
        return region_format(region,
                             "%s: no CPU samples: at %lld Hz the program used too little CPU time; "
                             "record a longer run, or with --cpu 999",
                             file, (long long)profile->cpu_hz);
    }
    if (metric == PROFILE_LEAKED || metric == PROFILE_LEAKED_BLOCKS) {
        return region_format(region,
                             "%s: leaks are not known: no full scan of the heap was made; record "
                             "with --leaks=full and let the program exit",
                             file);
    }
    return region_format(region,
                         "%s@peak: \"%s\" is not known at the peak, only what lived then is; leave "
                         "@peak out",
                         file, profile_metric_name(metric));
}
