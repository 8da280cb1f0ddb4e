#include "recorder/snapshot_file.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "arena/clock.h"
#include "recorder/census_read.h"
#include "recorder/image_writer.h"
#include "recorder/procfs.h"
#include "recorder/tracked.h"

/* A scan of 1 GB takes about two seconds. */
#define CENSUS_LIMIT_MS 30000u
#define CENSUS_GAP_NS 30000000

/* When the arena was last used: now while anybody of it lives, else its clock's last tick. */
static uint64_t snapshot_time_ns(const struct arena_file *file, bool is_alive)
{
    const struct arena_header *header = file->arena.header;
    return is_alive ? arena_file_now_ns(file)
                    : clock_ticks_to_ns(
                        atomic_load_explicit(&header->clock_ticks, memory_order_relaxed),
                        header->tick_ns);
}

static void snapshot_fill_run(const struct arena_file *file, struct recording_run *run)
{
    static struct utsname system;
    const struct arena_header *header = file->arena.header;
    uint64_t limit = procfs_memory_limit_bytes();
    if (uname(&system) != 0) {
        memset(&system, 0, sizeof system);
    }
    uint32_t follow = header->config.follow;
    *run = (struct recording_run){
        .memtrack_version = MEMTRACK_VERSION,
        .host = system.nodename,
        .kernel = system.release,
        .started_realtime_ns = (int64_t)header->started_realtime_ns,
        .tick_ns = CLOCK_TICK_NS,
        .sample_bytes = header->config.sample_bytes == 0 ? RECORDING_UNKNOWN
                                                         : (int64_t)header->config.sample_bytes,
        .cpu_hz = header->config.cpu_hz,
        .depth_max = header->config.depth_max,
        .follow = follow == ARENA_FOLLOW_NONE   ? "none"
                  : follow == ARENA_FOLLOW_FORK ? "fork"
                                                : "all",
        .leaks = header->config.leaks == 2 ? "full" : header->config.leaks == 1 ? "counts" : "off",
        .cpu_clock = header->config.cpu_clock == 0 ? "cpu" : "wall",
        .allocator = "default",
        .tracks_mmap = header->config.track_mmap != 0,
        .memory_limit_bytes = limit == 0 ? RECORDING_UNKNOWN : (int64_t)limit,
    };
}

/* The parent's index, as the shim noted it at a fork. */
static int64_t snapshot_parent(const struct tracked *tracked, int64_t only)
{
    uint32_t parent = tracked->shared->parent_process;
    return only >= 0 || parent == 0 || parent - 1 >= tracked->index ? RECORDING_UNKNOWN
                                                                     : (int64_t)parent - 1;
}

static int snapshot_write_process(const struct arena_file *file, struct tracked *tracked,
                                  struct recording_writer *recording)
{
    char executable[ARENA_TEXT_BYTES];
    char folder[ARENA_TEXT_BYTES];
    struct image_writer image;
    snprintf(executable, sizeof executable, "%.*s", (int)ARENA_TEXT_BYTES - 1,
             tracked->shared->executable);
    snprintf(folder, sizeof folder, "%.*s", (int)ARENA_TEXT_BYTES - 1,
             tracked->shared->working_directory);
    image_writer_init(&image, tracked->image, executable, folder);
    int result = tracked_write_snapshot(tracked, file, recording, 0);
    if (result == 0) {
        result = tracked_write_sites(tracked, file, recording);
    }
    /* After the counters: a stack that they name was in the table before. */
    if (result == 0) {
        result = image_writer_update(&image, file, recording);
    }
    if (result == 0) {
        result = census_write(tracked, file, &image, recording, 0);
    }
    if (result == 0) {
        result = tracked_write_process(tracked, file, recording);
    }
    if (result == 0) {
        result = tracked_write_points(tracked, recording);
    }
    if (result == 0) {
        result = tracked_write_ledger(tracked, recording, 0, arena_file_now_ns(file), true);
    }
    if (result == 0) {
        result = tracked_write_last_ledger(tracked, recording);
    }
    image_writer_deinit(&image);
    return result;
}

static bool is_stopped(pid_t pid)
{
    struct procfs procfs = {.statm_fd = -1, .stat_fd = -1};
    struct procfs_stat stat_now = {0};
    procfs_open(&procfs, pid);
    bool is_known = procfs_read_stat(&procfs, &stat_now);
    procfs_close(&procfs);
    return is_known && (stat_now.state == 'T' || stat_now.state == 't');
}

/* As many as must agree, with a while between them in which threads move on. Returns NULL, or
 * why there is none although the process could make some. */
static const char *snapshot_make_censuses(const struct arena_file *file,
                                          const struct tracked *tracked)
{
    if (is_stopped(tracked->pid)) {
        return "failed: the process is stopped: continue it and ask again";
    }
    for (uint32_t i = 0; i < CENSUS_AGREEMENT; i++) {
        if (i > 0) {
            nanosleep(&(struct timespec){.tv_nsec = CENSUS_GAP_NS}, NULL);
        }
        uint32_t number =
            census_request(file, tracked->shared, tracked->pid, CENSUS_AGREEMENT);
        if (number == 0) {
            return NULL;
        }
        int result = census_await(tracked->shared, tracked->pid, number, CENSUS_LIMIT_MS);
        if (result != 0) {
            return result == -ETIMEDOUT ? "failed: the process did not answer within 30 seconds"
                                        : NULL;
        }
    }
    return NULL;
}

static int snapshot_write_failure(const struct tracked *tracked, const char *why, uint64_t now_ns,
                                  struct recording_writer *recording)
{
    return recording_writer_put_census(
        recording, &(struct recording_census){.census = ((int64_t)tracked->index + 1) << 24,
                                              .process = tracked->index,
                                              .snapshot = RECORDING_UNKNOWN,
                                              .time_ns = (int64_t)now_ns,
                                              .scan = why});
}

/* All that is wanted, inside a transaction. */
static int snapshot_write_all(const struct arena_file *file,
                              const struct snapshot_file_options *options,
                              struct tracked **processes, uint32_t count, uint64_t now_ns,
                              struct recording_writer *recording)
{
    int result = recording_writer_add_snapshot(
        recording, &(struct recording_snapshot){.snapshot = 0,
                                                .time_ns = (int64_t)now_ns,
                                                .label = options->label,
                                                .cause = options->cause});
    for (uint32_t i = 0; result == 0 && i < count; i++) {
        struct tracked *tracked = processes[i];
        if (tracked == NULL) {
            continue;
        }
        const char *failure = NULL;
        tracked->parent = snapshot_parent(tracked, options->only);
        if (options->with_census && tracked->pidfd >= 0) {
            failure = snapshot_make_censuses(file, tracked);
        }
        if (tracked->pidfd >= 0) {
            (void)tracked_poll(tracked, file, now_ns);
            tracked->peak_rss_bytes = (int64_t)procfs_read_peak_rss(tracked->pid);
        } else {
            tracked_end(tracked, file, now_ns, -1);
        }
        result = snapshot_write_process(file, tracked, recording);
        if (result == 0 && failure != NULL) {
            result = snapshot_write_failure(tracked, failure, now_ns, recording);
        }
    }
    return result;
}

/* The processes that are wanted, by index; *is_alive: one of them runs. */
static struct tracked **snapshot_find_processes(const struct arena_file *file, int64_t only,
                                                uint32_t *count, bool *is_alive)
{
    const struct arena_header *header = file->arena.header;
    *count = atomic_load_explicit(&header->process_count, memory_order_acquire);
    *count = *count > ARENA_PROCESSES_MAX ? ARENA_PROCESSES_MAX : *count;
    *is_alive = false;
    struct tracked **processes = calloc((size_t)*count + 1, sizeof *processes);
    for (uint32_t i = 0; processes != NULL && i < *count; i++) {
        uint64_t offset = atomic_load_explicit(&header->process_offset[i], memory_order_acquire);
        if ((only < 0 || only == i) && offset != 0) {
            processes[i] = tracked_new(file, i, offset);
            *is_alive = *is_alive || (processes[i] != NULL && processes[i]->pidfd >= 0);
        }
    }
    return processes;
}

int snapshot_file_write(const struct arena_file *file, const struct snapshot_file_options *options,
                        struct recording_writer **writer, struct mt_error *error)
{
    struct recording_run run;
    struct recording_writer *recording = NULL;
    uint32_t count;
    bool is_alive;
    snapshot_fill_run(file, &run);
    int code = recording_writer_create_at_once(options->output, &run, options->overwrite,
                                               &recording, error);
    if (code == -EEXIST) {
        return mt_error_set(error, code, MT_STATUS_FAILED,
                            "%s: exists: remove it, choose another name with -o, or give -f",
                            options->output);
    }
    if (code != 0) {
        return code;
    }
    struct tracked **processes = snapshot_find_processes(file, options->only, &count, &is_alive);
    code = processes == NULL ? -ENOMEM : recording_writer_begin(recording, "the snapshot");
    if (code == 0) {
        code = snapshot_write_all(file, options, processes, count,
                                  snapshot_time_ns(file, is_alive), recording);
    }
    for (uint32_t i = 0; processes != NULL && i < count; i++) {
        tracked_free(processes[i]);
    }
    free(processes);
    if (code == 0 && file->arena.header->recorder_pid == 0) {
        code = recording_writer_set_fact(recording, "recorder", "none");
    }
    int committed = recording_writer_commit(recording, error);
    code = committed != 0 ? committed : code;
    if (code == 0) {
        *writer = recording;
        return 0;
    }
    recording_writer_abandon(recording);
    return mt_error_set(error, code, MT_STATUS_FAILED, "%s: the snapshot failed: %s",
                        options->output, strerror(-code));
}
