#include "recorder/site_sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* More tables than any program has threads at once: a list that is longer is a ring. */
#define SITE_THREADS_MAX 262144u

void site_sums_deinit(struct site_sums *sums)
{
    free(sums->sites);
    memset(sums, 0, sizeof *sums);
}

int site_threads_visit(const struct arena_file *file, uint64_t process_offset,
                       int (*visit)(void *context, const struct site_thread *thread),
                       void *context)
{
    struct arena_process *process =
        arena_at(&file->arena, process_offset, sizeof(struct arena_process));
    if (process == NULL) {
        return -EFAULT;
    }
    struct arena_thread *table = aligned_alloc(_Alignof(struct arena_thread), sizeof *table);
    if (table == NULL) {
        return -ENOMEM;
    }
    uint64_t offset = atomic_load_explicit(&process->first_thread, memory_order_acquire);
    int result = 0;
    for (uint32_t i = 0; i < SITE_THREADS_MAX && offset != 0; i++) {
        if (arena_file_copy(file, offset, table, sizeof *table) != 0) {
            break;
        }
        struct site_thread thread = {.index = i, .table = table};
        result = visit(context, &thread);
        if (result != 0) {
            break;
        }
        offset = atomic_load_explicit(&table->next, memory_order_relaxed);
    }
    free(table);
    return result;
}

/* ---- counters ------------------------------------------------------------- */

struct sums_context {
    const struct arena_file *file;
    struct site_sums *sums;
    uint32_t peak_number;
    bool is_peak_now; /* the total is above the noted peak: every share is the present one */
    size_t stacks; /* ids in use: what lies beyond was never written */
    struct arena_site *chunk; /* ARENA_SITES_PER_CHUNK of them */
};

static int sums_reserve(struct site_sums *sums, size_t count)
{
    if (count > sums->capacity) {
        struct site_sum *sites = realloc(sums->sites, count * sizeof *sites);
        if (sites == NULL) {
            return -ENOMEM;
        }
        sums->sites = sites;
        sums->capacity = count;
    }
    if (count > sums->count) {
        memset(sums->sites + sums->count, 0, (count - sums->count) * sizeof sums->sites[0]);
        sums->count = count;
    }
    return 0;
}

static void sum_add(struct site_sum *sum, const struct arena_site *site, bool is_inherited,
                    const struct sums_context *context)
{
    int64_t live_bytes = (int64_t)(site->allocated_bytes - site->freed_bytes);
    int64_t live_blocks = (int64_t)(site->allocations - site->frees);
    if (is_inherited) {
        /* Never changes, so it is its own share at every peak. */
        sum->inherited_blocks += site->allocations;
        sum->inherited_bytes += site->allocated_bytes;
        sum->peak_bytes += live_bytes;
        sum->peak_blocks += live_blocks;
        return;
    }
    sum->allocations += site->allocations;
    sum->allocated_bytes += site->allocated_bytes;
    sum->frees += site->frees;
    sum->freed_bytes += site->freed_bytes;
    sum->temporaries += site->temporaries;
    bool is_kept = !context->is_peak_now && site->peak_number == context->peak_number;
    sum->peak_bytes += is_kept ? site->peak_bytes : live_bytes;
    sum->peak_blocks += is_kept ? site->peak_blocks : live_blocks;
}

/* How many stacks of a chunk are among the first `stacks`: a short process, of which there may be
 * thousands, uses a small part of its only one, and the rest need be neither copied nor zeroed. */
static size_t chunk_used(size_t stacks, size_t chunk)
{
    size_t first = chunk * ARENA_SITES_PER_CHUNK;
    size_t left = stacks > first ? stacks - first : 0;
    return left < ARENA_SITES_PER_CHUNK ? left : ARENA_SITES_PER_CHUNK;
}

static int sums_visit(void *context_pointer, const struct site_thread *thread)
{
    struct sums_context *context = context_pointer;
    struct site_sums *sums = context->sums;
    bool is_inherited = thread->table->is_inherited != 0;
    if (!is_inherited) {
        sums->threads++;
        sums->cpu_samples_lost += thread->table->cpu_samples_lost;
    }
    for (size_t chunk = 0; chunk * ARENA_SITES_PER_CHUNK < context->stacks; chunk++) {
        uint64_t offset =
            atomic_load_explicit(&thread->table->site_chunk[chunk], memory_order_relaxed);
        size_t used = chunk_used(context->stacks, chunk);
        if (offset == 0
            || arena_file_copy(context->file, offset, context->chunk,
                               used * sizeof(struct arena_site))
                   != 0) {
            continue;
        }
        for (size_t i = 0; i < used; i++) {
            const struct arena_site *site = &context->chunk[i];
            if ((site->allocations | site->frees) == 0) {
                continue;
            }
            size_t stack = chunk * ARENA_SITES_PER_CHUNK + i;
            if (stack >= sums->count
                && sums_reserve(sums, chunk * ARENA_SITES_PER_CHUNK + used) != 0) {
                return -ENOMEM;
            }
            sum_add(&sums->sites[stack], site, is_inherited, context);
        }
    }
    return 0;
}

/* How many stack ids the process's image has handed out; all possible ones when its
 * record is unreadable. */
static size_t stacks_in_use(const struct arena_file *file, const struct arena_process *process)
{
    uint32_t image_index = process->image;
    if (image_index < ARENA_IMAGES_MAX) {
        uint64_t offset = atomic_load_explicit(
            &file->arena.header->image_offset[image_index], memory_order_acquire);
        struct arena_image *image = arena_at(&file->arena, offset, sizeof(struct arena_image));
        uint32_t count = image == NULL
                             ? 0
                             : atomic_load_explicit(&image->stack_next, memory_order_acquire);
        if (count > 0 && count < ARENA_STACKS_MAX) {
            return count;
        }
        if (image != NULL && count == 0) {
            return 1; /* id 0 alone */
        }
    }
    return ARENA_STACKS_MAX;
}

/* When the run samples, counts of blocks come in parts of a block. */
static void sum_scale(struct site_sum *site, int64_t unit)
{
    int64_t half = unit / 2;
    site->allocations = (site->allocations + (uint64_t)half) / (uint64_t)unit;
    site->frees = (site->frees + (uint64_t)half) / (uint64_t)unit;
    site->temporaries = (site->temporaries + (uint64_t)half) / (uint64_t)unit;
    site->inherited_blocks = (site->inherited_blocks + (uint64_t)half) / (uint64_t)unit;
    site->peak_blocks =
        (site->peak_blocks + (site->peak_blocks < 0 ? -half : half)) / unit;
}

int site_sums_read(const struct arena_file *file, uint64_t process_offset, struct site_sums *sums)
{
    struct arena_process *process =
        arena_at(&file->arena, process_offset, sizeof(struct arena_process));
    if (process == NULL) {
        return -EFAULT;
    }
    sums->count = 0;
    sums->cpu_samples_lost = 0;
    sums->threads = 0;
    memset(&sums->total, 0, sizeof sums->total);
    struct sums_context context = {
        .file = file,
        .sums = sums,
        .stacks = stacks_in_use(file, process),
        .peak_number = atomic_load_explicit(&process->peak_number, memory_order_relaxed),
        .is_peak_now = arena_peak_is_now(process)};
    context.chunk = malloc(chunk_used(context.stacks, 0) * sizeof(struct arena_site));
    if (context.chunk == NULL) {
        return -ENOMEM;
    }
    int result = site_threads_visit(file, process_offset, sums_visit, &context);
    free(context.chunk);
    for (size_t i = 0; i < sums->count; i++) {
        struct site_sum *site = &sums->sites[i];
        if (file->block_unit != 1) {
            sum_scale(site, file->block_unit);
        }
        sums->total.allocations += site->allocations;
        sums->total.allocated_bytes += site->allocated_bytes;
        sums->total.frees += site->frees;
        sums->total.freed_bytes += site->freed_bytes;
        sums->total.temporaries += site->temporaries;
        sums->total.peak_bytes += site->peak_bytes;
        sums->total.peak_blocks += site->peak_blocks;
        sums->total.inherited_blocks += site->inherited_blocks;
        sums->total.inherited_bytes += site->inherited_bytes;
    }
    return result;
}

/* ---- lifetimes ------------------------------------------------------------ */

struct lifetimes_context {
    const struct arena_file *file;
    uint64_t *buckets;
    size_t count;
    struct arena_lifetimes *chunk;
};

static int lifetimes_visit(void *context_pointer, const struct site_thread *thread)
{
    struct lifetimes_context *context = context_pointer;
    for (size_t chunk = 0; chunk_used(context->count, chunk) > 0; chunk++) {
        uint64_t offset =
            atomic_load_explicit(&thread->table->lifetime_chunk[chunk], memory_order_relaxed);
        size_t used = chunk_used(context->count, chunk);
        if (offset == 0
            || arena_file_copy(context->file, offset, context->chunk,
                               used * sizeof(struct arena_lifetimes))
                   != 0) {
            continue;
        }
        for (size_t i = 0; i < used; i++) {
            size_t stack = chunk * ARENA_SITES_PER_CHUNK + i;
            for (size_t bucket = 0; bucket < ARENA_LIFETIME_BUCKETS; bucket++) {
                context->buckets[stack * ARENA_LIFETIME_BUCKETS + bucket] +=
                    context->chunk[i].bucket[bucket];
            }
        }
    }
    return 0;
}

uint64_t *site_sums_read_lifetimes(const struct arena_file *file, uint64_t process_offset,
                                   size_t count)
{
    struct lifetimes_context context = {
        .file = file,
        .count = count,
        .buckets = calloc(count == 0 ? 1 : count, ARENA_LIFETIME_BUCKETS * sizeof(uint64_t)),
        .chunk = malloc((chunk_used(count, 0) + 1) * sizeof(struct arena_lifetimes))};
    if (context.buckets != NULL && context.chunk != NULL
        && site_threads_visit(file, process_offset, lifetimes_visit, &context) == 0) {
        free(context.chunk);
        return context.buckets;
    }
    free(context.chunk);
    free(context.buckets);
    return NULL;
}

/* ---- sampling ------------------------------------------------------------- */

struct samples_context {
    const struct arena_file *file;
    struct site_sample *samples;
    size_t count;
    struct arena_sample_site *chunk;
};

static void sample_add(struct site_sample *sum, const struct arena_sample_site *site,
                       bool is_inherited)
{
    sum->live_count_variance += site->allocated_count_variance - site->freed_count_variance;
    sum->live_bytes_variance += site->allocated_bytes_variance - site->freed_bytes_variance;
    if (!is_inherited) {
        sum->sampled_allocations += site->sampled_allocations;
        sum->sampled_frees += site->sampled_frees;
        sum->allocated_count_variance += site->allocated_count_variance;
        sum->allocated_bytes_variance += site->allocated_bytes_variance;
    }
}

static int samples_visit(void *context_pointer, const struct site_thread *thread)
{
    struct samples_context *context = context_pointer;
    for (size_t chunk = 0; chunk * ARENA_SITES_PER_CHUNK < context->count; chunk++) {
        uint64_t offset =
            atomic_load_explicit(&thread->table->sample_chunk[chunk], memory_order_relaxed);
        if (offset == 0
            || arena_file_copy(context->file, offset, context->chunk,
                               ARENA_SITES_PER_CHUNK * sizeof(struct arena_sample_site))
                   != 0) {
            continue;
        }
        size_t first = chunk * ARENA_SITES_PER_CHUNK;
        for (size_t i = 0; i < ARENA_SITES_PER_CHUNK && first + i < context->count; i++) {
            sample_add(&context->samples[first + i], &context->chunk[i],
                       thread->table->is_inherited != 0);
        }
    }
    return 0;
}

struct site_sample *site_sums_read_samples(const struct arena_file *file, uint64_t process_offset,
                                           size_t count)
{
    struct samples_context context = {
        .file = file,
        .count = count,
        .samples = calloc(count == 0 ? 1 : count, sizeof(struct site_sample)),
        .chunk = malloc(ARENA_SITES_PER_CHUNK * sizeof(struct arena_sample_site))};
    if (context.samples != NULL && context.chunk != NULL
        && site_threads_visit(file, process_offset, samples_visit, &context) == 0) {
        free(context.chunk);
        return context.samples;
    }
    free(context.chunk);
    free(context.samples);
    return NULL;
}
