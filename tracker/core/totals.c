#include "core/totals.h"

#include "core/live_map.h"

/* A smaller heap is not worth a look at how it grows. */
#define GROWTH_BYTES_MIN (8 << 20)

/* Without other threads. */
static inline void peak_set(struct arena_process *process, int64_t bytes, int64_t blocks,
                            uint32_t tick)
{
    uint32_t number = atomic_load_explicit(&process->peak_number, memory_order_relaxed);
    atomic_store_explicit(&process->peak_bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&process->peak_number, number + 1, memory_order_relaxed);
    atomic_store_explicit(&process->peak_blocks, blocks, memory_order_relaxed);
    atomic_store_explicit(&process->peak_tick, tick, memory_order_relaxed);
}

static void peak_reached(struct arena_process *process, int64_t bytes, int64_t blocks,
                         uint32_t tick)
{
    if (!totals_are_shared()) {
        peak_set(process, bytes, blocks, tick);
        return;
    }
    int64_t peak = atomic_load_explicit(&process->peak_bytes, memory_order_relaxed);
    do {
        if (bytes <= peak) {
            return; /* another thread reported a higher one */
        }
    } while (!atomic_compare_exchange_weak_explicit(&process->peak_bytes, &peak, bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    atomic_fetch_add_explicit(&process->peak_number, 1, memory_order_relaxed);
    atomic_store_explicit(&process->peak_blocks, blocks, memory_order_relaxed);
    atomic_store_explicit(&process->peak_tick, tick, memory_order_relaxed);
}

/* Begins the extremes of a tick. What the total rose to since it was noted last belongs to
 * the tick before too. */
static void window_begin(struct arena_process *process, struct arena_window *window, uint32_t tick,
                         int64_t bytes)
{
    struct arena_window *before = &process->windows[process->window_tick % ARENA_WINDOWS];
    if (atomic_load_explicit(&before->tick, memory_order_relaxed) == process->window_tick
        && bytes > before->max_bytes) {
        before->max_bytes = bytes;
    }
    window->max_bytes = bytes;
    window->min_bytes = bytes;
    atomic_store_explicit(&window->tick, tick, memory_order_release);
}

void totals_note(struct arena_process *process, int64_t bytes, int64_t blocks)
{
    uint32_t tick = totals_tick();
    struct arena_window *window = &process->windows[tick % ARENA_WINDOWS];
    bool is_new = atomic_load_explicit(&window->tick, memory_order_relaxed) != tick;
    if (is_new) {
        window_begin(process, window, tick, bytes);
    } else if (bytes > window->max_bytes) {
        window->max_bytes = bytes;
    } else if (bytes < window->min_bytes) {
        window->min_bytes = bytes;
    }
    if (bytes > atomic_load_explicit(&process_hot.mark_peak_bytes, memory_order_relaxed)) {
        atomic_store_explicit(&process_hot.mark_peak_bytes, bytes, memory_order_relaxed);
    }
    if (bytes > atomic_load_explicit(&process->peak_bytes, memory_order_relaxed)) {
        /* The first event of a tick notes what the last one of an earlier tick left. */
        peak_reached(process, bytes, blocks, is_new ? process->window_tick : tick);
    }
    process->window_tick = tick;
    process->window_low = window->min_bytes;
    process->window_high = window->max_bytes;
    if (is_new) {
        if (bytes >= GROWTH_BYTES_MIN && thread_self != NULL) {
            live_map_expect_growth(thread_self->last_allocated);
        }
        process_answer_allocator();
    }
}

/* The same within a tick that has begun, without other threads: a growing program leaves a
 * maximum with each block that it releases. */
static void note_quickly(struct arena_process *process, int64_t bytes, int64_t blocks)
{
    struct arena_window *window = &process->windows[process->window_tick % ARENA_WINDOWS];
    if (bytes < process->window_low) {
        process->window_low = bytes;
        window->min_bytes = bytes;
    }
    if (bytes <= process->window_high) {
        return;
    }
    process->window_high = bytes;
    window->max_bytes = bytes;
    if (bytes > atomic_load_explicit(&process_hot.mark_peak_bytes, memory_order_relaxed)) {
        atomic_store_explicit(&process_hot.mark_peak_bytes, bytes, memory_order_relaxed);
    }
    if (bytes > atomic_load_explicit(&process->peak_bytes, memory_order_relaxed)) {
        peak_set(process, bytes, blocks, process->window_tick);
    }
}

void totals_note_present(struct arena_process *process)
{
    int64_t bytes = atomic_load_explicit(&process->shared_live_bytes, memory_order_relaxed);
    int64_t blocks = atomic_load_explicit(&process->shared_live_blocks, memory_order_relaxed);
    if (process->window_tick == totals_tick()) {
        note_quickly(process, bytes, blocks);
    } else {
        totals_note(process, bytes, blocks);
    }
}

/* Of a process with one thread, or of a thread with nothing to publish. */
static void publish_nothing(struct arena_process *process)
{
    if (process_hot.is_tracking != 0 && !totals_are_shared()) {
        totals_note_present(process);
    }
}

/* How much a thread may keep back. */
static int64_t batch_choose(const struct arena_process *process)
{
    if (atomic_load_explicit(&process_hot.tick_offset, memory_order_relaxed) != 0) {
        return 0; /* who marks wants peaks to the byte */
    }
    uint32_t threads = atomic_load_explicit(&thread_running_count, memory_order_relaxed);
    int64_t batch = atomic_load_explicit(&process->peak_bytes, memory_order_relaxed)
                    / (1024 * (int64_t)(threads == 0 ? 1 : threads));
    return batch < TOTALS_BATCH_BYTES_MIN ? TOTALS_BATCH_BYTES_MIN : batch;
}

void totals_publish(struct thread *thread)
{
    struct arena_process *process = process_cold.process;
    int64_t bytes = thread->unpublished_bytes;
    int64_t blocks = thread->unpublished_blocks;
    thread->unpublished_bytes = 0;
    thread->unpublished_blocks = 0;
    if (process_hot.is_tracking == 0 || (bytes == 0 && blocks == 0)) {
        publish_nothing(process);
        return;
    }
    int64_t before =
        atomic_fetch_add_explicit(&process->shared_live_bytes, bytes, memory_order_relaxed);
    int64_t count =
        atomic_fetch_add_explicit(&process->shared_live_blocks, blocks, memory_order_relaxed);
    bool is_new = process->window_tick != totals_tick();
    if (is_new) {
        totals_note(process, before, count);
    }
    if (before + bytes > process->window_high || before + bytes < process->window_low) {
        totals_note(process, before + bytes, count + blocks);
    } else if (!is_new && thread->batch_bytes != 0
               && atomic_load_explicit(&process_hot.tick_offset, memory_order_relaxed) == 0) {
        return; /* nothing that the batch depends on has changed, or will have at the next tick */
    }
    thread->batch_bytes = batch_choose(process);
}

void totals_begin(struct arena_process *process, int64_t bytes, int64_t blocks)
{
    atomic_store_explicit(&process->shared_live_bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&process->shared_live_blocks, blocks, memory_order_relaxed);
    totals_note(process, bytes, blocks);
}
