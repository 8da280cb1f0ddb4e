#include "recorder/tracked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arena/clock.h"

/* RSS and CPU time are read every 10 ms at first, less often while nothing changes and
 * once a process is older. */
#define PROCFS_GAP_MIN_NS UINT64_C(10000000)
#define PROCFS_GAP_OLD_NS UINT64_C(40000000)
#define PROCFS_GAP_MAX_NS UINT64_C(160000000)
#define PROCFS_OLD_NS UINT64_C(3000000000)
/* Summing up the counters may take this part of the time. */
#define COUNT_SHARE 400u
#define COUNT_GAP_OLD_NS UINT64_C(45000000)
#define FIGURES_GAP_NS UINT64_C(1000000000)

static uint64_t cpu_clock_ns(clockid_t clock)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/*
 * Whether the process that has this pid now is the one that the record speaks of: it
 * began after the arena was made and before it registered. A program in another pid
 * namespace tells a pid that means somebody else, or nobody, here.
 */
static bool is_same_process(const struct tracked *tracked, const struct arena_file *file)
{
    struct procfs_stat stat;
    if (!procfs_read_stat(&tracked->procfs, &stat)) {
        return false;
    }
    uint64_t now_boot_ns = cpu_clock_ns(CLOCK_BOOTTIME);
    uint64_t age_ns = now_boot_ns > stat.started_ns ? now_boot_ns - stat.started_ns : 0;
    uint64_t now_ns = arena_file_now_ns(file);
    const uint64_t grain_ns = UINT64_C(50000000);
    bool began_in_this_run =
        age_ns <= now_ns + grain_ns || tracked->start == ARENA_START_ATTACH;
    bool began_before_its_record = age_ns + grain_ns >= now_ns - tracked->started_ns;
    return began_in_this_run && began_before_its_record;
}

struct tracked *tracked_new(const struct arena_file *file, uint32_t index, uint64_t offset)
{
    struct arena_process *shared = arena_at(&file->arena, offset, sizeof *shared);
    struct tracked *tracked = shared == NULL ? NULL : calloc(1, sizeof *tracked);
    if (tracked == NULL) {
        return NULL;
    }
    uint64_t now_ns = arena_file_now_ns(file);
    uint64_t epoch_ns = file->arena.header->started_monotonic_ns;
    uint64_t started_ns = shared->started_monotonic_ns;
    *tracked = (struct tracked){.index = index,
                                .offset = offset,
                                .shared = shared,
                                .pid = shared->pid,
                                .parent_pid = shared->parent_pid,
                                .image = shared->image,
                                .start = shared->start,
                                .parent = RECORDING_UNKNOWN,
                                .is_alive = true,
                                .pidfd = -1,
                                .exit_status = RECORDING_UNKNOWN,
                                .signal = RECORDING_UNKNOWN,
                                .rss_bytes = RECORDING_UNKNOWN,
                                .peak_rss_bytes = RECORDING_UNKNOWN,
                                .user_ns = RECORDING_UNKNOWN,
                                .system_ns = RECORDING_UNKNOWN,
                                .minor_faults = RECORDING_UNKNOWN,
                                .major_faults = RECORDING_UNKNOWN,
                                .procfs_gap_ns = PROCFS_GAP_MIN_NS};
    tracked->started_ns = started_ns > epoch_ns ? started_ns - epoch_ns : 0;
    if (tracked->started_ns > now_ns) {
        tracked->started_ns = now_ns;
    }
    tracked->active_ns = now_ns;
    tracked->tick_polled = clock_ns_to_ticks(tracked->started_ns, CLOCK_TICK_NS);
    timeline_init(&tracked->timeline, tracked->started_ns);
    tracked->procfs.statm_fd = -1;
    tracked->procfs.stat_fd = -1;
    if (tracked->pid > 0) {
        procfs_open(&tracked->procfs, tracked->pid);
        if (is_same_process(tracked, file)) {
            tracked->pidfd = (int)syscall(SYS_pidfd_open, tracked->pid, 0);
        } else {
            procfs_close(&tracked->procfs);
        }
    }
    return tracked;
}

void tracked_free(struct tracked *tracked)
{
    if (tracked == NULL) {
        return;
    }
    if (tracked->pidfd >= 0) {
        close(tracked->pidfd);
    }
    procfs_close(&tracked->procfs);
    timeline_deinit(&tracked->timeline);
    site_sums_deinit(&tracked->sums);
    free(tracked->snapshot);
    free(tracked);
}

/* ---- looking at it -------------------------------------------------------- */

/* Folds the extremes of the ticks since the last look into [*min, *max]. Returns whether
 * there were any. */
static bool windows_fold(struct tracked *tracked, uint32_t tick_now, int64_t *min, int64_t *max)
{
    bool is_active = false;
    uint32_t first = tracked->tick_polled;
    if (tick_now - first >= ARENA_WINDOWS) {
        first = tick_now - ARENA_WINDOWS + 1;
    }
    for (uint32_t tick = first; tick <= tick_now; tick++) {
        struct arena_window *window = &tracked->shared->windows[tick % ARENA_WINDOWS];
        if (atomic_load_explicit(&window->tick, memory_order_acquire) != tick) {
            continue;
        }
        int64_t low = window->min_bytes;
        int64_t high = window->max_bytes;
        if (tick == 0 && low == 0 && high == 0) {
            continue; /* never used */
        }
        is_active = is_active || low != high;
        *min = low < *min ? low : *min;
        *max = high > *max ? high : *max;
    }
    tracked->tick_polled = tick_now;
    return is_active;
}

static void procfs_look(struct tracked *tracked, uint64_t now_ns)
{
    if (now_ns < tracked->procfs_next_ns) {
        return;
    }
    uint64_t rss_bytes;
    struct procfs_stat stat;
    bool has_changed = false;
    if (procfs_read_rss(&tracked->procfs, &rss_bytes) && rss_bytes > 0) {
        has_changed = tracked->rss_bytes != (int64_t)rss_bytes;
        tracked->rss_bytes = (int64_t)rss_bytes;
        if (tracked->peak_rss_bytes < tracked->rss_bytes) {
            tracked->peak_rss_bytes = tracked->rss_bytes;
        }
    }
    if (procfs_read_stat(&tracked->procfs, &stat)) {
        has_changed = has_changed || tracked->user_ns != (int64_t)stat.user_ns
                      || tracked->system_ns != (int64_t)stat.system_ns;
        tracked->user_ns = (int64_t)stat.user_ns;
        tracked->system_ns = (int64_t)stat.system_ns;
        tracked->minor_faults = (int64_t)stat.minor_faults;
        tracked->major_faults = (int64_t)stat.major_faults;
    }
    uint64_t least_ns = now_ns - tracked->started_ns > PROCFS_OLD_NS ? PROCFS_GAP_OLD_NS
                                                                     : PROCFS_GAP_MIN_NS;
    tracked->procfs_gap_ns = has_changed ? least_ns : tracked->procfs_gap_ns * 2;
    if (tracked->procfs_gap_ns > PROCFS_GAP_MAX_NS) {
        tracked->procfs_gap_ns = PROCFS_GAP_MAX_NS;
    }
    /* A little early rather than one tick late. */
    tracked->procfs_next_ns = now_ns + tracked->procfs_gap_ns - CLOCK_TICK_NS / 2;
}

static int64_t count_look(struct tracked *tracked, const struct arena_file *file, uint64_t now_ns)
{
    /* Nothing moved since the last reading: it still holds. */
    if (tracked->counted_ns > tracked->active_ns) {
        return (int64_t)tracked->sums.total.allocations;
    }
    if (now_ns < tracked->count_next_ns || tracked->is_in_use) {
        return TIMELINE_UNKNOWN;
    }
    uint64_t before_ns = cpu_clock_ns(CLOCK_THREAD_CPUTIME_ID);
    if (site_sums_read(file, tracked->offset, &tracked->sums) != 0) {
        return TIMELINE_UNKNOWN;
    }
    uint64_t gap_ns = (cpu_clock_ns(CLOCK_THREAD_CPUTIME_ID) - before_ns) * COUNT_SHARE;
    if (now_ns - tracked->started_ns > PROCFS_OLD_NS && gap_ns < COUNT_GAP_OLD_NS) {
        gap_ns = COUNT_GAP_OLD_NS;
    }
    tracked->count_next_ns = now_ns + gap_ns;
    tracked->counted_ns = now_ns;
    return (int64_t)tracked->sums.total.allocations;
}

/* The allocator's own figures: those that the program answered last, and a new request. */
static void figures_look(struct tracked *tracked, struct timeline_point *point, uint64_t now_ns)
{
    struct arena_allocator_figures *figures = &tracked->shared->allocator_figures;
    bool is_known = atomic_load_explicit(&figures->answered, memory_order_acquire) != 0;
    int64_t unknown = TIMELINE_UNKNOWN;
#define FIGURE(name) \
    (is_known ? (int64_t)atomic_load_explicit(&figures->name, memory_order_relaxed) : unknown)
    point->allocator_allocated_bytes = FIGURE(allocated_bytes);
    point->allocator_active_bytes = FIGURE(active_bytes);
    point->allocator_metadata_bytes = FIGURE(metadata_bytes);
    point->allocator_resident_bytes = FIGURE(resident_bytes);
    point->allocator_retained_bytes = FIGURE(retained_bytes);
#undef FIGURE
    if (now_ns >= tracked->figures_next_ns
        && strncmp(tracked->shared->allocator, "jemalloc", 8) == 0) {
        atomic_fetch_add_explicit(&figures->requested, 1, memory_order_release);
        tracked->figures_next_ns = now_ns + FIGURES_GAP_NS;
    }
}

/* Adds the point of this moment. Returns whether the process was active. */
static bool point_add(struct tracked *tracked, uint64_t now_ns, int64_t live_bytes,
                      int64_t live_blocks, int64_t allocations)
{
    struct timeline_point point = {.time_ns = now_ns,
                                   .live_bytes = live_bytes,
                                   .live_min_bytes = live_bytes,
                                   .live_max_bytes = live_bytes,
                                   .live_blocks = live_blocks,
                                   .rss_bytes = tracked->rss_bytes,
                                   .allocations = allocations,
                                   .cpu_ns = tracked->user_ns == RECORDING_UNKNOWN
                                                 ? TIMELINE_UNKNOWN
                                                 : tracked->user_ns + tracked->system_ns};
    figures_look(tracked, &point, now_ns);
    bool is_active = windows_fold(tracked, clock_ns_to_ticks(now_ns, CLOCK_TICK_NS),
                                  &point.live_min_bytes, &point.live_max_bytes);
    /* A new peak between two looks, even where its window has been used again. */
    int64_t peak = atomic_load_explicit(&tracked->shared->peak_bytes, memory_order_relaxed);
    peak = live_bytes > peak ? live_bytes : peak;
    if (peak > tracked->peak_polled_bytes) {
        tracked->peak_polled_bytes = peak;
        point.live_max_bytes = peak > point.live_max_bytes ? peak : point.live_max_bytes;
        is_active = true;
    }
    timeline_add(&tracked->timeline, &point);
    return is_active;
}

bool tracked_poll(struct tracked *tracked, const struct arena_file *file, uint64_t now_ns)
{
    procfs_look(tracked, now_ns);
    int64_t allocations = count_look(tracked, file, now_ns);
    return point_add(
        tracked, now_ns,
        atomic_load_explicit(&tracked->shared->shared_live_bytes, memory_order_relaxed),
        atomic_load_explicit(&tracked->shared->shared_live_blocks, memory_order_relaxed)
            / file->block_unit,
        allocations);
}

/* ---- its end -------------------------------------------------------------- */

/* struct pidfd_info and its ioctl, which older headers lack.
 * Source: Linux 6.15, include/uapi/linux/pidfd.h. */
struct exit_query {
    uint64_t mask;
    uint64_t cgroup_id;
    uint32_t ids[11];
    int32_t exit_code;
};
#define EXIT_QUERY_MASK (UINT64_C(1) << 3)
#define EXIT_QUERY_IOCTL _IOWR(0xFF, 11, struct exit_query)

/* How a process that is not our child ended: a zombie tells, and newer kernels do. */
static int wait_status_find(const struct tracked *tracked)
{
    struct procfs_stat stat;
    if (procfs_read_stat(&tracked->procfs, &stat) && stat.state == 'Z') {
        return stat.wait_status;
    }
    struct exit_query query = {.mask = EXIT_QUERY_MASK};
    if (tracked->pidfd >= 0 && ioctl(tracked->pidfd, EXIT_QUERY_IOCTL, &query) == 0
        && (query.mask & EXIT_QUERY_MASK) != 0) {
        return query.exit_code;
    }
    return -1;
}

/* A time as a process wrote it into shared memory: anything may stand there. */
static int64_t ending_plausible(int64_t cpu_ns)
{
    return cpu_ns >= 0 && cpu_ns < INT64_MAX / 4 ? cpu_ns : 0;
}

void tracked_end(struct tracked *tracked, const struct arena_file *file, uint64_t now_ns,
                 int wait_status)
{
    struct arena_process *shared = tracked->shared;
    if (!tracked->was_replaced) {
        tracked->procfs_next_ns = 0;
        procfs_look(tracked, now_ns);
        if (wait_status == -1) {
            wait_status = wait_status_find(tracked);
        }
        if (wait_status != -1 && WIFSIGNALED(wait_status)) {
            tracked->signal = WTERMSIG(wait_status);
        } else if (wait_status != -1 && WIFEXITED(wait_status)) {
            tracked->exit_status = WEXITSTATUS(wait_status);
        } else if (atomic_load_explicit(&shared->exited, memory_order_acquire) != 0) {
            tracked->exit_status = shared->exit_status & 0xff;
        }
    }
    if (atomic_load_explicit(&shared->ending.has_usage, memory_order_acquire) != 0) {
        tracked->user_ns = ending_plausible(shared->ending.user_ns);
        tracked->system_ns = ending_plausible(shared->ending.system_ns);
        tracked->peak_rss_bytes = shared->ending.peak_rss_bytes > 0
                                      ? shared->ending.peak_rss_bytes
                                      : tracked->peak_rss_bytes;
    }
    tracked->ended_ns = now_ns;
    tracked->is_alive = false;
    if (tracked->is_in_use) {
        /* Its last counters follow with the next transaction. */
    } else if (site_sums_read(file, tracked->offset, &tracked->sums) == 0) {
        const struct site_sum *total = &tracked->sums.total;
        /* Of one that is not watched this is a guess: it may live. */
        tracked->sums_are_last = tracked->pidfd >= 0 || tracked->was_replaced;
        point_add(tracked, now_ns,
                  (int64_t)(total->allocated_bytes - total->freed_bytes + total->inherited_bytes),
                  (int64_t)(total->allocations - total->frees + total->inherited_blocks),
                  (int64_t)total->allocations);
    }
    if (tracked->pidfd >= 0) {
        close(tracked->pidfd);
        tracked->pidfd = -1;
    }
    procfs_close(&tracked->procfs);
}
