#include "core/track.h"

#include "arena/clock.h"

void track_lifetime(struct thread *thread, uint32_t stack, uint32_t birth_tick, uint32_t now)
{
    uint32_t tick_ns = process_cold.arena.header->tick_ns;
    uint64_t birth_ns = clock_ticks_to_ns(birth_tick, tick_ns);
    uint64_t now_ns = clock_ticks_to_ns(now, tick_ns);
    if (now_ns <= birth_ns || tick_ns == 0) {
        return;
    }
    /* In ticks of the first length, whatever the present one is. */
    uint64_t ticks = (now_ns - birth_ns) / tick_ns;
    struct arena_lifetimes *chunk =
        arena_chunk_get(&process_cold.arena, thread->table->lifetime_chunk,
                        stack / ARENA_SITES_PER_CHUNK,
                        ARENA_SITES_PER_CHUNK * sizeof(struct arena_lifetimes));
    if (chunk == NULL) {
        return; /* counted as a lifetime below a tick */
    }
    unsigned bucket = 63u - (unsigned)__builtin_clzll(ticks);
    if (bucket >= ARENA_LIFETIME_BUCKETS) {
        bucket = ARENA_LIFETIME_BUCKETS - 1;
    }
    chunk[stack % ARENA_SITES_PER_CHUNK].bucket[bucket]++;
}

bool track_unusual(struct thread *thread, const void *address, size_t size_bytes)
{
    if (thread->pauses != 0) {
        /* Known to the map all the same: its release is no defect. */
        struct live_block block = {.size_bytes = size_bytes,
                                   .birth_tick = totals_birth_clock(),
                                   .family = ARENA_FAMILY_IGNORED};
        live_map_insert((uintptr_t)address, &block, true);
        thread->last_allocated = 0;
        return false;
    }
    return process_hot.sample_bytes == 0 || sampler_take(thread, size_bytes);
}

static struct arena_sample_site *sample_site(struct thread *thread, uint32_t stack)
{
    struct arena_sample_site *chunk =
        arena_chunk_get(&process_cold.arena, thread->table->sample_chunk,
                        stack / ARENA_SITES_PER_CHUNK,
                        ARENA_SITES_PER_CHUNK * sizeof(struct arena_sample_site));
    return chunk == NULL ? NULL : &chunk[stack % ARENA_SITES_PER_CHUNK];
}

void track_sampled_in(struct thread *thread, struct arena_site *site,
                      const struct live_block *block)
{
    struct sampler_weight weight = sampler_weigh(block->size_bytes, process_hot.sample_bytes);
    struct arena_sample_site *sample = sample_site(thread, block->stack);
    if (sample != NULL) {
        sample->sampled_allocations++;
        sample->allocated_count_variance += weight.count_variance;
        sample->allocated_bytes_variance += weight.bytes_variance;
    }
    site->allocations += (uint64_t)weight.blocks;
    site->allocated_bytes += (uint64_t)weight.bytes;
    totals_add(thread, weight.bytes, weight.blocks);
}

void track_sampled_out(struct thread *thread, struct arena_site *site, bool is_temporary,
                       const struct live_block *block)
{
    struct sampler_weight weight = sampler_weigh(block->size_bytes, process_hot.sample_bytes);
    struct arena_sample_site *sample = sample_site(thread, block->stack);
    if (sample != NULL) {
        sample->sampled_frees++;
        sample->freed_count_variance += weight.count_variance;
        sample->freed_bytes_variance += weight.bytes_variance;
    }
    site->frees += (uint64_t)weight.blocks;
    site->freed_bytes += (uint64_t)weight.bytes;
    site->temporaries += is_temporary ? (uint64_t)weight.blocks : 0;
    totals_add(thread, -weight.bytes, -weight.blocks);
}

static bool is_same_error(const struct arena_error *error, uint32_t kind, uint32_t release_stack,
                          uint32_t allocation_stack)
{
    return atomic_load_explicit(&error->kind, memory_order_acquire) == kind
           && error->release_stack == release_stack && error->allocation_stack == allocation_stack;
}

void track_defect(struct thread *thread, uint32_t kind, uintptr_t address, uint32_t released_as,
                  const struct live_block *block, const struct capture_origin *origin)
{
    struct arena_process *process = process_cold.process;
    uint32_t release_stack = capture_stack(thread->capture, origin);
    uint32_t allocation_stack = block == NULL ? 0 : block->stack;
    uint32_t known = atomic_load_explicit(&process->error_count, memory_order_acquire);
    for (uint32_t i = 0; i < known && i < ARENA_ERRORS_MAX; i++) {
        if (is_same_error(&process->errors[i], kind, release_stack, allocation_stack)) {
            atomic_fetch_add_explicit(&process->errors[i].count, 1, memory_order_relaxed);
            return;
        }
    }
    uint32_t index = atomic_fetch_add_explicit(&process->error_count, 1, memory_order_relaxed);
    if (index >= ARENA_ERRORS_MAX) {
        atomic_store_explicit(&process->error_count, ARENA_ERRORS_MAX, memory_order_relaxed);
        atomic_fetch_add_explicit(&process->errors_beyond_table, 1, memory_order_relaxed);
        return;
    }
    struct arena_error *error = &process->errors[index];
    error->release_stack = release_stack;
    error->allocation_stack = allocation_stack;
    error->allocated_as = block == NULL ? 0 : (uint8_t)block->family;
    error->released_as = (uint8_t)released_as;
    error->address = address;
    atomic_store_explicit(&error->count, 1, memory_order_relaxed);
    atomic_store_explicit(&error->kind, kind, memory_order_release);
}

void track_unknown_release(struct thread *thread, uintptr_t address, uint32_t released_as,
                           const struct capture_origin *origin)
{
    if (process_hot.sample_bytes != 0) {
        return;
    }
    uint64_t record;
    struct live_block block;
    if (live_map_find(address, true, &record) != NULL) {
        live_record_unpack(address, record, &block);
        track_defect(thread, ARENA_ERROR_DOUBLE_FREE, address, released_as, &block, origin);
        return;
    }
    if (atomic_load_explicit(&process_cold.has_dropped, memory_order_relaxed)) {
        return; /* as likely a block whose record found no room */
    }
    track_defect(thread, ARENA_ERROR_INVALID_FREE, address, released_as, NULL, origin);
}
