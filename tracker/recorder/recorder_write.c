#include "recorder/recorder_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "arena/clock.h"
#include "recorder/census_read.h"

/* A run is bounded, however long it is. */
#define SNAPSHOTS_MAX 200
#define SNAPSHOT_ROWS_MAX 800000
#define SNAPSHOT_GAP_NS UINT64_C(1000000000)
/* Without a wish of the user's: the next snapshot no sooner than after this part of the
 * run's age (but every minute, so that the latest hour of a week is dense; what is too much is
 * thinned out as it gets older), nor than 100 times what the last one cost. */
#define SNAPSHOT_AGE_PART 100u
#define SNAPSHOT_GAP_MAX_NS UINT64_C(60000000000)
#define SNAPSHOT_COST_PART 100u
/* How often full counters go out in mid-run, for the case that memtrack is killed. */
#define SITES_GAP_NS UINT64_C(30000000000)

static uint64_t thread_cpu_ns(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool recorder_check_writer(struct recorder *recorder, int code, const struct mt_error *error)
{
    if (code == 0) {
        return true;
    }
    if (recorder->result.lost.code == 0) {
        recorder->result.lost = *error;
        if (recorder->result.lost.code == 0) {
            mt_error_set(&recorder->result.lost, code < 0 ? code : -EIO, MT_STATUS_FAILED,
                         "%s: %s: the recording ends here", recorder->result.output,
                         strerror(code < 0 ? -code : EIO));
        }
    }
    recording_writer_abandon(recorder->writer);
    recorder->writer = NULL;
    return false;
}

/* Commits what was begun. `code` is the first failure since then. */
static bool transaction_end(struct recorder *recorder, int code)
{
    struct mt_error error = {0};
    if (code == -ENOMEM) {
        /* Ours, not the writer's: keep what it has, this transaction included. */
        code = 0;
    }
    int committed = recording_writer_commit(recorder->writer, &error);
    if (committed != 0) {
        code = committed;
    } else if (code != 0) {
        (void)recording_writer_failure(recorder->writer, &error);
    }
    return recorder_check_writer(recorder, code, &error);
}

/* ---- the run's row -------------------------------------------------------- */

static const char *follow_name(uint32_t follow)
{
    return follow == ARENA_FOLLOW_NONE ? "none" : follow == ARENA_FOLLOW_FORK ? "fork" : "all";
}

static const char *leaks_name(uint32_t leaks)
{
    return leaks == 0 ? "off" : leaks == 1 ? "counts" : "full";
}

/* The command as a person would type it; static memory. */
static const char *command_text(char *const *arguments)
{
    static char text[4096];
    size_t used = 0;
    for (size_t i = 0; arguments[i] != NULL && used + 4 < sizeof text; i++) {
        const char *argument = arguments[i];
        bool is_plain = argument[0] != '\0' && argument[strcspn(argument, " \t\n'\"\\$`*?;&|<>()")]
                                                   == '\0';
        int written = snprintf(text + used, sizeof text - used,
                               is_plain ? "%s%s" : "%s'%s'", i == 0 ? "" : " ", argument);
        used += written < 0 ? 0 : (size_t)written;
    }
    return text;
}

void recorder_fill_run(const struct recorder *recorder, struct recording_run *run)
{
    static struct utsname system;
    static char folder[ARENA_TEXT_BYTES];
    static char host[256];
    const struct arena_header *header = recorder->file.arena.header;
    const struct arena_config *config = &recorder->options->config;
    uint64_t limit = procfs_memory_limit_bytes();
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    if (uname(&system) != 0) {
        memset(&system, 0, sizeof system);
    }
    /* Once: a background process moves elsewhere. */
    if (folder[0] == '\0' && getcwd(folder, sizeof folder) == NULL) {
        folder[0] = '\0';
    }
    if (gethostname(host, sizeof host - 1) != 0) {
        snprintf(host, sizeof host, "%s", system.nodename);
    }
    *run = (struct recording_run){
        .memtrack_version = MEMTRACK_VERSION,
        .host = host,
        .kernel = system.release,
        .command = command_text(recorder->options->arguments),
        .working_directory = folder[0] == '\0' ? NULL : folder,
        .started_realtime_ns = (int64_t)header->started_realtime_ns,
        .tick_ns = CLOCK_TICK_NS,
        .sample_bytes =
            config->sample_bytes == 0 ? RECORDING_UNKNOWN : (int64_t)config->sample_bytes,
        .cpu_hz = config->cpu_hz,
        .depth_max = config->depth_max,
        .follow = follow_name(config->follow),
        .leaks = leaks_name(config->leaks),
        .cpu_clock = config->cpu_clock == 0 ? "cpu" : "wall",
        .allocator = recorder->options->allocator_name,
        .tracks_mmap = config->track_mmap != 0,
        .memory_limit_bytes = limit == 0 ? RECORDING_UNKNOWN : (int64_t)limit,
        .recorder_cpu_ns =
            ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000
            + ((int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000};
}

/* ---- processes ------------------------------------------------------------ */

static int image_update(struct recorder *recorder, const struct tracked *tracked)
{
    if (tracked->image >= recorder->image_count
        || recorder->images[tracked->image] == NULL) {
        return 0;
    }
    return image_writer_update(recorder->images[tracked->image], &recorder->file,
                               recorder->writer);
}

/* The snapshot that the latest census belongs to. */
static int64_t census_snapshot(const struct tracked *tracked)
{
    return tracked->census_asked != 0
                   && atomic_load_explicit(&tracked->shared->census_finished, memory_order_acquire)
                          == tracked->census_asked
               ? tracked->census_snapshot
               : RECORDING_UNKNOWN;
}

/* All of one process, as of now. */
static int process_write(struct recorder *recorder, struct tracked *tracked)
{
    /* Counters first: a stack that they name was in the table before. */
    int result = tracked_write_sites(tracked, &recorder->file, recorder->writer);
    if (result == 0) {
        result = image_update(recorder, tracked);
    }
    if (result == 0 && tracked->image < recorder->image_count
        && recorder->images[tracked->image] != NULL) {
        result = census_write(tracked, &recorder->file, recorder->images[tracked->image],
                              recorder->writer, census_snapshot(tracked));
    }
    if (result == 0) {
        result = tracked_write_process(tracked, &recorder->file, recorder->writer);
    }
    if (result == 0) {
        result = tracked_write_last_ledger(tracked, recorder->writer);
    }
    return result != 0 ? result : tracked_write_points(tracked, recorder->writer);
}

void recorder_write_ended(struct recorder *recorder)
{
    bool is_open = false;
    int result = 0;
    for (uint32_t k = 0; k < recorder->active_count; k++) {
        uint32_t i = recorder->active[k];
        struct tracked *tracked = recorder->entries[i].tracked;
        if (tracked == NULL || tracked->is_alive) {
            continue;
        }
        if (recorder->writer != NULL && result == 0) {
            if (!is_open) {
                result = recording_writer_begin(recorder->writer, "processes that ended");
                is_open = true;
            }
            if (result == 0) {
                result = process_write(recorder, tracked);
            }
        }
        /* The program's own entry is wanted for the snapshot at the exit. */
        if (tracked->pid != recorder->launch.pid || tracked->was_replaced
            || recorder->has_program_ended) {
            tracked_drop(tracked, &recorder->file);
            tracked_free(tracked);
            recorder->entries[i].tracked = NULL;
        }
    }
    uint32_t kept = 0;
    for (uint32_t k = 0; k < recorder->active_count; k++) {
        if (recorder->entries[recorder->active[k]].tracked != NULL) {
            recorder->active[kept++] = recorder->active[k];
        }
    }
    recorder->active_count = kept;
    if (is_open) {
        transaction_end(recorder, result);
    }
}

static void census_ask(struct recorder *recorder, struct tracked *tracked, int64_t snapshot)
{
    tracked->census_asked =
        census_request(&recorder->file, tracked->shared, tracked->pid, CENSUS_AGREEMENT);
    tracked->censuses_left = CENSUS_AGREEMENT - 1;
    tracked->census_snapshot = snapshot;
}

void recorder_ask_censuses(struct recorder *recorder, uint64_t now_ns)
{
    uint64_t every_ns = recorder->options->leaks_every_ns;
    if (every_ns == 0 || now_ns < recorder->census_next_ns) {
        return;
    }
    for (uint32_t i = 0; recorder->census_next_ns != 0 && i < recorder->active_count; i++) {
        struct tracked *tracked = recorder->entries[recorder->active[i]].tracked;
        if (tracked != NULL && tracked->is_alive && tracked->census_asked == 0) {
            census_ask(recorder, tracked, RECORDING_UNKNOWN);
        }
    }
    recorder->census_next_ns = now_ns + every_ns;
}

void recorder_write_censuses(struct recorder *recorder)
{
    for (uint32_t i = 0; recorder->writer != NULL && i < recorder->active_count; i++) {
        struct tracked *tracked = recorder->entries[recorder->active[i]].tracked;
        if (tracked == NULL || tracked->census_asked == 0
            || atomic_load_explicit(&tracked->shared->census_finished, memory_order_acquire)
                   < tracked->census_asked) {
            continue;
        }
        if (tracked->censuses_left > 0) {
            tracked->censuses_left--;
            tracked->census_asked = census_request(&recorder->file, tracked->shared, tracked->pid,
                                                   CENSUS_AGREEMENT);
            continue;
        }
        int result = recording_writer_begin(recorder->writer, "a leak scan");
        if (result == 0) {
            result = image_update(recorder, tracked);
        }
        if (result == 0 && tracked->image < recorder->image_count
            && recorder->images[tracked->image] != NULL) {
            result = census_write(tracked, &recorder->file, recorder->images[tracked->image],
                                  recorder->writer, census_snapshot(tracked));
        }
        transaction_end(recorder, result);
        tracked->census_asked = 0;
    }
}

void recorder_write_living(struct recorder *recorder)
{
    if (recorder->writer == NULL) {
        return;
    }
    int result = recording_writer_begin(recorder->writer, "the state of the processes");
    for (uint32_t i = 0; result == 0 && i < recorder->entry_count; i++) {
        struct tracked *tracked = recorder->entries[i].tracked;
        if (tracked != NULL && tracked->is_alive) {
            result = process_write(recorder, tracked);
        }
    }
    transaction_end(recorder, result);
}

/* ---- snapshots ------------------------------------------------------------ */

static void snapshot_schedule(struct recorder *recorder, uint64_t now_ns, uint64_t cost_ns)
{
    uint64_t gap_ns = recorder->options->snapshot_every_ns;
    if (gap_ns == 0) {
        gap_ns = SNAPSHOT_GAP_NS;
        if (gap_ns < now_ns / SNAPSHOT_AGE_PART) {
            gap_ns = now_ns / SNAPSHOT_AGE_PART;
        }
        gap_ns = gap_ns < SNAPSHOT_GAP_MAX_NS ? gap_ns : SNAPSHOT_GAP_MAX_NS;
        if (gap_ns < cost_ns * SNAPSHOT_COST_PART) {
            gap_ns = cost_ns * SNAPSHOT_COST_PART;
        }
    }
    recorder->snapshot_next_ns = now_ns + gap_ns;
}

void recorder_write_snapshot(struct recorder *recorder, uint64_t now_ns, const char *cause,
                             const char *label)
{
    uint64_t before_ns = thread_cpu_ns();
    if (recorder->writer == NULL) {
        snapshot_schedule(recorder, now_ns, 0);
        return;
    }
    char what[64];
    snprintf(what, sizeof what, "the snapshot at %.1f s", (double)now_ns / 1e9);
    int64_t snapshot = recorder->snapshot_next++;
    int result = recording_writer_begin(recorder->writer, what);
    if (result == 0) {
        result = recording_writer_add_snapshot(
            recorder->writer,
            &(struct recording_snapshot){
                .snapshot = snapshot, .time_ns = (int64_t)now_ns, .label = label, .cause = cause});
    }
    bool is_exit = strcmp(cause, "exit") == 0;
    bool writes_sites = now_ns >= recorder->sites_next_ns;
    for (uint32_t i = 0; result == 0 && i < recorder->entry_count; i++) {
        struct tracked *tracked = recorder->entries[i].tracked;
        if (tracked == NULL || (!tracked->is_alive && !is_exit)) {
            continue;
        }
        int64_t peak = (int64_t)procfs_read_peak_rss(tracked->pidfd >= 0 ? tracked->pid : 0);
        if (peak > tracked->peak_rss_bytes) {
            tracked->peak_rss_bytes = peak;
        }
        result = tracked_write_snapshot(tracked, &recorder->file, recorder->writer, snapshot);
        if (label != NULL && tracked->is_alive && tracked->census_asked == 0) {
            census_ask(recorder, tracked, snapshot);
        }
        if (result == 0) {
            result = tracked_write_ledger(tracked, recorder->writer, snapshot, now_ns,
                                          label != NULL);
        }
        if (result == 0 && writes_sites) {
            result = process_write(recorder, tracked);
        } else if (result == 0) {
            result = image_update(recorder, tracked);
        }
    }
    if (result == 0 && snapshot % 16 == 15) {
        int64_t removed = recording_writer_thin_snapshots(recorder->writer, SNAPSHOTS_MAX,
                                                          SNAPSHOT_ROWS_MAX);
        result = removed < 0 ? (int)removed : 0;
    }
    transaction_end(recorder, result);
    if (writes_sites) {
        recorder->sites_next_ns = now_ns + SITES_GAP_NS;
    }
    snapshot_schedule(recorder, now_ns, thread_cpu_ns() - before_ns);
}

/* ---- the background ------------------------------------------------------- */

#define BACKGROUND_GAP_NS UINT64_C(10000000000)
#define BACKGROUND_TRIES 300

static bool has_ended_entries(const struct recorder *recorder)
{
    for (uint32_t i = 0; i < recorder->entry_count; i++) {
        if (recorder->entries[i].tracked != NULL && !recorder->entries[i].tracked->is_alive) {
            return true;
        }
    }
    return false;
}

/* Opens the recording. Returns 0, -EBUSY when it is to be tried again, or another error,
 * which is lasting. */
static int background_open(struct recorder *recorder)
{
    struct mt_error error = {0};
    int code = recording_writer_append(recorder->result.output, &recorder->writer, &error);
    if (code != 0) {
        recorder->writer = NULL;
        if (code != -EBUSY) {
            recorder->result.lost = error;
        }
    }
    return code;
}

void recorder_write_background(struct recorder *recorder, uint64_t now_ns, bool is_last)
{
    bool is_due = is_last || now_ns >= recorder->background_next_ns
                  || (has_ended_entries(recorder)
                      && now_ns + BACKGROUND_GAP_NS / 2 >= recorder->background_next_ns);
    if (!is_due || recorder->foreground_fd[0] >= 0 || !recorder->result.is_recorded
        || recorder->result.lost.code != 0) {
        return;
    }
    int code = background_open(recorder);
    for (int tries = 0; is_last && code == -EBUSY && tries < BACKGROUND_TRIES; tries++) {
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        code = background_open(recorder);
    }
    recorder->background_next_ns = now_ns + BACKGROUND_GAP_NS;
    if (code != 0) {
        return;
    }
    recorder_write_snapshot(recorder, now_ns, is_last ? "exit" : "periodic", NULL);
    recorder_write_ended(recorder);
    recorder_write_living(recorder);
    recorder_finish_run(recorder, is_last);
    recorder_close_writer(recorder, is_last);
    if (recorder->background_next_ns < recorder->snapshot_next_ns) {
        recorder->background_next_ns = recorder->snapshot_next_ns;
    }
}

/* ---- the end -------------------------------------------------------------- */

void recorder_finish_run(struct recorder *recorder, bool is_complete)
{
    if (recorder->writer == NULL) {
        return;
    }
    struct recording_run run;
    recorder_fill_run(recorder, &run);
    recorder->result.recorder_cpu_ns = (uint64_t)run.recorder_cpu_ns;
    char still_running[16];
    snprintf(still_running, sizeof still_running, "%u",
             recorder->alive_count + recorder->unseen_count);
    int result = recording_writer_begin(recorder->writer, "the end of the run");
    if (result == 0) {
        result = recording_writer_thin_snapshots(recorder->writer, SNAPSHOTS_MAX,
                                                 SNAPSHOT_ROWS_MAX)
                         < 0
                     ? -EIO
                     : 0;
    }
    if (result == 0) {
        result = recording_writer_set_run(recorder->writer, &run);
    }
    if (result == 0) {
        result = recording_writer_set_fact(recorder->writer, "still_running", still_running);
    }
    if (result == 0) {
        /* Now: names that cannot be added do not make it incomplete. */
        result = recording_writer_set_fact(recorder->writer, "complete", is_complete ? "1" : "0");
    }
    (void)transaction_end(recorder, result);
}

void recorder_close_writer(struct recorder *recorder, bool is_complete)
{
    struct mt_error error = {0};
    struct recording_writer *writer = recorder->writer;
    if (writer == NULL) {
        return;
    }
    recorder->writer = NULL;
    int result = recording_writer_finish(writer, is_complete, &error);
    if (result != 0 && recorder->result.lost.code == 0) {
        recorder->result.lost = error;
    }
}
