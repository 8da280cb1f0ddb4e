#include "core/mark_peaks.h"

#include <stdbool.h>

#include "core/process.h"

#define STRETCHES_MAX 64u
#define LOCK_TRIES 1000000u

struct stretch {
    uint32_t tick; /* of the mark that began it */
    int64_t peak_bytes;
};

/* Protected by `is_locked`. */
static struct stretch stretches[STRETCHES_MAX];
static uint32_t stretch_count;
static uint32_t current_tick; /* of the latest mark; 0: none yet */
static _Atomic uint32_t is_locked;

static bool lock_take(void)
{
    for (uint32_t i = 0; i < LOCK_TRIES; i++) {
        if (atomic_exchange_explicit(&is_locked, 1, memory_order_acquire) == 0) {
            return true;
        }
    }
    return false;
}

static void lock_give(void)
{
    atomic_store_explicit(&is_locked, 0, memory_order_release);
}

static void stretch_end(int64_t peak_bytes)
{
    while (stretch_count > 0 && stretches[stretch_count - 1].peak_bytes <= peak_bytes) {
        stretch_count--;
    }
    if (stretch_count == STRETCHES_MAX) {
        stretches[1].peak_bytes = stretches[0].peak_bytes;
        for (uint32_t i = 1; i < STRETCHES_MAX; i++) {
            stretches[i - 1] = stretches[i];
        }
        stretch_count--;
    }
    stretches[stretch_count++] =
        (struct stretch){.tick = current_tick, .peak_bytes = peak_bytes};
}

void mark_peaks_begin(uint32_t tick, int64_t live_bytes)
{
    if (lock_take()) {
        if (current_tick != 0) {
            stretch_end(
                atomic_load_explicit(&process_hot.mark_peak_bytes, memory_order_relaxed));
        }
        current_tick = tick;
        lock_give();
    }
    atomic_store_explicit(&process_hot.mark_peak_bytes, live_bytes, memory_order_relaxed);
}

int64_t mark_peaks_since(uint32_t tick)
{
    int64_t peak_bytes =
        atomic_load_explicit(&process_hot.mark_peak_bytes, memory_order_relaxed);
    if (lock_take()) {
        for (uint32_t i = 0; i < stretch_count; i++) {
            if (stretches[i].tick >= tick) {
                if (stretches[i].peak_bytes > peak_bytes) {
                    peak_bytes = stretches[i].peak_bytes;
                }
                break;
            }
        }
        lock_give();
    }
    return peak_bytes;
}
