/*
 * core/totals.h - the process's live bytes, its peak, and the extremes of each tick.
 *
 * With one thread the total is a plain sum that follows every event, so that the peak is
 * exact to the byte. With more, each thread keeps its part back until it exceeds a batch
 * of 1/1024 of the peak divided by the number of threads (at least TOTALS_BATCH_BYTES_MIN),
 * which bounds the error of the peak to about 0.1 %.
 *
 * Lazy peak capture: peak_number rises with every new maximum; totals_keep_peak() is
 * called before a site's counters change and keeps the site's value of the last maximum.
 * It gives the composition of the peak without ever copying the counters.
 *
 * When a second thread begins to allocate while the first is in the middle of an event
 * (only possible for threads that were not made by pthread_create), that event's bytes may
 * be lost from the running total, never from the sites.
 *
 * Context: inside the tracked program, async-signal-safe.
 */
#ifndef MEMTRACK_CORE_TOTALS_H
#define MEMTRACK_CORE_TOTALS_H

#include "core/own_arena.h"
#include "core/thread.h"

#define TOTALS_BATCH_BYTES_MIN 1024

/* Adds the thread's unpublished part to the process's total. */
void totals_publish(struct thread *thread);

/* Sets the total of a new process that begins with inherited blocks. */
void totals_begin(struct arena_process *process, int64_t bytes, int64_t blocks);

void totals_peak_reached(struct arena_process *process, int64_t bytes, int64_t blocks);

/* The arena's clock. */
static inline uint32_t totals_tick(void)
{
    if (__builtin_expect(process_hot.is_own_clock != 0, 0)) {
        own_arena_tick();
    }
    return atomic_load_explicit(process_hot.clock_ticks, memory_order_relaxed);
}

/* The clock that births are read off: ahead of the arena's by the number of marks. */
static inline uint32_t totals_birth_clock(void)
{
    return totals_tick() + atomic_load_explicit(&process_hot.tick_offset, memory_order_relaxed);
}

/* Notes that the total left the extremes of this tick, or that a tick began: out of line,
 * because a program in its steady state rarely does either. */
void totals_note_extreme(struct arena_process *process, int64_t before, int64_t after,
                         int64_t blocks);

static inline void totals_add(struct thread *thread, int64_t bytes, int64_t blocks)
{
    struct arena_process *process = process_hot.process;
    if (__builtin_expect(
            atomic_load_explicit(&process_hot.is_shared, memory_order_relaxed) == 0, 1)) {
        int64_t before = atomic_load_explicit(&process->shared_live_bytes, memory_order_relaxed);
        int64_t count =
            atomic_load_explicit(&process->shared_live_blocks, memory_order_relaxed) + blocks;
        atomic_store_explicit(&process->shared_live_bytes, before + bytes, memory_order_relaxed);
        atomic_store_explicit(&process->shared_live_blocks, count, memory_order_relaxed);
        int64_t after = before + bytes;
        uint64_t range = (uint64_t)(process->window_high - process->window_low);
        if (__builtin_expect((uint64_t)(after - process->window_low) > range
                                 || process->window_tick != totals_tick(),
                             0)) {
            totals_note_extreme(process, before, after, count);
        }
        return;
    }
    thread->unpublished_bytes += bytes;
    thread->unpublished_blocks += blocks;
    if ((uint64_t)(thread->unpublished_bytes + thread->batch_bytes)
        > 2 * (uint64_t)thread->batch_bytes) {
        totals_publish(thread);
    }
}

/* Before a site's counters change: keep its share at the latest maximum. */
static inline void totals_keep_peak(struct arena_site *site)
{
    uint32_t number =
        atomic_load_explicit(&process_hot.process->peak_number, memory_order_relaxed);
    if (site->peak_number != number) {
        site->peak_bytes = (int64_t)(site->allocated_bytes - site->freed_bytes);
        site->peak_blocks = (int64_t)(site->allocations - site->frees);
        site->peak_number = number;
    }
}

#endif
