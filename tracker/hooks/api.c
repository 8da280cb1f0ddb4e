/*
 * What include/memtrack/memtrack.h finds under MEMTRACK_API_NAME.
 *
 * These are called by the program on purpose, outside of the path of an event: they may
 * walk the live map and the thread tables.
 */
#include "memtrack/memtrack.h"

#include <time.h>

#include "census/census.h"
#include "core/announced.h"
#include "core/mark_peaks.h"
#include "core/raw_syscall.h"
#include "core/stack_table.h"
#include "hooks/hook.h"

#define FUTEX_WAIT_SHARED 0
/* Births have 21 bits. Later marks are a tick of the clock apart, so that what was allocated just
 * before one may seem to come after it. */
#define MARKS_MAX (1u << 20)
#define SNAPSHOT_TIMEOUT_S 2
#define LEAK_CHECK_WAIT_NS 1000000 /* between looks whether the scan is done */
#define LEAK_CHECK_SHORT_WAITS 100u /* the first ones: a tenth of it, small heaps are quick */
#define LEAK_CHECK_WAITS 10000u

/* A place of the table that counts sites since a mark; stack 0 is a site too. */
struct site_sum {
    uint64_t blocks;
    uint64_t bytes;
    uintptr_t an_address;
};

static bool api_is_tracking(void)
{
    struct thread *thread = thread_enter();
    if (thread == NULL) {
        return false;
    }
    thread_leave(thread);
    return true;
}

/* Waits until the recorder has answered the request. Returns 0 or -ETIMEDOUT. */
static int request_wait(struct arena_request *request)
{
    struct timespec timeout = {.tv_sec = SNAPSHOT_TIMEOUT_S};
    uint32_t state;
    while ((state = atomic_load_explicit(&request->state, memory_order_acquire)) != 2) {
        long result = raw_syscall6(SYS_futex, (long)&request->state, FUTEX_WAIT_SHARED,
                                   (long)state, (long)&timeout, 0, 0);
        if (result == -ETIMEDOUT) {
            return -ETIMEDOUT;
        }
    }
    return 0;
}

/* Claims a free request; NULL when all are in use. */
static struct arena_request *request_claim(uint32_t kind, const char *label)
{
    struct arena_process *process = process_cold.process;
    for (size_t i = 0; i < ARENA_REQUESTS; i++) {
        struct arena_request *request = &process->requests[i];
        uint32_t state = 0;
        if (!atomic_compare_exchange_strong_explicit(&request->state, &state, 3,
                                                     memory_order_acquire, memory_order_relaxed)) {
            continue;
        }
        request->kind = kind;
        request->site_count = 0;
        size_t length = 0;
        while (label != NULL && length < sizeof request->label - 1 && label[length] != '\0') {
            request->label[length] = label[length];
            length++;
        }
        request->label[length] = '\0';
        return request;
    }
    return NULL;
}

static int request_send(struct arena_request *request)
{
    atomic_store_explicit(&request->state, 1, memory_order_release);
    process_wake_recorder();
    int error = request_wait(request);
    atomic_store_explicit(&request->state, 0, memory_order_release);
    return error;
}

static int api_snapshot(const char *label)
{
    if (!api_is_tracking()) {
        return -ENOTSUP;
    }
    struct arena_request *request = request_claim(ARENA_REQUEST_SNAPSHOT, label);
    return request == NULL ? -EBUSY : request_send(request);
}

/* Sums a table's sites; exact for the calling thread's own, as of now for the others. */
static void table_add(const struct arena_thread *table, struct memtrack_totals *totals)
{
    for (uint32_t chunk = 0; chunk < ARENA_SITE_CHUNKS; chunk++) {
        uint64_t offset = atomic_load_explicit(&table->site_chunk[chunk], memory_order_acquire);
        const struct arena_site *sites = arena_at(
            &process_cold.arena, offset, ARENA_SITES_PER_CHUNK * sizeof(struct arena_site));
        for (uint32_t i = 0; sites != NULL && i < ARENA_SITES_PER_CHUNK; i++) {
            int64_t blocks = (int64_t)(sites[i].allocations - sites[i].frees);
            int64_t bytes = (int64_t)(sites[i].allocated_bytes - sites[i].freed_bytes);
            totals->live_blocks += blocks;
            totals->live_bytes += bytes;
            if (!table->is_inherited) {
                totals->allocations += sites[i].allocations;
                totals->allocated_bytes += sites[i].allocated_bytes;
                totals->frees += sites[i].frees;
                totals->freed_bytes += sites[i].freed_bytes;
                totals->temporary_allocations += sites[i].temporaries;
            }
        }
    }
}

static void api_totals(struct memtrack_totals *totals)
{
    *totals = (struct memtrack_totals){0};
    struct thread *thread = thread_enter();
    if (thread == NULL) {
        return;
    }
    struct arena_process *process = process_cold.process;
    totals_publish(thread); /* the peak may be now */
    uint64_t offset = atomic_load_explicit(&process->first_thread, memory_order_acquire);
    struct arena_thread *table;
    while ((table = arena_at(&process_cold.arena, offset, sizeof *table)) != NULL) {
        table_add(table, totals);
        offset = atomic_load_explicit(&table->next, memory_order_relaxed);
    }
    if (process_hot.sample_bytes != 0) {
        totals->allocations /= ARENA_SAMPLE_SCALE;
        totals->frees /= ARENA_SAMPLE_SCALE;
        totals->temporary_allocations /= ARENA_SAMPLE_SCALE;
        totals->live_blocks /= ARENA_SAMPLE_SCALE;
    }
    totals->peak_bytes = atomic_load_explicit(&process->peak_bytes, memory_order_relaxed);
    thread_leave(thread);
}

static void api_mark(struct memtrack_mark *mark)
{
    struct thread *thread = thread_enter();
    if (thread == NULL) {
        return;
    }
    totals_publish(thread);
    api_totals(&mark->totals);
    if (process_cold.mark_count < MARKS_MAX) {
        process_cold.mark_count =
            atomic_fetch_add_explicit(&process_hot.tick_offset, 1, memory_order_relaxed) + 1;
    }
    mark->tick = totals_birth_clock();
    mark_peaks_begin(mark->tick, mark->totals.live_bytes);
    /* A new maximum since the mark shows only where it exceeds the tick's. */
    struct arena_window *window =
        &process_cold.process->windows[totals_tick() % ARENA_WINDOWS];
    window->max_bytes = mark->totals.live_bytes;
    process_cold.process->window_high = mark->totals.live_bytes;
    thread->last_allocated = 0;
    mark->is_valid = true;
    thread_leave(thread);
}

struct usage_visit {
    const struct memtrack_mark *mark;
    struct memtrack_usage *usage;
    struct site_sum *sites;
};

static bool is_since(const struct memtrack_mark *mark, const struct live_block *block)
{
    return block->birth_tick >= mark->tick && block->family != ARENA_FAMILY_IGNORED;
}

static void usage_add(void *context, uintptr_t address, const struct live_block *block)
{
    (void)address;
    struct usage_visit *visit = context;
    if (is_since(visit->mark, block)) {
        visit->usage->live_blocks++;
        visit->usage->live_bytes += block->size_bytes;
    }
}

static void api_usage_since(const struct memtrack_mark *mark, struct memtrack_usage *usage)
{
    struct thread *thread = thread_enter();
    if (thread == NULL) {
        return;
    }
    totals_publish(thread);
    struct memtrack_totals now;
    api_totals(&now);
    usage->allocations = now.allocations - mark->totals.allocations;
    usage->allocated_bytes = now.allocated_bytes - mark->totals.allocated_bytes;
    usage->frees = now.frees - mark->totals.frees;
    usage->temporary_allocations =
        now.temporary_allocations - mark->totals.temporary_allocations;
    usage->peak_bytes = mark_peaks_since(mark->tick) - mark->totals.live_bytes;
    struct usage_visit visit = {.mark = mark, .usage = usage};
    live_map_visit_since(mark->tick, usage_add, &visit);
    usage->is_valid = true;
    thread_leave(thread);
}

static void site_add(void *context, uintptr_t address, const struct live_block *block)
{
    struct usage_visit *visit = context;
    if (is_since(visit->mark, block)) {
        struct site_sum *sum = &visit->sites[block->stack];
        sum->blocks++;
        sum->bytes += block->size_bytes;
        sum->an_address = address;
    }
}

/* Keeps sites[0..count) sorted by bytes, largest first. Returns the new count. */
static size_t site_insert(struct memtrack_site *sites, size_t count, size_t capacity,
                          const struct memtrack_site *site)
{
    size_t at = count;
    while (at > 0 && sites[at - 1].bytes < site->bytes) {
        at--;
    }
    if (at == capacity) {
        return count;
    }
    size_t last = count < capacity ? count : capacity - 1;
    for (size_t i = last; i > at; i--) {
        sites[i] = sites[i - 1];
    }
    sites[at] = *site;
    return last + 1;
}

static size_t api_sites_since(const struct memtrack_mark *mark, struct memtrack_site *sites,
                              size_t capacity)
{
    struct thread *thread = thread_enter();
    if (thread == NULL) {
        return 0;
    }
    uint32_t end = ARENA_STACKS_MAX;
    size_t table_bytes = end * sizeof(struct site_sum);
    struct usage_visit visit = {.mark = mark, .sites = raw_map_lazy(table_bytes)};
    size_t count = 0;
    if (visit.sites != NULL) {
        live_map_visit_since(mark->tick, site_add, &visit);
        end = stack_table_end(process_cold.image); /* ids beyond it are untouched pages */
        for (uint32_t stack = 0; stack < end; stack++) {
            const struct site_sum *sum = &visit.sites[stack];
            if (sum->blocks != 0) {
                struct memtrack_site site = {.blocks = sum->blocks,
                                             .bytes = sum->bytes,
                                             .stack = stack,
                                             .an_address = (const void *)sum->an_address};
                count = site_insert(sites, count, capacity, &site);
            }
        }
        raw_syscall3(SYS_munmap, (long)visit.sites, (long)table_bytes, 0);
    }
    thread_leave(thread);
    return count;
}

static int api_print_sites(const struct memtrack_site *sites, size_t count, const char *title)
{
    if (!api_is_tracking()) {
        return -ENOTSUP;
    }
    if (count > ARENA_REQUEST_SITES) {
        count = ARENA_REQUEST_SITES;
    }
    struct arena_request *request = request_claim(ARENA_REQUEST_PRINT, title);
    if (request == NULL) {
        return -EBUSY;
    }
    for (size_t i = 0; i < count; i++) {
        request->sites[i] = (struct arena_request_site){
            .blocks = sites[i].blocks, .bytes = sites[i].bytes, .stack = sites[i].stack};
    }
    request->site_count = (uint32_t)count;
    return request_send(request);
}

static int api_print_since(const struct memtrack_mark *mark, const char *title)
{
    struct memtrack_site sites[ARENA_REQUEST_SITES];
    return api_print_sites(sites, api_sites_since(mark, sites, ARENA_REQUEST_SITES), title);
}

static size_t api_stack(uint32_t stack, void **addresses, size_t capacity)
{
    if (!api_is_tracking()) {
        return 0;
    }
    _Static_assert(sizeof(void *) == sizeof(uint64_t), "addresses are 64 bits");
    return stack_table_read(&process_cold.arena, process_cold.image, stack,
                            (uint64_t *)(void *)addresses,
                            capacity > CAPTURE_DEPTH_LIMIT ? CAPTURE_DEPTH_LIMIT
                                                           : (uint32_t)capacity,
                            NULL, NULL);
}

static void api_pause(void)
{
    struct thread *thread = thread_enter();
    if (thread != NULL) {
        if ((thread->gate & THREAD_TRANSIENT) == 0) {
            thread->pauses++;
            thread->gate |= THREAD_PAUSED;
        }
        thread_leave(thread);
    }
}

static void api_resume(void)
{
    struct thread *thread = thread_enter();
    if (thread != NULL) {
        if ((thread->gate & THREAD_TRANSIENT) == 0 && thread->pauses > 0
            && --thread->pauses == 0) {
            thread->gate &= ~THREAD_PAUSED;
        }
        thread_leave(thread);
    }
}

static void api_ignore(const void *address)
{
    struct thread *thread = thread_enter();
    if (thread == NULL) {
        return;
    }
    struct live_block block;
    if (live_map_remove((uintptr_t)address, &block)) {
        if (block.family != ARENA_FAMILY_IGNORED) {
            track_block_out(thread, (uintptr_t)address, &block);
        }
        block.family = ARENA_FAMILY_IGNORED;
        live_map_insert((uintptr_t)address, &block, true);
    }
    thread_leave(thread);
}

/* Addresses of blocks, as many as there is room for. */
#define IGNORED_AT_ONCE 4096u
struct ignored_visit {
    const struct memtrack_mark *mark;
    uintptr_t *addresses;
    size_t count;
};

static void ignored_add(void *context, uintptr_t address, const struct live_block *block)
{
    struct ignored_visit *visit = context;
    if (visit->count < IGNORED_AT_ONCE && is_since(visit->mark, block)) {
        visit->addresses[visit->count++] = address;
    }
}

/* In rounds: the map must not change while it is walked. */
static size_t api_ignore_since(const struct memtrack_mark *mark)
{
    size_t room_bytes = IGNORED_AT_ONCE * sizeof(uintptr_t);
    struct ignored_visit visit = {.mark = mark, .addresses = raw_map_lazy(room_bytes)};
    size_t ignored = 0;
    if (visit.addresses == NULL) {
        return 0;
    }
    do {
        visit.count = 0;
        struct thread *thread = thread_enter();
        if (thread != NULL) {
            live_map_visit_since(mark->tick, ignored_add, &visit);
            thread_leave(thread);
        }
        for (size_t i = 0; i < visit.count; i++) {
            api_ignore((const void *)visit.addresses[i]);
        }
        ignored += visit.count;
    } while (visit.count == IGNORED_AT_ONCE);
    raw_syscall3(SYS_munmap, (long)visit.addresses, (long)room_bytes, 0);
    return ignored;
}

static void api_announce_allocation(const void *block, size_t size_bytes)
{
    struct thread *thread = thread_enter();
    if (thread != NULL) {
        struct capture_origin origin;
        CAPTURE_ORIGIN_HERE(origin);
        track_allocation(thread, block, size_bytes, ARENA_FAMILY_MALLOC, &origin);
        thread_leave(thread);
    }
}

static void api_announce_release(const void *block)
{
    struct thread *thread = thread_enter();
    if (thread != NULL) {
        struct capture_origin origin;
        CAPTURE_ORIGIN_HERE(origin);
        track_release(thread, block, ARENA_FAMILY_MALLOC, &origin);
        thread_leave(thread);
    }
}

static int api_add_root(const void *start, size_t size_bytes)
{
    return announced_root_add((uintptr_t)start, size_bytes);
}

static int api_remove_root(const void *start)
{
    return announced_root_remove((uintptr_t)start);
}

static void api_name_thread(const char *name)
{
    struct thread *thread = thread_enter();
    if (thread == NULL) {
        return;
    }
    size_t length = 0;
    for (; length < sizeof thread->table->name - 1 && name[length] != '\0'; length++) {
        thread->table->name[length] = name[length];
    }
    thread->table->name[length] = '\0';
    thread->is_named = 1;
    thread->table->is_named = 1;
    thread_leave(thread);
}

/* The census of this number, once it is in its slot; NULL: not there, or replaced. */
static const struct arena_census *census_at(uint32_t number)
{
    struct arena_census_slot *slot =
        &process_cold.process->censuses[number % ARENA_CENSUSES];
    const struct arena_census *census =
        arena_at(&process_cold.arena,
                 atomic_load_explicit(&slot->census, memory_order_acquire), sizeof *census);
    return census != NULL && census->number == number ? census : NULL;
}

static int leaks_sum(const struct arena_census *census, struct memtrack_leaks *leaks)
{
    const struct arena_census_site *sites =
        arena_at(&process_cold.arena, census->sites, census->site_count * sizeof *sites);
    if (sites == NULL && census->site_count > 0) {
        return -EIO;
    }
    *leaks = (struct memtrack_leaks){0};
    for (uint32_t i = 0; i < census->site_count; i++) {
        leaks->definite_blocks += sites[i].blocks[ARENA_LEAK_DEFINITE];
        leaks->definite_bytes += sites[i].bytes[ARENA_LEAK_DEFINITE];
        leaks->indirect_blocks += sites[i].blocks[ARENA_LEAK_INDIRECT];
        leaks->indirect_bytes += sites[i].bytes[ARENA_LEAK_INDIRECT];
        leaks->possible_blocks += sites[i].blocks[ARENA_LEAK_POSSIBLE];
        leaks->possible_bytes += sites[i].bytes[ARENA_LEAK_POSSIBLE];
        leaks->reachable_blocks += sites[i].blocks[ARENA_LEAK_REACHABLE];
        leaks->reachable_bytes += sites[i].bytes[ARENA_LEAK_REACHABLE];
    }
    return 0;
}

/* Scans from `origin` on and waits for the result. Returns 0 and *census, or a negative errno. */
static int leaks_scan(const struct capture_origin *origin, uint32_t since_tick,
                      const struct arena_census **census)
{
    uint32_t number = census_now(origin, since_tick);
    if (number == 0) {
        return -EBUSY;
    }
    for (unsigned wait = 0; wait < LEAK_CHECK_WAITS; wait++) {
        *census = census_at(number);
        uint32_t state = *census == NULL
                             ? ARENA_CENSUS_RUNNING
                             : atomic_load_explicit(&(*census)->state, memory_order_acquire);
        if (state != ARENA_CENSUS_RUNNING) {
            return state == ARENA_CENSUS_FULL ? 0 : -EIO;
        }
        uint64_t wait_ns = wait < LEAK_CHECK_SHORT_WAITS ? LEAK_CHECK_WAIT_NS / 10
                                                         : LEAK_CHECK_WAIT_NS;
        struct timespec pause = {.tv_nsec = (long)wait_ns};
        raw_syscall3(SYS_nanosleep, (long)&pause, 0, 0);
    }
    return -ETIMEDOUT;
}

static int api_leak_check(struct memtrack_leaks *leaks)
{
    if (!api_is_tracking() || !census_is_possible()) {
        return -ENOTSUP;
    }
    struct capture_origin origin;
    CAPTURE_ORIGIN_HERE(origin);
    __builtin_unwind_init(); /* the caller's registers are in this frame, for the census */
    const struct arena_census *census;
    int error = leaks_scan(&origin, 0, &census);
    return error != 0 ? error : leaks_sum(census, leaks);
}

/* The sites of a census that lost blocks, most bytes first. Returns their number. */
static size_t lost_sites(const struct arena_census *census, struct memtrack_site *sites,
                         size_t capacity)
{
    const struct arena_census_site *found =
        arena_at(&process_cold.arena, census->sites, census->site_count * sizeof *found);
    size_t count = 0;
    for (uint32_t i = 0; found != NULL && i < census->site_count; i++) {
        struct memtrack_site site = {.stack = found[i].stack};
        for (unsigned j = ARENA_LEAK_DEFINITE; j <= ARENA_LEAK_POSSIBLE; j++) {
            site.blocks += found[i].blocks[j];
            site.bytes += found[i].bytes[j];
        }
        if (site.blocks != 0) {
            count = site_insert(sites, count, capacity, &site);
        }
    }
    return count;
}

static int api_leak_check_since(const struct memtrack_mark *mark, struct memtrack_leaks *leaks,
                                struct memtrack_site *sites, size_t capacity, size_t *count)
{
    if (!api_is_tracking() || !census_is_possible()) {
        return -ENOTSUP;
    }
    /* What these held before is in a live part of the stack as a rule, and looks like roots. */
    *leaks = (struct memtrack_leaks){0};
    if (count != NULL) {
        *count = 0;
    }
    if (sites != NULL) {
        __builtin_memset(sites, 0, capacity * sizeof *sites);
    }
    struct memtrack_usage usage = {0};
    struct usage_visit visit = {.mark = mark, .usage = &usage};
    live_map_visit_since(mark->tick, usage_add, &visit);
    if (usage.live_blocks == 0) {
        return 0;
    }
    struct capture_origin origin;
    CAPTURE_ORIGIN_HERE(origin);
    __builtin_unwind_init(); /* as above */
    const struct arena_census *census;
    int error = leaks_scan(&origin, mark->tick, &census);
    if (error == 0) {
        error = leaks_sum(census, leaks);
    }
    if (error == 0 && sites != NULL && count != NULL) {
        *count = lost_sites(census, sites, capacity);
    }
    return error;
}

static int api_add_tagged_region(const void *start, size_t size_bytes,
                                 const struct memtrack_pointers *pointers)
{
    if (pointers->shift_left > 63 || pointers->shift_right > 63) {
        return -EINVAL;
    }
    return announced_tagged_add(
        (uintptr_t)start, size_bytes,
        &(struct announced_pointers){.mask = pointers->mask,
                                     .base = pointers->base,
                                     .word_bytes = pointers->word_bytes,
                                     .shift_right = (uint8_t)pointers->shift_right,
                                     .shift_left = (uint8_t)pointers->shift_left});
}

static int api_remove_tagged_region(const void *start)
{
    return announced_tagged_remove((uintptr_t)start);
}

HOOK_EXPORT extern const struct memtrack_api memtrack_api_1;
const struct memtrack_api memtrack_api_1 = {
    .size_bytes = sizeof(struct memtrack_api),
    .is_tracking = api_is_tracking,
    .snapshot = api_snapshot,
    .totals = api_totals,
    .mark = api_mark,
    .usage_since = api_usage_since,
    .sites_since = api_sites_since,
    .stack = api_stack,
    .print_since = api_print_since,
    .pause = api_pause,
    .resume = api_resume,
    .ignore = api_ignore,
    .announce_allocation = api_announce_allocation,
    .announce_release = api_announce_release,
    .add_root = api_add_root,
    .remove_root = api_remove_root,
    .name_thread = api_name_thread,
    .leak_check = api_leak_check,
    .leak_check_since = api_leak_check_since,
    .print_sites = api_print_sites,
    .add_tagged_region = api_add_tagged_region,
    .remove_tagged_region = api_remove_tagged_region,
    .ignore_since = api_ignore_since,
};
