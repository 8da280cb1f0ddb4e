#include "support/simulated_run.h"

#include <stdlib.h>
#include <unistd.h>

#include "arena/clock.h"

#define SPIKE_STEP_NS UINT64_C(10000000)

static char program[] = "simulated";
static char *arguments[] = {program, NULL};

static struct arena_site *site_at(const struct simulated_run *run, uint32_t stack)
{
    struct arena_site *chunk = arena_chunk_get(
        &run->recorder->file.arena, run->thread->site_chunk, stack / ARENA_SITES_PER_CHUNK,
        ARENA_SITES_PER_CHUNK * sizeof(struct arena_site));
    return chunk == NULL ? NULL : &chunk[stack % ARENA_SITES_PER_CHUNK];
}

/* Site n has allocated 1000 / n blocks each second, and holds the latest 50. */
static void sites_set(const struct simulated_run *run)
{
    uint64_t seconds = run->now_ns / 1000000000u;
    for (uint32_t stack = 1; stack <= run->sites; stack++) {
        struct arena_site *site = site_at(run, stack);
        uint64_t bytes = 16 + stack % 500;
        site->allocations = seconds * 1000 / stack + 1;
        site->allocated_bytes = site->allocations * bytes;
        site->frees = site->allocations > 50 ? site->allocations - 50 : 0;
        site->freed_bytes = site->frees * bytes;
        site->temporaries = site->allocations / 3;
    }
}

/* Rises for an hour, then falls at once. */
static int64_t live_bytes(const struct simulated_run *run)
{
    return 1000000 + (int64_t)(run->now_ns / 1000000u % 3600000u);
}

static bool process_make(struct simulated_run *run)
{
    struct arena *arena = &run->recorder->file.arena;
    struct arena_header *header = arena->header;
    uint64_t image = arena_extent_new(arena, sizeof(struct arena_image));
    uint64_t process = arena_extent_new(arena, sizeof *run->process);
    uint64_t thread = arena_extent_new(arena, sizeof *run->thread);
    if (image == 0 || process == 0 || thread == 0) {
        return false;
    }
    atomic_store(&((struct arena_image *)arena_at(arena, image, sizeof(struct arena_image)))
                      ->stack_next,
                 run->sites + 1);
    atomic_store(&header->image_offset[0], image);
    atomic_store(&header->image_count, 1);
    run->process = arena_at(arena, process, sizeof *run->process);
    run->thread = arena_at(arena, thread, sizeof *run->thread);
    run->process->started_monotonic_ns = header->started_monotonic_ns;
    run->process->start = ARENA_START_EXEC;
    atomic_store(&run->process->first_thread, thread);
    for (uint32_t stack = 1; stack <= run->sites; stack++) {
        if (site_at(run, stack) == NULL) {
            return false;
        }
    }
    atomic_store(&header->process_offset[0], process);
    atomic_store(&header->process_count, 1);
    recorder_scan(run->recorder, 0);
    return run->recorder->entry_count == 1 && run->recorder->entries[0].tracked != NULL;
}

bool simulated_run_begin(struct simulated_run *run, const char *path, uint32_t sites)
{
    *run = (struct simulated_run){.sites = sites};
    run->options = (struct recorder_options){
        .arguments = arguments, .config = {.depth_max = 128}, .allocator_name = "default"};
    run->recorder = calloc(1, sizeof *run->recorder);
    if (run->recorder == NULL) {
        return false;
    }
    run->recorder->options = &run->options;
    run->recorder->epoll_fd = -1;
    for (uint32_t i = 0; i < RECORDER_UNSEEN_MAX; i++) {
        run->recorder->unseen[i].pidfd = -1;
    }
    struct recording_run facts;
    if (arena_file_create(&run->options.config, &run->recorder->file, NULL) != 0
        || !process_make(run)) {
        return false;
    }
    recorder_fill_run(run->recorder, &facts);
    return recording_writer_create(path, &facts, true, &run->recorder->writer, NULL) == 0;
}

/* What a round of the recorder's loop does, at a moment of our choice. */
static void look(struct simulated_run *run)
{
    struct tracked *tracked = run->recorder->entries[0].tracked;
    atomic_store(&run->process->shared_live_bytes, live_bytes(run));
    if (tracked_poll(tracked, &run->recorder->file, run->now_ns)) {
        tracked->active_ns = run->now_ns;
    }
    if (run->now_ns >= run->recorder->snapshot_next_ns) {
        sites_set(run);
        recorder_write_snapshot(run->recorder, run->now_ns, "periodic", NULL);
    }
}

bool simulated_run_pass(struct simulated_run *run, uint64_t until_ns, uint64_t step_ns)
{
    while (run->now_ns < until_ns) {
        run->now_ns += step_ns;
        look(run);
    }
    return run->recorder->writer != NULL;
}

bool simulated_run_spike(struct simulated_run *run, int64_t low_bytes, int64_t high_bytes)
{
    bool is_good = simulated_run_pass(run, run->now_ns + 5 * SPIKE_STEP_NS, SPIKE_STEP_NS);
    /* In the middle of the next tick; the shim notes the extremes of each. */
    run->now_ns += SPIKE_STEP_NS / 2;
    uint32_t tick = clock_ns_to_ticks(run->now_ns, CLOCK_TICK_NS);
    struct arena_window *window = &run->process->windows[tick % ARENA_WINDOWS];
    window->min_bytes = low_bytes;
    window->max_bytes = high_bytes;
    atomic_store(&window->tick, tick);
    return simulated_run_pass(run, run->now_ns + 5 * SPIKE_STEP_NS, SPIKE_STEP_NS) && is_good;
}

bool simulated_run_label(struct simulated_run *run, const char *label)
{
    sites_set(run);
    recorder_write_snapshot(run->recorder, run->now_ns, "program", label);
    return run->recorder->writer != NULL;
}

bool simulated_run_finish(struct simulated_run *run)
{
    struct recorder *recorder = run->recorder;
    sites_set(run);
    recorder_end_entry(recorder, 0, run->now_ns, 0);
    recorder_write_snapshot(recorder, run->now_ns, "exit", NULL);
    recorder->has_program_ended = true;
    recorder_write_ended(recorder);
    recorder_finish_run(recorder, true);
    recorder_close_writer(recorder, true);
    bool is_good = recorder->result.lost.code == 0;
    arena_file_close(&recorder->file);
    free(recorder->entries);
    free(recorder->active);
    for (uint32_t i = 0; i < recorder->image_count; i++) {
        if (recorder->images[i] != NULL) {
            image_writer_deinit(recorder->images[i]);
            free(recorder->images[i]);
        }
    }
    free(recorder->images);
    free(recorder);
    run->recorder = NULL;
    return is_good;
}
