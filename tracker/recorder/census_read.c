#include "recorder/census_read.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "arena/clock.h"
#include "recorder/census_chains.h"

/* More than the census itself ever writes. */
#define SITES_MAX ARENA_STACKS_MAX
#define EDGES_MAX (1u << 20)
/* A census's number in the recording: its process, and 24 bits. */
#define CENSUS_PASSING 0xffffff

static int array_copy(const struct arena_file *file, uint64_t offset, uint32_t count,
                      uint32_t count_max, size_t element_bytes, void *to)
{
    if (count > count_max) {
        return -EFAULT;
    }
    void *copy = calloc(count == 0 ? 1 : count, element_bytes);
    if (copy == NULL) {
        return -ENOMEM;
    }
    int result = count == 0 ? 0 : arena_file_copy(file, offset, copy, count * element_bytes);
    if (result != 0) {
        free(copy);
        return result;
    }
    memcpy(to, &copy, sizeof copy);
    return 0;
}

/* Drops entries that are out of order or name impossible stacks. */
static size_t sites_check(struct arena_census_site *sites, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (sites[i].stack < ARENA_STACKS_MAX
            && (kept == 0 || sites[i].stack > sites[kept - 1].stack)) {
            sites[kept++] = sites[i];
        }
    }
    return kept;
}

static int latest_copy(const struct arena_file *file, const struct arena_process *process,
                       uint32_t number, struct arena_census *facts)
{
    uint64_t offset = atomic_load_explicit(&process->censuses[number % ARENA_CENSUSES].census,
                                           memory_order_acquire);
    if (offset == 0) {
        return -ENOENT;
    }
    int result = arena_file_copy(file, offset, facts, sizeof *facts);
    facts->failure[sizeof facts->failure - 1] = '\0';
    return result;
}

int census_read_latest(const struct arena_file *file, const struct arena_process *process,
                       struct census_result *result)
{
    memset(result, 0, sizeof *result);
    uint32_t number = atomic_load_explicit(&process->census_finished, memory_order_acquire);
    if (number == 0) {
        return -ENOENT;
    }
    int error = latest_copy(file, process, number, &result->facts);
    if (error != 0 || atomic_load(&result->facts.state) != ARENA_CENSUS_FULL) {
        return error;
    }
    error = array_copy(file, result->facts.sites, result->facts.site_count, SITES_MAX,
                       sizeof *result->sites, &result->sites);
    if (error == 0) {
        result->site_count = sites_check(result->sites, result->facts.site_count);
        error = array_copy(file, result->facts.edges, result->facts.edge_count, EDGES_MAX,
                           sizeof *result->edges, &result->edges);
    }
    if (error != 0) {
        census_result_deinit(result);
        return error;
    }
    result->edge_count = result->facts.edge_count;
    return 0;
}

void census_result_deinit(struct census_result *result)
{
    free(result->sites);
    free(result->edges);
    memset(result, 0, sizeof *result);
}

/* ---- asking for one ------------------------------------------------------- */

uint32_t census_request(const struct arena_file *file, const struct arena_process *process,
                        int32_t pid, uint32_t agreement)
{
    const struct arena_config *config = &file->arena.header->config;
    int signal = atomic_load_explicit(&process->census_signal, memory_order_acquire);
    if (config->leaks != 2 || config->sample_bytes != 0 || signal <= 0 || signal > 64 || pid <= 0) {
        return 0;
    }
    uint32_t number = atomic_load_explicit(&process->census_finished, memory_order_acquire) + 1;
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = signal;
    info.si_code = SI_QUEUE; /* tells it from the C library's own */
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = (int)agreement;
    return syscall(SYS_rt_sigqueueinfo, pid, signal, &info) == 0 ? number : 0;
}

int census_await(const struct arena_process *process, int32_t pid, uint32_t number,
                 uint32_t limit_ms)
{
    for (uint32_t waited_ms = 0;; waited_ms++) {
        uint32_t finished =
            atomic_load_explicit(&process->census_finished, memory_order_acquire);
        if ((int32_t)(finished - number) >= 0) {
            return 0;
        }
        if (waited_ms >= limit_ms) {
            return -ETIMEDOUT;
        }
        if (kill(pid, 0) != 0 && errno == ESRCH) {
            return -ESRCH;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* ---- what became of the scan ---------------------------------------------- */

/* The census made at the end, or that was begun and did not come to an end. */
static bool find_final(const struct tracked *tracked, const struct arena_file *file,
                       struct arena_census *facts)
{
    for (uint32_t i = 0; i < ARENA_CENSUSES; i++) {
        if (latest_copy(file, tracked->shared, i, facts) == 0 && facts->is_final != 0
            && atomic_load(&facts->state) != ARENA_CENSUS_NONE) {
            return true;
        }
    }
    return false;
}

const char *census_scan_text(const struct tracked *tracked, const struct arena_file *file,
                             char *text, size_t text_bytes)
{
    const struct arena_config *config = &file->arena.header->config;
    struct arena_census facts;
    if (config->leaks < 2) {
        return config->leaks == 0 ? "off" : "counts";
    }
    if (tracked->is_alive) {
        return NULL;
    }
    if (config->sample_bytes != 0) {
        return "failed: blocks that were not sampled cannot be followed (run without --sample)";
    }
    if (find_final(tracked, file, &facts)) {
        switch ((enum arena_census_state)atomic_load(&facts.state)) {
        case ARENA_CENSUS_FULL:
            return "full";
        case ARENA_CENSUS_FAILED:
            snprintf(text, text_bytes, "failed: %s", facts.failure);
            return text;
        case ARENA_CENSUS_RUNNING:
        case ARENA_CENSUS_NONE:
            return "failed: the process ended during the scan";
        }
    }
    if (tracked->shared->untracked_reason != 0) {
        return "failed: the process was not tracked";
    }
    if (tracked->shared->census_forbidden[0] != '\0') {
        snprintf(text, text_bytes, "failed: %.*s", (int)sizeof tracked->shared->census_forbidden,
                 tracked->shared->census_forbidden);
        return text;
    }
    if (tracked->was_replaced) {
        return "off"; /* nothing can leak that exec has taken away */
    }
    if (tracked->signal != RECORDING_UNKNOWN) {
        snprintf(text, text_bytes, "failed: the process was ended by signal %d",
                 (int)tracked->signal);
        return text;
    }
    if ((config->census_flags & ARENA_CENSUS_FLAG_AT_UNDERSCORE_EXIT) != 0) {
        return "failed: the process ended without a scan, by a signal or a system call of its own";
    }
    /* A forked child's way to end, where nobody asked for a scan. */
    return tracked->start == ARENA_START_FORK
               ? "off"
               : "failed: the process ended by _exit, where a scan is made on request only";
}

/* ---- writing -------------------------------------------------------------- */

/* Adds to a remark of several parts. */
static size_t remark_add(char *text, size_t text_bytes, size_t used, const char *part)
{
    if (used < text_bytes) {
        int length = snprintf(text + used, text_bytes - used, "%s%s", used == 0 ? "" : "; ", part);
        used += length < 0 ? 0 : (size_t)length;
    }
    return used;
}

static const char *remark_text(const struct arena_census *facts, char *text, size_t text_bytes)
{
    char part[160];
    size_t used = 0;
    text[0] = '\0';
    if (facts->threads_unparked != 0) {
        snprintf(part, sizeof part,
                 "%u of %u threads could not be stopped: their whole stacks count",
                 facts->threads_unparked, facts->threads);
        used = remark_add(text, text_bytes, used, part);
    }
    if (facts->suspended_blocks != 0) {
        snprintf(part, sizeof part,
                 "%llu blocks (%llu bytes) seemed lost, but not in each of %u scans in a row: they "
                 "count as reachable",
                 (unsigned long long)facts->suspended_blocks,
                 (unsigned long long)facts->suspended_bytes, facts->agreement);
        used = remark_add(text, text_bytes, used, part);
    }
    if (facts->edges_merged != 0) {
        (void)remark_add(text, text_bytes, used,
                         "so many holders that some are known by their page only");
    }
    return text[0] == '\0' ? NULL : text;
}

static int facts_write(const struct tracked *tracked, const struct census_result *result,
                       struct recording_writer *recording, int64_t census, int64_t snapshot)
{
    const struct arena_census *facts = &result->facts;
    char scan[sizeof facts->failure + 16] = "full";
    char remark[512];
    if (atomic_load(&facts->state) != ARENA_CENSUS_FULL) {
        snprintf(scan, sizeof scan, "failed: %s", facts->failure);
    }
    return recording_writer_put_census(
        recording, &(struct recording_census){
                       .census = census,
                       .process = tracked->index,
                       .snapshot = snapshot,
                       .time_ns = (int64_t)clock_ticks_to_ns(facts->tick, CLOCK_TICK_NS),
                       .is_final = facts->is_final != 0,
                       .scan = scan,
                       .pause_ns = (int64_t)facts->pause_ns,
                       .scan_ns = (int64_t)facts->scan_ns,
                       .remark = remark_text(facts, remark, sizeof remark)});
}

static int sites_write(const struct census_result *result, const struct census_chains *chains,
                       const struct arena_file *file, struct recording_writer *recording,
                       int64_t census)
{
    uint64_t now_ns = clock_ticks_to_ns(result->facts.tick, CLOCK_TICK_NS);
    int error = 0;
    for (size_t i = 0; error == 0 && i < result->site_count; i++) {
        const struct arena_census_site *site = &result->sites[i];
        uint64_t birth_ns = clock_ticks_to_ns(site->oldest_tick, CLOCK_TICK_NS);
        struct recording_census_site row = {
            .census = census,
            .stack = site->stack,
            .led_blocks = (int64_t)site->led_blocks,
            .led_bytes = (int64_t)site->led_bytes,
            .oldest_ns = now_ns > birth_ns ? (int64_t)(now_ns - birth_ns) : 0,
            .retained_bytes = chains->retained_bytes == NULL
                                  ? RECORDING_UNKNOWN
                                  : (int64_t)chains->retained_bytes[i],
            .pinned_pages = (int64_t)site->pinned_pages,
            .pinned_bytes = (int64_t)site->pinned_bytes};
        _Static_assert((int)RECORDING_LEAK_CLASSES == (int)ARENA_LEAK_CLASSES
                           && (int)RECORDING_LEAK_REACHABLE == (int)ARENA_LEAK_REACHABLE,
                       "the same classes in the same order");
        for (size_t j = 0; j < ARENA_LEAK_CLASSES; j++) {
            row.blocks[j] = (int64_t)site->blocks[j];
            row.bytes[j] = (int64_t)site->bytes[j];
        }
        error = recording_writer_put_census_site(recording, &row);
        if (i % 1024 == 1023) {
            arena_file_beat(file);
        }
    }
    return error;
}

int census_write(struct tracked *tracked, const struct arena_file *file,
                 const struct image_writer *image, struct recording_writer *recording,
                 int64_t snapshot)
{
    uint32_t finished =
        atomic_load_explicit(&tracked->shared->census_finished, memory_order_acquire);
    if (finished == tracked->census_written) {
        return 0;
    }
    struct census_result result;
    int error = census_read_latest(file, tracked->shared, &result);
    if (error != 0) {
        return error == -ENOMEM ? error : 0;
    }
    if (result.facts.is_final != 0 && tracked->is_alive) {
        census_result_deinit(&result);
        return 0; /* its pause is not over: later */
    }
    tracked->census_written = finished;
    /* In mid-run: the program's own question, or others are to agree yet. */
    if (result.facts.is_final == 0
        && (result.facts.since_tick != 0 || result.facts.agreement < CENSUS_AGREEMENT
            || result.facts.row < result.facts.agreement)) {
        census_result_deinit(&result);
        return 0;
    }
    /* Of those in mid-run that belong to no snapshot the latest is kept. */
    bool is_passing = result.facts.is_final == 0 && snapshot == RECORDING_UNKNOWN;
    int64_t census = ((int64_t)tracked->index + 1) << 24
                     | (is_passing ? CENSUS_PASSING : finished % CENSUS_PASSING);
    struct census_chains chains;
    census_chains_init(&chains, &result);
    error = facts_write(tracked, &result, recording, census, snapshot);
    if (error == 0) {
        error = sites_write(&result, &chains, file, recording, census);
    }
    if (error == 0) {
        error = census_chains_write(&chains, &result, file, image, tracked->shared, recording,
                                    census);
    }
    census_chains_deinit(&chains);
    census_result_deinit(&result);
    return error;
}
