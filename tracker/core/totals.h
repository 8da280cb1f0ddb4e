/*
 * core/totals.h - the process's live bytes, its peak, and the extremes of each tick.
 *
 * With one thread the total is a plain sum that follows every event, so that the peak is
 * exact to the byte. With more, each thread keeps its part back until it exceeds a batch
 * of 1/1024 of the peak divided by the number of threads (at least TOTALS_BATCH_BYTES_MIN),
 * which bounds the error of the peak to about 0.1 %. From the first mark on nothing is kept
 * back: budgets of tests are small.
 *
 * Lazy peak capture: peak_number rises with every new maximum; totals_keep_peak() is
 * called before a site's counters change and keeps the site's value of the last maximum.
 * It gives the composition of the peak without ever copying the counters.
 *
 * With one thread a maximum is noted when it is left: by the first release after it, or when
 * a tick ends. A heap that grows is therefore not followed step by step; who reads the arena
 * takes a total above the noted peak for the peak (arena/layout.h). An event goes:
 *   totals_open(), totals_keep_peak(), the site's counters, totals_add()
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

/* Adds the thread's unpublished part to the process's total, and notes what that is now. */
void totals_publish(struct thread *thread);

/* Sets the total of a new process that begins with inherited blocks. */
void totals_begin(struct arena_process *process, int64_t bytes, int64_t blocks);

/* The total is, or was until now, this: for the extremes of the tick, and the peak. */
void totals_note(struct arena_process *process, int64_t bytes, int64_t blocks);

/* The arena's clock. */
static inline uint32_t totals_tick(void)
{
    if (__builtin_expect(process_hot.is_own_clock != 0, 0)) {
        own_arena_tick();
    }
    return atomic_load_explicit(&process_cold.arena.header->clock_ticks, memory_order_relaxed);
}

/* The clock that births are read off: ahead of the arena's by the number of marks. */
static inline uint32_t totals_birth_at(uint32_t tick)
{
    return tick + atomic_load_explicit(&process_hot.tick_offset, memory_order_relaxed);
}

static inline uint32_t totals_birth_clock(void)
{
    return totals_birth_at(totals_tick());
}

static inline bool totals_are_shared(void)
{
    return __builtin_expect(
        atomic_load_explicit(&process_hot.is_shared, memory_order_relaxed) != 0, 0);
}

/* Notes the present total; single thread. */
void totals_note_present(struct arena_process *process);

/* Begins an event: where the total is about to fall from a maximum, or a tick began, that is
 * noted. Out of line, because a program in its steady state rarely does either. */
static inline void totals_open(struct arena_process *process, bool is_shared, bool is_fall,
                               uint32_t tick)
{
    if (!is_shared
        && __builtin_expect(process->window_tick != tick
                                || (is_fall
                                    && atomic_load_explicit(&process->shared_live_bytes,
                                                            memory_order_relaxed)
                                           > process->window_high),
                            0)) {
        totals_note_present(process);
    }
}

/* Adds to a word that this thread alone writes: one instruction, where a load and a store of
 * an atomic are three. */
static inline void totals_word_add(_Atomic int64_t *word, int64_t value)
{
    __asm__ volatile("addq %1, %0" : "+m"(*word) : "er"(value));
}

static inline void totals_add(struct thread *thread, struct arena_process *process, bool is_shared,
                              int64_t bytes, int64_t blocks)
{
    if (__builtin_expect(!is_shared, 1)) {
        totals_word_add(&process->shared_live_blocks, blocks);
        totals_word_add(&process->shared_live_bytes, bytes);
        if (blocks < 0
            && __builtin_expect(atomic_load_explicit(&process->shared_live_bytes,
                                                     memory_order_relaxed)
                                    < process->window_low,
                                0)) {
            totals_note_present(process);
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
static inline void totals_keep_peak(const struct arena_process *process, struct arena_site *site)
{
    uint32_t number = atomic_load_explicit(&process->peak_number, memory_order_relaxed);
    if (site->peak_number != number) {
        site->peak_bytes = (int64_t)(site->allocated_bytes - site->freed_bytes);
        site->peak_blocks = (int64_t)(site->allocations - site->frees);
        site->peak_number = number;
    }
}

#endif
