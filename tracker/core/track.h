/*
 * core/track.h - what an event does: the path of every malloc and free.
 *
 *   allocation: stack id -> the site's counters -> the live map -> the total
 *   release:    the live map -> the site's counters -> the total
 *
 * Context: inside the tracked program. No system call, lock or libc function unless a
 *          table has to grow.
 * Threads: the calling thread's own record, plus the structures of its parts.
 */
#ifndef MEMTRACK_CORE_TRACK_H
#define MEMTRACK_CORE_TRACK_H

#include "core/live_map.h"
#include "core/sampler.h"
#include "core/totals.h"

/* Slow paths, out of line. */

/* The thread is paused, or the run samples. Returns whether to record the block. */
bool track_unusual(struct thread *thread, const void *address, size_t size_bytes);
void track_defect(struct thread *thread, uint32_t kind, uintptr_t address, uint32_t released_as,
                  const struct live_block *block, const struct capture_origin *origin);
void track_unknown_release(struct thread *thread, uintptr_t address, uint32_t released_as,
                           const struct capture_origin *origin);
void track_sampled_in(struct thread *thread, struct arena_site *site,
                      const struct live_block *block);
void track_sampled_out(struct thread *thread, struct arena_site *site, bool is_temporary,
                       const struct live_block *block);
void track_lifetime(struct thread *thread, uint32_t stack, uint32_t birth_tick, uint32_t now);

/* Counts a block in: the site's line and the total. */
static inline void track_count_in(struct thread *thread, struct arena_site *site,
                                  uintptr_t address, const struct live_block *block)
{
    totals_keep_peak(site);
    thread->last_allocated = address;
    if (__builtin_expect(process_hot.sample_bytes != 0, 0)) {
        track_sampled_in(thread, site, block);
        return;
    }
    site->allocations++;
    site->allocated_bytes += block->size_bytes;
    totals_add(thread, (int64_t)block->size_bytes, 1);
}

/* Counts a block in and puts it on the map. */
static inline void track_block_in(struct thread *thread, uintptr_t address,
                                  const struct live_block *block)
{
    struct arena_site *site = thread_site(thread, block->stack);
    if (__builtin_expect(site == NULL, 0)) {
        process_drop_event();
        return;
    }
    if (__builtin_expect(!live_map_insert(address, block,
                                          atomic_load_explicit(&process_hot.is_shared,
                                                               memory_order_relaxed)
                                              != 0),
                         0)) {
        process_drop_event();
        return;
    }
    track_count_in(thread, site, address, block);
}

/* Counts a block out that was just taken off the map. */
static inline void track_block_out(struct thread *thread, uintptr_t address,
                                   const struct live_block *block)
{
    struct arena_site *site = thread_site(thread, block->stack);
    if (__builtin_expect(site == NULL, 0)) {
        process_drop_event();
        return;
    }
    totals_keep_peak(site);
    bool is_temporary = thread->last_allocated == address;
    if (is_temporary) {
        thread->last_allocated = 0;
    }
    uint32_t now = totals_birth_clock();
    if (__builtin_expect(block->birth_tick != now, 0)) {
        track_lifetime(thread, block->stack, block->birth_tick, now);
    }
    if (__builtin_expect(process_hot.sample_bytes != 0, 0)) {
        track_sampled_out(thread, site, is_temporary, block);
        return;
    }
    site->frees++;
    site->freed_bytes += block->size_bytes;
    site->temporaries += is_temporary;
    totals_add(thread, -(int64_t)block->size_bytes, -1);
}

/* After the allocator gave out [address, address + size_bytes). */
static inline void track_allocation(struct thread *thread, const void *address, size_t size_bytes,
                                    uint32_t family, const struct capture_origin *origin)
{
    if (__builtin_expect(thread->is_unusual, 0)) {
        if (!track_unusual(thread, address, size_bytes)) {
            return;
        }
    }
    struct live_block block = {.size_bytes = size_bytes,
                               .stack = capture_stack(thread->capture, origin),
                               .birth_tick = totals_birth_clock(),
                               .family = family};
    track_block_in(thread, (uintptr_t)address, &block);
}

/* Before the block goes back to the allocator. Returns the stack that allocated it, 0 when
 * that is not known. */
static inline uint32_t track_release(struct thread *thread, const void *address, uint32_t family,
                                 const struct capture_origin *origin)
{
    struct live_block block;
    if (__builtin_expect(!live_map_remove((uintptr_t)address, &block), 0)) {
        if (process_hot.sample_bytes != 0) {
            return 0; /* most blocks are unknown */
        }
        track_unknown_release(thread, (uintptr_t)address, family, origin);
        return 0;
    }
    if (__builtin_expect(block.family != family, 0)) {
        if (block.family == ARENA_FAMILY_IGNORED) {
            return block.stack;
        }
        track_defect(thread, ARENA_ERROR_MISMATCHED_FREE, (uintptr_t)address, family, &block,
                     origin);
    }
    track_block_out(thread, (uintptr_t)address, &block);
    return block.stack;
}

#endif
