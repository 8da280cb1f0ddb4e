#include "core/totals.h"

void totals_note_extreme(struct arena_process *process, int64_t before, int64_t after,
                         int64_t blocks)
{
    uint32_t tick = totals_tick();
    struct arena_window *window = &process->windows[tick % ARENA_WINDOWS];
    bool is_new = atomic_load_explicit(&window->tick, memory_order_relaxed) != tick;
    if (is_new) {
        window->max_bytes = before;
        window->min_bytes = before;
        atomic_store_explicit(&window->tick, tick, memory_order_release);
    }
    if (after > window->max_bytes) {
        window->max_bytes = after;
        if (after > atomic_load_explicit(&process_hot.mark_peak_bytes, memory_order_relaxed)) {
            atomic_store_explicit(&process_hot.mark_peak_bytes, after, memory_order_relaxed);
        }
        if (after > atomic_load_explicit(&process->peak_bytes, memory_order_relaxed)) {
            totals_peak_reached(process, after, blocks);
        }
    } else if (after < window->min_bytes) {
        window->min_bytes = after;
    }
    process->window_tick = tick;
    process->window_low = window->min_bytes;
    process->window_high = window->max_bytes;
    if (is_new) {
        process_answer_allocator();
    }
}

void totals_peak_reached(struct arena_process *process, int64_t bytes, int64_t blocks)
{
    if (atomic_load_explicit(&process_hot.is_shared, memory_order_relaxed) != 0) {
        int64_t peak = atomic_load_explicit(&process->peak_bytes, memory_order_relaxed);
        do {
            if (bytes <= peak) {
                return; /* another thread reported a higher one */
            }
        } while (!atomic_compare_exchange_weak_explicit(
            &process->peak_bytes, &peak, bytes, memory_order_relaxed, memory_order_relaxed));
        atomic_fetch_add_explicit(&process->peak_number, 1, memory_order_relaxed);
    } else {
        atomic_store_explicit(&process->peak_bytes, bytes, memory_order_relaxed);
        atomic_store_explicit(
            &process->peak_number,
            atomic_load_explicit(&process->peak_number, memory_order_relaxed) + 1,
            memory_order_relaxed);
    }
    atomic_store_explicit(&process->peak_blocks, blocks, memory_order_relaxed);
    atomic_store_explicit(&process->peak_tick, totals_tick(), memory_order_relaxed);
}

void totals_publish(struct thread *thread)
{
    struct arena_process *process = process_cold.process;
    int64_t bytes = thread->unpublished_bytes;
    int64_t blocks = thread->unpublished_blocks;
    thread->unpublished_bytes = 0;
    thread->unpublished_blocks = 0;
    if (process_hot.is_tracking == 0 || (bytes == 0 && blocks == 0)) {
        return;
    }
    int64_t before =
        atomic_fetch_add_explicit(&process->shared_live_bytes, bytes, memory_order_relaxed);
    int64_t count =
        atomic_fetch_add_explicit(&process->shared_live_blocks, blocks, memory_order_relaxed)
        + blocks;
    totals_note_extreme(process, before, before + bytes, count);
    uint32_t threads = atomic_load_explicit(&thread_running_count, memory_order_relaxed);
    int64_t batch = atomic_load_explicit(&process->peak_bytes, memory_order_relaxed)
                    / (1024 * (int64_t)(threads == 0 ? 1 : threads));
    thread->batch_bytes = batch < TOTALS_BATCH_BYTES_MIN ? TOTALS_BATCH_BYTES_MIN : batch;
}

void totals_begin(struct arena_process *process, int64_t bytes, int64_t blocks)
{
    atomic_store_explicit(&process->shared_live_bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&process->shared_live_blocks, blocks, memory_order_relaxed);
    totals_note_extreme(process, bytes, bytes, blocks);
    if (bytes > 0) {
        totals_peak_reached(process, bytes, blocks);
    }
}
