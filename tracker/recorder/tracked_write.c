/* How a tracked process is put into the recording. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena/clock.h"
#include "recorder/census_read.h"
#include "recorder/tracked.h"

#define ARGUMENTS_MAX 4096u

static const char *untracked_reason(uint32_t reason)
{
    switch (reason) {
    case ARENA_UNTRACKED_OWN_MALLOC:
        return "the program has a malloc of its own, which cannot be seen from outside";
    case ARENA_UNTRACKED_FOLLOW:
        return "--follow excludes it";
    default:
        return NULL;
    }
}

static const char *cpu_sampling(uint32_t state)
{
    switch (state) {
    case ARENA_CPU_ON:
        return "on";
    case ARENA_CPU_ENDED:
        return "ended: the program installed a seccomp filter, which might end it for a signal";
    case ARENA_CPU_UNAVAILABLE:
        return "failed: the kernel refused the signal's handler";
    default:
        return "off";
    }
}

/* A copy of a text of the arena, NUL-terminated whatever is there. NULL: empty. */
static const char *text_copy(char *to, size_t to_bytes, const char *text)
{
    size_t length = strnlen(text, to_bytes - 1);
    memcpy(to, text, length);
    to[length] = '\0';
    return length == 0 ? NULL : to;
}

static int arguments_write(const struct tracked *tracked, struct recording_writer *recording)
{
    const struct arena_process *shared = tracked->shared;
    uint32_t length = shared->argument_bytes;
    if (length == 0) {
        return 0; /* not known yet */
    }
    if (length > ARENA_ARGUMENTS_BYTES) {
        length = ARENA_ARGUMENTS_BYTES;
    }
    char *copy = malloc(length);
    const char **arguments = malloc(ARGUMENTS_MAX * sizeof *arguments);
    int result = -ENOMEM;
    if (copy != NULL && arguments != NULL) {
        memcpy(copy, shared->arguments, length);
        copy[length - 1] = '\0';
        size_t count = 0;
        for (char *at = copy; at < copy + length && count < ARGUMENTS_MAX;
             at += strlen(at) + 1) {
            arguments[count++] = at;
        }
        result = recording_writer_put_arguments(recording, tracked->index, arguments, count);
    }
    free(copy);
    free((void *)arguments);
    return result;
}

int tracked_write_process(const struct tracked *tracked, const struct arena_file *file,
                          struct recording_writer *recording)
{
    struct arena_process *shared = tracked->shared;
    const struct site_sum *total = &tracked->sums.total;
    char executable[ARENA_TEXT_BYTES];
    char working_directory[ARENA_TEXT_BYTES];
    char allocator[sizeof shared->allocator + 1];
    char scan[192];
    int64_t live_bytes =
        (int64_t)(total->allocated_bytes - total->freed_bytes + total->inherited_bytes);
    int64_t live_blocks =
        (int64_t)(total->allocations - total->frees + total->inherited_blocks);
    int64_t peak_bytes = atomic_load_explicit(&shared->peak_bytes, memory_order_relaxed);
    uint64_t image_offset =
        tracked->image >= ARENA_IMAGES_MAX
            ? 0
            : atomic_load_explicit(&file->arena.header->image_offset[tracked->image],
                                   memory_order_acquire);
    const struct arena_image *image =
        arena_at(&file->arena, image_offset, sizeof(struct arena_image));
    struct recording_process row = {
        .id = tracked->index,
        .parent = tracked->parent,
        .image = tracked->image,
        .start = tracked->start == ARENA_START_FORK     ? RECORDING_START_FORK
                 : tracked->start == ARENA_START_ATTACH ? RECORDING_START_ATTACH
                                                        : RECORDING_START_EXEC,
        .pid = tracked->pid,
        .parent_pid = tracked->parent_pid,
        .executable = text_copy(executable, sizeof executable, shared->executable),
        .working_directory =
            text_copy(working_directory, sizeof working_directory, shared->working_directory),
        .allocator = text_copy(allocator, sizeof allocator, shared->allocator),
        .untracked_reason = untracked_reason(
            atomic_load_explicit(&shared->untracked_reason, memory_order_relaxed)),
        .arguments_are_cut = shared->arguments_cut != 0,
        .started_ns = (int64_t)tracked->started_ns,
        .ended_ns = tracked->is_alive ? RECORDING_UNKNOWN : (int64_t)tracked->ended_ns,
        .exit_status = tracked->exit_status,
        .signal = tracked->signal,
        .was_replaced = tracked->was_replaced,
        .live_bytes = live_bytes,
        .live_blocks = live_blocks,
        /* Threads report in batches: the sum may be a little above what was reported. */
        .peak_bytes = peak_bytes < live_bytes ? live_bytes : peak_bytes,
        .peak_blocks = peak_bytes < live_bytes
                           ? live_blocks
                           : atomic_load_explicit(&shared->peak_blocks, memory_order_relaxed)
                                 / file->block_unit,
        .peak_ns = (int64_t)clock_ticks_to_ns(
            arena_peak_is_now(shared)
                ? shared->window_tick
                : atomic_load_explicit(&shared->peak_tick, memory_order_relaxed),
            CLOCK_TICK_NS),
        .peak_rss_bytes = tracked->peak_rss_bytes,
        .cpu_user_ns = tracked->user_ns,
        .cpu_system_ns = tracked->system_ns,
        .minor_faults = tracked->minor_faults,
        .major_faults = tracked->major_faults,
        .threads =
            (int64_t)atomic_load_explicit(&shared->threads_started, memory_order_relaxed),
        .dropped_events =
            (int64_t)atomic_load_explicit(&shared->dropped_events, memory_order_relaxed),
        .unknown_stacks =
            (int64_t)atomic_load_explicit(&shared->unknown_stacks, memory_order_relaxed),
        .approximate_stacks =
            (int64_t)atomic_load_explicit(&shared->approximate_stacks, memory_order_relaxed),
        .cut_stacks = image == NULL ? 0
                                    : (int64_t)atomic_load_explicit(&image->cut_captures,
                                                                    memory_order_relaxed),
        .cpu_sampling =
            cpu_sampling(atomic_load_explicit(&shared->cpu_sampling, memory_order_relaxed)),
        .cpu_samples_lost = (int64_t)(tracked->sums.cpu_samples_lost
                                      + atomic_load_explicit(&shared->cpu_samples_lost,
                                                             memory_order_relaxed)),
        .cpu_threads_missed =
            (int64_t)atomic_load_explicit(&shared->cpu_threads_missed, memory_order_relaxed),
        .errors_beyond_table =
            (int64_t)atomic_load_explicit(&shared->errors_beyond_table, memory_order_relaxed),
        .own_bytes = (int64_t)atomic_load_explicit(&shared->own_bytes, memory_order_relaxed),
        .scan = census_scan_text(tracked, file, scan, sizeof scan)};
    if (row.peak_ns < row.started_ns) {
        row.peak_ns = row.started_ns; /* the peak's tick began before the process did */
    }
    int result = recording_writer_put_process(recording, &row);
    return result != 0 ? result : arguments_write(tracked, recording);
}

int tracked_write_points(struct tracked *tracked, struct recording_writer *recording)
{
    struct timeline *timeline = &tracked->timeline;
    int result = 0;
    if (tracked->points_generation != timeline->generation && tracked->points_written > 0) {
        result = recording_writer_clear_points(recording, tracked->index);
        tracked->points_written = 0;
    }
    /* The last one that was written may have been open still. */
    size_t first = tracked->points_written == 0 ? 0 : tracked->points_written - 1;
    for (size_t i = first; result == 0 && i < timeline->count; i++) {
        const struct timeline_point *point = &timeline->points[i];
        result = recording_writer_put_point(
            recording,
            &(struct recording_point){
                .process = tracked->index,
                .time_ns = (int64_t)point->time_ns,
                .live_bytes = point->live_bytes,
                .live_min_bytes = point->live_min_bytes,
                .live_max_bytes = point->live_max_bytes,
                .live_blocks = point->live_blocks,
                .rss_bytes = point->rss_bytes,
                .allocations = point->allocations,
                .cpu_ns = point->cpu_ns,
                .allocator_allocated_bytes = point->allocator_allocated_bytes,
                .allocator_active_bytes = point->allocator_active_bytes,
                .allocator_metadata_bytes = point->allocator_metadata_bytes,
                .allocator_resident_bytes = point->allocator_resident_bytes,
                .allocator_retained_bytes = point->allocator_retained_bytes});
    }
    tracked->points_written = timeline->count;
    tracked->points_generation = timeline->generation;
    return result;
}

int tracked_write_snapshot(struct tracked *tracked, const struct arena_file *file,
                           struct recording_writer *recording, int64_t snapshot)
{
    int result = site_sums_read(file, tracked->offset, &tracked->sums);
    if (result != 0) {
        return result == -EFAULT ? 0 : result;
    }
    const struct site_sums *sums = &tracked->sums;
    if (sums->count > tracked->snapshot_count) {
        struct tracked_counters *counters =
            realloc(tracked->snapshot, sums->count * sizeof *counters);
        if (counters == NULL) {
            return -ENOMEM;
        }
        memset(counters + tracked->snapshot_count, 0,
               (sums->count - tracked->snapshot_count) * sizeof *counters);
        tracked->snapshot = counters;
        tracked->snapshot_count = sums->count;
    }
    const struct site_sum *total = &sums->total;
    tracked->is_in_use = true;
    result = recording_writer_add_snapshot_process(
        recording,
        &(struct recording_snapshot_process){
            .snapshot = snapshot,
            .process = tracked->index,
            .live_bytes = (int64_t)(total->allocated_bytes - total->freed_bytes
                                    + total->inherited_bytes),
            .live_blocks =
                (int64_t)(total->allocations - total->frees + total->inherited_blocks),
            .allocations = (int64_t)total->allocations,
            .rss_bytes = tracked->rss_bytes});
    for (size_t stack = 0; result == 0 && stack < sums->count; stack++) {
        const struct site_sum *site = &sums->sites[stack];
        struct tracked_counters now = {.allocations = site->allocations,
                                       .allocated_bytes = site->allocated_bytes,
                                       .frees = site->frees,
                                       .freed_bytes = site->freed_bytes,
                                       .temporaries = site->temporaries};
        if (stack % 1024 == 1023) {
            arena_file_beat(file);
        }
        if (memcmp(&now, &tracked->snapshot[stack], sizeof now) == 0) {
            continue;
        }
        tracked->snapshot[stack] = now;
        result = recording_writer_add_snapshot_site(
            recording, &(struct recording_snapshot_site){
                           .snapshot = snapshot,
                           .process = tracked->index,
                           .stack = (int64_t)stack,
                           .allocations = (int64_t)now.allocations,
                           .allocated_bytes = (int64_t)now.allocated_bytes,
                           .frees = (int64_t)now.frees,
                           .freed_bytes = (int64_t)now.freed_bytes,
                           .temporaries = (int64_t)now.temporaries});
    }
    tracked->is_in_use = false;
    return result;
}

/* ---- threads, CPU samples, defects ---------------------------------------- */

struct threads_context {
    const struct tracked *tracked;
    const struct arena_file *file;
    struct recording_writer *recording;
    uint32_t last; /* index of the first thread: the list begins with the latest */
    struct arena_cpu_site *chunk;
};

static int thread_cpu_write(const struct threads_context *context,
                            const struct arena_thread *table, int64_t thread)
{
    int result = 0;
    for (uint32_t chunk = 0; result == 0 && chunk < ARENA_CPU_SITE_CHUNKS; chunk++) {
        uint64_t offset = atomic_load_explicit(&table->cpu_chunk[chunk], memory_order_relaxed);
        if (offset == 0
            || arena_file_copy(context->file, offset, context->chunk,
                               ARENA_CPU_SITES_PER_CHUNK * sizeof(struct arena_cpu_site))
                   != 0) {
            continue;
        }
        for (uint32_t i = 0; result == 0 && i < ARENA_CPU_SITES_PER_CHUNK; i++) {
            const struct arena_cpu_site *site = &context->chunk[i];
            if ((site->samples | site->allocator_samples) == 0) {
                continue;
            }
            result = recording_writer_put_cpu(
                context->recording,
                &(struct recording_cpu){.process = context->tracked->index,
                                        .thread = thread,
                                        .stack = chunk * ARENA_CPU_SITES_PER_CHUNK + i,
                                        .samples = site->samples,
                                        .system_samples = site->system_samples,
                                        .allocator_samples = site->allocator_samples,
                                        .allocator_system_samples =
                                            site->allocator_system_samples});
        }
    }
    return result;
}

static int thread_write(void *context_pointer, const struct site_thread *thread)
{
    const struct threads_context *context = context_pointer;
    const struct arena_thread *table = thread->table;
    if (table->is_inherited != 0 || thread->index > context->last) {
        return 0;
    }
    char name[sizeof table->name + 1];
    int64_t index = context->last - thread->index;
    int result = recording_writer_put_thread(
        context->recording,
        &(struct recording_thread){.process = context->tracked->index,
                                   .thread = index,
                                   .tid = table->tid,
                                   .name = text_copy(name, sizeof name, table->name),
                                   .threads_served = table->threads_served});
    return result != 0 ? result : thread_cpu_write(context, table, index);
}

static int thread_count(void *context, const struct site_thread *thread)
{
    *(uint32_t *)context = thread->index;
    return 0;
}

static int threads_write(const struct tracked *tracked, const struct arena_file *file,
                         struct recording_writer *recording)
{
    struct threads_context context = {
        .tracked = tracked,
        .file = file,
        .recording = recording,
        .chunk = malloc(ARENA_CPU_SITES_PER_CHUNK * sizeof(struct arena_cpu_site))};
    if (context.chunk == NULL) {
        return -ENOMEM;
    }
    int result = site_threads_visit(file, tracked->offset, thread_count, &context.last);
    if (result == 0) {
        result = site_threads_visit(file, tracked->offset, thread_write, &context);
    }
    free(context.chunk);
    return result;
}

static const char *family_name(uint8_t family, bool is_release)
{
    switch (family) {
    case ARENA_FAMILY_MALLOC:
        return is_release ? "free" : "malloc";
    case ARENA_FAMILY_NEW:
        return is_release ? "delete" : "new";
    case ARENA_FAMILY_NEW_ARRAY:
        return is_release ? "delete[]" : "new[]";
    case ARENA_FAMILY_IGNORED:
        return is_release ? NULL : "an ignored block";
    default:
        return NULL;
    }
}

static int defects_write(const struct tracked *tracked, struct recording_writer *recording)
{
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < ARENA_ERRORS_MAX; i++) {
        struct arena_error *defect = &tracked->shared->errors[i];
        uint32_t kind = atomic_load_explicit(&defect->kind, memory_order_acquire);
        if (kind < ARENA_ERROR_DOUBLE_FREE || kind > ARENA_ERROR_MISMATCHED_FREE) {
            continue;
        }
        bool is_block_known = kind != ARENA_ERROR_INVALID_FREE;
        result = recording_writer_put_defect(
            recording,
            &(struct recording_defect){
                .process = tracked->index,
                .kind = kind == ARENA_ERROR_DOUBLE_FREE    ? RECORDING_DOUBLE_FREE
                        : kind == ARENA_ERROR_INVALID_FREE ? RECORDING_INVALID_FREE
                                                           : RECORDING_MISMATCHED_FREE,
                .count = (int64_t)atomic_load_explicit(&defect->count, memory_order_relaxed),
                .release_stack = defect->release_stack,
                .allocation_stack = defect->allocation_stack,
                .allocated_as = is_block_known ? family_name(defect->allocated_as, false) : NULL,
                .released_as = family_name(defect->released_as, true),
                .address = defect->address});
    }
    return result;
}

int tracked_write_sites(struct tracked *tracked, const struct arena_file *file,
                        struct recording_writer *recording)
{
    int result =
        tracked->sums_are_last ? 0 : site_sums_read(file, tracked->offset, &tracked->sums);
    if (result != 0) {
        return result == -EFAULT ? 0 : result;
    }
    const struct site_sums *sums = &tracked->sums;
    tracked->is_in_use = true;
    uint64_t *lifetimes = site_sums_read_lifetimes(file, tracked->offset, sums->count);
    struct site_sample *samples =
        file->block_unit == 1 ? NULL
                              : site_sums_read_samples(file, tracked->offset, sums->count);
    for (size_t stack = 0; result == 0 && stack < sums->count; stack++) {
        const struct site_sum *site = &sums->sites[stack];
        if ((site->allocations | site->frees | site->inherited_blocks) == 0) {
            continue;
        }
        if (stack % 256 == 255) {
            arena_file_beat(file);
        }
        struct recording_site row = {.process = tracked->index,
                                     .stack = (int64_t)stack,
                                     .allocations = (int64_t)site->allocations,
                                     .allocated_bytes = (int64_t)site->allocated_bytes,
                                     .frees = (int64_t)site->frees,
                                     .freed_bytes = (int64_t)site->freed_bytes,
                                     .temporaries = (int64_t)site->temporaries,
                                     .peak_blocks = site->peak_blocks,
                                     .peak_bytes = site->peak_bytes,
                                     .inherited_blocks = (int64_t)site->inherited_blocks,
                                     .inherited_bytes = (int64_t)site->inherited_bytes};
        for (size_t bucket = 0; lifetimes != NULL && bucket < ARENA_LIFETIME_BUCKETS; bucket++) {
            row.lifetimes[bucket] = (int64_t)lifetimes[stack * ARENA_LIFETIME_BUCKETS + bucket];
        }
        result = recording_writer_put_site(recording, &row);
        if (result == 0 && samples != NULL) {
            const struct site_sample *sample = &samples[stack];
            struct recording_sample sample_row = {
                .process = tracked->index,
                .stack = (int64_t)stack,
                .sampled_allocations = (int64_t)sample->sampled_allocations,
                .sampled_frees = (int64_t)sample->sampled_frees,
                .allocations_variance = sample->allocated_count_variance,
                .allocated_bytes_variance = sample->allocated_bytes_variance,
                .live_blocks_variance = sample->live_count_variance,
                .live_bytes_variance = sample->live_bytes_variance};
            result = recording_writer_put_sample(recording, &sample_row);
        }
    }
    tracked->is_in_use = false;
    free(lifetimes);
    free(samples);
    if (result == 0) {
        result = threads_write(tracked, file, recording);
    }
    return result != 0 ? result : defects_write(tracked, recording);
}

/* ---- giving memory back --------------------------------------------------- */

static int thread_drop(void *context, const struct site_thread *thread)
{
    const struct arena_file *file = context;
    for (size_t i = 0; i < ARENA_SITE_CHUNKS; i++) {
        arena_file_drop(file,
                        atomic_load_explicit(&thread->table->site_chunk[i], memory_order_relaxed),
                        ARENA_SITES_PER_CHUNK * sizeof(struct arena_site));
        arena_file_drop(
            file, atomic_load_explicit(&thread->table->lifetime_chunk[i], memory_order_relaxed),
            ARENA_SITES_PER_CHUNK * sizeof(struct arena_lifetimes));
    }
    for (size_t i = 0; i < ARENA_CPU_SITE_CHUNKS; i++) {
        arena_file_drop(file,
                        atomic_load_explicit(&thread->table->cpu_chunk[i], memory_order_relaxed),
                        ARENA_CPU_SITES_PER_CHUNK * sizeof(struct arena_cpu_site));
    }
    return 0;
}

void tracked_drop(const struct tracked *tracked, const struct arena_file *file)
{
    /* The tables themselves stay: a few pages, and the list's links are in them. */
    (void)site_threads_visit(file, tracked->offset, thread_drop, (void *)(uintptr_t)file);
}

void tracked_sweep(uint64_t process_offset, const struct arena_file *file)
{
    struct arena_process *process =
        arena_at(&file->arena, process_offset, sizeof(struct arena_process));
    if (process == NULL) {
        return;
    }
    uint64_t offset = atomic_load_explicit(&process->first_thread, memory_order_acquire);
    for (uint32_t i = 0; i < ARENA_PROCESSES_MAX && offset != 0; i++) {
        struct arena_thread *table = arena_at(&file->arena, offset, sizeof *table);
        if (table == NULL) {
            break;
        }
        uint64_t next = atomic_load_explicit(&table->next, memory_order_acquire);
        arena_file_drop(file, offset, sizeof *table);
        offset = next;
    }
    arena_file_drop(file, process_offset, sizeof *process);
}
