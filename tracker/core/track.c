#include "core/track.h"

#include "arena/clock.h"

/* In ticks of the first length, whatever the present one is; 0 below one. */
static uint64_t lifetime_ticks(uint32_t birth_tick, uint32_t now)
{
    if (now <= CLOCK_FIRST_TICKS) {
        return now > birth_tick ? now - birth_tick : 0;
    }
    uint32_t tick_ns = process_cold.arena.header->tick_ns;
    uint64_t birth_ns = clock_ticks_to_ns(birth_tick, tick_ns);
    uint64_t now_ns = clock_ticks_to_ns(now, tick_ns);
    return now_ns <= birth_ns || tick_ns == 0 ? 0 : (now_ns - birth_ns) / tick_ns;
}

void track_lifetime(struct thread *thread, uint32_t stack, uint32_t birth_tick, uint32_t now)
{
    uint64_t ticks = lifetime_ticks(birth_tick, now);
    if (ticks == 0) {
        return;
    }
    struct arena_lifetimes *lifetimes = thread_lifetimes(thread, stack);
    if (lifetimes == NULL) {
        return; /* counted as a lifetime below a tick */
    }
    unsigned bucket = 63u - (unsigned)__builtin_clzll(ticks);
    if (bucket >= ARENA_LIFETIME_BUCKETS) {
        bucket = ARENA_LIFETIME_BUCKETS - 1;
    }
    lifetimes->bucket[bucket]++;
}

/* ---- sampling -------------------------------------------------------------- */

static struct arena_sample_site *sample_site(struct thread *thread, uint32_t stack)
{
    struct arena_sample_site *chunk =
        arena_chunk_get(&process_cold.arena, thread->table->sample_chunk,
                        stack / ARENA_SITES_PER_CHUNK,
                        ARENA_SITES_PER_CHUNK * sizeof(struct arena_sample_site));
    return chunk == NULL ? NULL : &chunk[stack % ARENA_SITES_PER_CHUNK];
}

/* Adds what the block stands for to what its site and the total are about to count. */
static struct sampler_weight sampled_in(struct thread *thread, const struct live_block *block)
{
    struct sampler_weight weight = sampler_weigh(block->size_bytes, process_hot.sample_bytes);
    struct arena_sample_site *sample = sample_site(thread, block->stack);
    if (sample != NULL) {
        sample->sampled_allocations++;
        sample->allocated_count_variance += weight.count_variance;
        sample->allocated_bytes_variance += weight.bytes_variance;
    }
    return weight;
}

static struct sampler_weight sampled_out(struct thread *thread, const struct live_block *block)
{
    struct sampler_weight weight = sampler_weigh(block->size_bytes, process_hot.sample_bytes);
    struct arena_sample_site *sample = sample_site(thread, block->stack);
    if (sample != NULL) {
        sample->sampled_frees++;
        sample->freed_count_variance += weight.count_variance;
        sample->freed_bytes_variance += weight.bytes_variance;
    }
    return weight;
}

/* ---- blocks in and out ----------------------------------------------------- */

void track_count_in(struct thread *thread, struct arena_site *site, uintptr_t address,
                    const struct live_block *block)
{
    struct arena_process *process = thread->process;
    bool is_shared = totals_are_shared();
    totals_open(process, is_shared, false, totals_tick());
    if (process_hot.sample_bytes == 0) {
        track_site_in(thread, process, site, address, block->size_bytes);
        totals_add(thread, process, is_shared, (int64_t)block->size_bytes, 1);
        return;
    }
    struct sampler_weight weight = sampled_in(thread, block);
    totals_keep_peak(process, site);
    thread->last_allocated = address;
    site->allocations += (uint64_t)weight.blocks;
    site->allocated_bytes += (uint64_t)weight.bytes;
    totals_add(thread, process, is_shared, weight.bytes, weight.blocks);
}

void track_block_in(struct thread *thread, uintptr_t address, const struct live_block *block)
{
    struct arena_site *site = thread_site(thread, block->stack);
    if (site == NULL || !live_map_insert(address, block, totals_are_shared())) {
        process_drop_event();
        return;
    }
    track_count_in(thread, site, address, block);
}

void track_block_out(struct thread *thread, uintptr_t address, const struct live_block *block)
{
    struct arena_process *process = thread->process;
    struct arena_site *site = thread_site(thread, block->stack);
    if (site == NULL) {
        process_drop_event();
        return;
    }
    bool is_shared = totals_are_shared();
    uint32_t tick = totals_tick();
    uint32_t now = totals_birth_at(tick);
    totals_open(process, is_shared, true, tick);
    if (block->birth_tick != now) {
        track_lifetime(thread, block->stack, block->birth_tick, now);
    }
    if (process_hot.sample_bytes == 0) {
        track_site_out(thread, process, site, address, block->size_bytes);
        totals_add(thread, process, is_shared, -(int64_t)block->size_bytes, -1);
        return;
    }
    struct sampler_weight weight = sampled_out(thread, block);
    totals_keep_peak(process, site);
    site->frees += (uint64_t)weight.blocks;
    site->freed_bytes += (uint64_t)weight.bytes;
    if (thread->last_allocated == address) {
        thread->last_allocated = 0;
        site->temporaries += (uint64_t)weight.blocks;
    }
    totals_add(thread, process, is_shared, -weight.bytes, -weight.blocks);
}

/* ---- events ---------------------------------------------------------------- */

/* The thread is paused: known to the map all the same, so that its release is no defect. */
static void paused_in(struct thread *thread, uintptr_t address, size_t size_bytes)
{
    struct live_block block = {.size_bytes = size_bytes,
                               .birth_tick = totals_birth_clock(),
                               .family = ARENA_FAMILY_IGNORED};
    live_map_insert(address, &block, true);
    thread->last_allocated = 0;
}

void track_allocation(struct thread *thread, const void *address, size_t size_bytes,
                      uint32_t family, const struct capture_origin *origin)
{
    if ((thread->gate & THREAD_PAUSED) != 0) {
        paused_in(thread, (uintptr_t)address, size_bytes);
        return;
    }
    if ((thread->gate & THREAD_SAMPLED) != 0 && !sampler_take(thread, size_bytes)) {
        return;
    }
    struct live_block block = {.size_bytes = size_bytes,
                               .stack = capture_stack(thread->capture, origin),
                               .birth_tick = totals_birth_clock(),
                               .family = family};
    track_block_in(thread, (uintptr_t)address, &block);
}

uint32_t track_release(struct thread *thread, const void *address, uint32_t family,
                       const struct capture_origin *origin)
{
    struct live_block block;
    if (!live_map_remove((uintptr_t)address, &block)) {
        if (process_hot.sample_bytes == 0) { /* else most blocks are unknown */
            track_unknown_release(thread, (uintptr_t)address, family, origin);
        }
        return 0;
    }
    if (block.family != family) {
        if (block.family == ARENA_FAMILY_IGNORED) {
            return block.stack;
        }
        track_defect(thread, ARENA_ERROR_MISMATCHED_FREE, (uintptr_t)address, family, &block,
                     origin);
    }
    track_block_out(thread, (uintptr_t)address, &block);
    return block.stack;
}

/* ---- defects --------------------------------------------------------------- */

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
