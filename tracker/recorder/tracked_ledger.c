/* The ledger of a tracked process: recorder/ledger.h, as rows of a snapshot. */
#include <poll.h>
#include <time.h>

#include "recorder/ledger.h"
#include "recorder/tracked.h"

#define LEDGER_GAP_NS UINT64_C(1000000000)
/* Not more often than 20 times in a run's age, nor for more than this part of the time. */
#define LEDGER_AGE_PART 20u
#define LEDGER_COST_PART 200u
/* A program that allocates answers within microseconds; one that does not is not waited for. */
#define LEDGER_WAIT_NS UINT64_C(5000000)
#define LEDGER_STEP_NS 500000
/* Older figures of the allocator still hold when live bytes changed by this part at most. */
#define LEDGER_CHANGE_PART 100

static uint64_t ledger_clock_ns(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int64_t live_bytes(const struct tracked *tracked)
{
    const struct site_sum *total = &tracked->sums.total;
    return (int64_t)(total->allocated_bytes - total->freed_bytes + total->inherited_bytes);
}

/* Asks for the allocator's figures and waits for a moment. Returns whether there are any that
 * hold now: a program that does nothing does not answer, but has not changed much either. */
static bool ledger_ask(struct tracked *tracked)
{
    int64_t live = live_bytes(tracked);
    struct arena_allocator_figures *figures = &tracked->shared->allocator_figures;
    /* Others may ask too: each request has a number of its own. */
    uint32_t number =
        atomic_fetch_add_explicit(&figures->requested, 1, memory_order_release) + 1;
    for (uint64_t waited = 0; waited < LEDGER_WAIT_NS; waited += LEDGER_STEP_NS) {
        if (atomic_load_explicit(&figures->answered, memory_order_acquire) == number) {
            tracked->figures_live_bytes = live;
            return true;
        }
        /* Readable when the process has ended: then nobody answers any more. */
        struct pollfd process = {.fd = tracked->pidfd, .events = POLLIN};
        const struct timespec step = {.tv_nsec = LEDGER_STEP_NS};
        if (ppoll(&process, 1, &step, NULL) > 0) {
            return false;
        }
    }
    int64_t change = live - tracked->figures_live_bytes;
    return tracked->figures_live_bytes > 0
           && (change < 0 ? -change : change) <= live / LEDGER_CHANGE_PART;
}

/* The items of this moment, as rows. */
static int ledger_write(const struct tracked *tracked, struct recording_writer *recording,
                        int64_t snapshot, const struct resident *resident, bool has_figures)
{
    struct arena_process *shared = tracked->shared;
    struct arena_allocator_figures *figures = &shared->allocator_figures;
    struct ledger_input input = {
        .resident = *resident,
        .live_bytes = live_bytes(tracked),
        .own_bytes = (int64_t)atomic_load_explicit(&shared->own_bytes, memory_order_relaxed),
        .has_figures = has_figures,
        .figures_allocated_bytes =
            (int64_t)atomic_load_explicit(&figures->allocated_bytes, memory_order_relaxed),
        .figures_active_bytes =
            (int64_t)atomic_load_explicit(&figures->active_bytes, memory_order_relaxed),
        .figures_resident_bytes =
            (int64_t)atomic_load_explicit(&figures->resident_bytes, memory_order_relaxed)};
    struct ledger_item items[LEDGER_ITEMS];
    int count = ledger_make(&input, items);
    int result = 0;
    for (int i = 0; i < count && result == 0; i++) {
        result = recording_writer_put_ledger(recording,
                                             &(struct recording_ledger){.snapshot = snapshot,
                                                                        .process = tracked->index,
                                                                        .item = items[i].name,
                                                                        .bytes = items[i].bytes});
    }
    return result;
}

int tracked_write_ledger(struct tracked *tracked, struct recording_writer *recording,
                         int64_t snapshot, uint64_t now_ns, bool is_deep)
{
    if (!tracked->is_alive || tracked->pidfd < 0
        || (now_ns < tracked->ledger_next_ns && !is_deep)) {
        return 0;
    }
    uint64_t before_ns = ledger_clock_ns();
    struct resident resident;
    bool has_figures = ledger_ask(tracked);
    if (ledger_read(tracked->pid, &resident) != 0 || resident.rss_bytes == 0) {
        tracked->ledger_next_ns = now_ns + LEDGER_GAP_NS;
        return 0; /* it ended, or may not be looked at */
    }
    uint64_t gap_ns = LEDGER_GAP_NS;
    uint64_t cost_ns = ledger_clock_ns() - before_ns;
    gap_ns = gap_ns > now_ns / LEDGER_AGE_PART ? gap_ns : now_ns / LEDGER_AGE_PART;
    gap_ns = gap_ns > cost_ns * LEDGER_COST_PART ? gap_ns : cost_ns * LEDGER_COST_PART;
    tracked->ledger_next_ns = now_ns + gap_ns;
    return ledger_write(tracked, recording, snapshot, &resident, has_figures);
}

int tracked_write_last_ledger(const struct tracked *tracked, struct recording_writer *recording)
{
    struct arena_ending *ending = &tracked->shared->ending;
    if (tracked->is_alive
        || atomic_load_explicit(&ending->has_resident, memory_order_acquire) == 0) {
        return 0;
    }
    return ledger_write(tracked, recording, RECORDING_LEDGER_AT_END, &ending->resident,
                        ending->has_figures != 0);
}
