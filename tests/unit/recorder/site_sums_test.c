/* Claims about recorder/site_sums.h and recorder/tracked.h: this test plays the shim, a
 * well-behaved one and one whose program scribbles over the arena. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "recorder/image_writer.h"
#include "recorder/tracked.h"

struct fake {
    struct arena_file file;
    struct arena_process *process;
    uint64_t offset;
    struct arena_image *image;
};

static void fake_open(struct fake *fake, uint64_t sample_bytes)
{
    struct arena_config config = {.sample_bytes = sample_bytes};
    assert_int_equal(arena_file_create(&config, &fake->file, NULL), 0);
    struct arena *arena = &fake->file.arena;
    uint64_t image_offset = arena_extent_new(arena, sizeof *fake->image);
    fake->image = arena_at(arena, image_offset, sizeof *fake->image);
    atomic_store(&fake->image->stack_next, 5000);
    atomic_store(&arena->header->image_offset[0], image_offset);
    atomic_store(&arena->header->image_count, 1);
    fake->offset = arena_extent_new(arena, sizeof *fake->process);
    fake->process = arena_at(arena, fake->offset, sizeof *fake->process);
    fake->process->pid = getpid();
    fake->process->start = ARENA_START_ATTACH;
    fake->process->started_monotonic_ns = arena->header->started_monotonic_ns;
    atomic_store(&arena->header->process_offset[0], fake->offset);
    atomic_store(&arena->header->process_count, 1);
}

static void fake_close(struct fake *fake)
{
    arena_file_close(&fake->file);
}

static struct arena_thread *thread_add(struct fake *fake, uint64_t *offset_out)
{
    struct arena *arena = &fake->file.arena;
    uint64_t offset = arena_extent_new(arena, sizeof(struct arena_thread));
    struct arena_thread *thread = arena_at(arena, offset, sizeof *thread);
    assert_non_null(thread);
    atomic_store(&thread->next, atomic_load(&fake->process->first_thread));
    atomic_store(&fake->process->first_thread, offset);
    if (offset_out != NULL) {
        *offset_out = offset;
    }
    return thread;
}

static struct arena_site *site_at(struct fake *fake, struct arena_thread *thread, uint32_t stack)
{
    struct arena_site *chunk =
        arena_chunk_get(&fake->file.arena, thread->site_chunk, stack / ARENA_SITES_PER_CHUNK,
                        ARENA_SITES_PER_CHUNK * sizeof(struct arena_site));
    return &chunk[stack % ARENA_SITES_PER_CHUNK];
}

static void sums_add_up_the_threads(void **state)
{
    (void)state;
    struct fake fake;
    struct site_sums sums = {0};
    fake_open(&fake, 0);
    struct arena_thread *one = thread_add(&fake, NULL);
    struct arena_thread *two = thread_add(&fake, NULL);
    *site_at(&fake, one, 7) = (struct arena_site){.allocations = 10, .allocated_bytes = 1000};
    /* Freed by another thread than the one that allocated: negative there. */
    *site_at(&fake, two, 7) =
        (struct arena_site){.frees = 4, .freed_bytes = 400, .temporaries = 1};
    *site_at(&fake, two, 4321) = (struct arena_site){.allocations = 1, .allocated_bytes = 5};

    assert_int_equal(site_sums_read(&fake.file, fake.offset, &sums), 0);
    assert_int_equal(sums.threads, 2);
    assert_true(sums.count > 4321);
    assert_int_equal(sums.sites[7].allocations, 10);
    assert_int_equal(sums.sites[7].frees, 4);
    assert_int_equal(sums.sites[7].temporaries, 1);
    assert_int_equal(sums.sites[4321].allocated_bytes, 5);
    assert_int_equal(sums.total.allocations, 11);
    assert_int_equal(sums.total.allocated_bytes - sums.total.freed_bytes, 605);
    site_sums_deinit(&sums);
    fake_close(&fake);
}

static void sums_take_the_kept_share_of_the_peak_or_the_present_one(void **state)
{
    (void)state;
    struct fake fake;
    struct site_sums sums = {0};
    fake_open(&fake, 0);
    atomic_store(&fake.process->peak_number, 3);
    struct arena_thread *thread = thread_add(&fake, NULL);
    /* Changed since the peak: its share was kept. */
    *site_at(&fake, thread, 1) = (struct arena_site){.allocations = 5,
                                                     .allocated_bytes = 500,
                                                     .frees = 5,
                                                     .freed_bytes = 500,
                                                     .peak_bytes = 300,
                                                     .peak_blocks = 3,
                                                     .peak_number = 3};
    /* Not touched since: what it holds now. */
    *site_at(&fake, thread, 2) = (struct arena_site){.allocations = 2,
                                                     .allocated_bytes = 80,
                                                     .peak_bytes = 999,
                                                     .peak_blocks = 9,
                                                     .peak_number = 2};
    assert_int_equal(site_sums_read(&fake.file, fake.offset, &sums), 0);
    assert_int_equal(sums.sites[1].peak_bytes, 300);
    assert_int_equal(sums.sites[1].peak_blocks, 3);
    assert_int_equal(sums.sites[2].peak_bytes, 80);
    assert_int_equal(sums.sites[2].peak_blocks, 2);
    assert_int_equal(sums.total.peak_bytes, 380);
    /* The total rose above the noted peak: the present values are the shares. */
    atomic_store(&fake.process->peak_bytes, 79);
    atomic_store(&fake.process->shared_live_bytes, 80);
    assert_int_equal(site_sums_read(&fake.file, fake.offset, &sums), 0);
    assert_int_equal(sums.sites[1].peak_bytes, 0);
    assert_int_equal(sums.sites[2].peak_bytes, 80);
    assert_int_equal(sums.total.peak_blocks, 2);
    site_sums_deinit(&sums);
    fake_close(&fake);
}

static void sums_keep_inherited_blocks_apart_from_allocations(void **state)
{
    (void)state;
    struct fake fake;
    struct site_sums sums = {0};
    fake_open(&fake, 0);
    struct arena_thread *inherited = thread_add(&fake, NULL);
    inherited->is_inherited = 1;
    *site_at(&fake, inherited, 3) = (struct arena_site){.allocations = 4, .allocated_bytes = 64};
    *site_at(&fake, thread_add(&fake, NULL), 3) =
        (struct arena_site){.frees = 1, .freed_bytes = 16};
    assert_int_equal(site_sums_read(&fake.file, fake.offset, &sums), 0);
    assert_int_equal(sums.threads, 1);
    assert_int_equal(sums.total.allocations, 0);
    assert_int_equal(sums.total.inherited_blocks, 4);
    assert_int_equal(sums.total.inherited_bytes, 64);
    assert_int_equal(sums.total.frees, 1);
    site_sums_deinit(&sums);
    fake_close(&fake);
}

static void sums_of_samples_count_whole_blocks(void **state)
{
    (void)state;
    struct fake fake;
    struct site_sums sums = {0};
    fake_open(&fake, 524288);
    *site_at(&fake, thread_add(&fake, NULL), 9) = (struct arena_site){
        .allocations = 10 * ARENA_SAMPLE_SCALE + ARENA_SAMPLE_SCALE / 2, .allocated_bytes = 77};
    assert_int_equal(site_sums_read(&fake.file, fake.offset, &sums), 0);
    assert_int_equal(sums.sites[9].allocations, 11);
    assert_int_equal(sums.sites[9].allocated_bytes, 77);
    site_sums_deinit(&sums);
    fake_close(&fake);
}

static void sums_do_not_give_memory_to_holes(void **state)
{
    (void)state;
    struct fake fake;
    struct site_sums sums = {0};
    fake_open(&fake, 0);
    struct arena_thread *thread = thread_add(&fake, NULL);
    for (uint32_t chunk = 0; chunk < 4; chunk++) {
        site_at(&fake, thread, chunk * ARENA_SITES_PER_CHUNK)->allocations = 1;
    }
    struct stat before;
    struct stat after;
    assert_int_equal(fstat(fake.file.fd, &before), 0);
    assert_int_equal(site_sums_read(&fake.file, fake.offset, &sums), 0);
    assert_int_equal(fstat(fake.file.fd, &after), 0);
    /* The four chunks have 16 pages each, of which one is in use. */
    assert_true((after.st_blocks - before.st_blocks) * 512 < 8 * 4096);
    assert_int_equal(sums.total.allocations, 4);
    site_sums_deinit(&sums);
    fake_close(&fake);
}

static void sums_survive_any_offset(void **state)
{
    (void)state;
    struct fake fake;
    struct site_sums sums = {0};
    fake_open(&fake, 0);
    uint64_t size = fake.file.arena.mapped_bytes;
    const uint64_t offsets[] = {1,        8,          64,   size - 8, size, size + 8,
                                UINT64_MAX, UINT64_MAX - 7, INT64_MAX, fake.offset};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        (void)site_sums_read(&fake.file, offsets[i], &sums);
        atomic_store(&fake.process->first_thread, offsets[i]);
        (void)site_sums_read(&fake.file, fake.offset, &sums);
        atomic_store(&fake.process->first_thread, 0);
        struct arena_thread *thread = thread_add(&fake, NULL);
        for (size_t chunk = 0; chunk < ARENA_SITE_CHUNKS; chunk++) {
            atomic_store(&thread->site_chunk[chunk], offsets[i]);
            atomic_store(&thread->lifetime_chunk[chunk], offsets[i]);
        }
        (void)site_sums_read(&fake.file, fake.offset, &sums);
        free(site_sums_read_lifetimes(&fake.file, fake.offset, sums.count));
        fake.process->image = (uint32_t)offsets[i];
        (void)site_sums_read(&fake.file, fake.offset, &sums);
        fake.process->image = 0;
        atomic_store(&fake.process->first_thread, 0);
    }
    assert_int_equal(site_sums_read(&fake.file, size, &sums), -EFAULT);
    site_sums_deinit(&sums);
    fake_close(&fake);
}

static void sums_end_where_the_list_of_threads_is_a_ring(void **state)
{
    (void)state;
    struct fake fake;
    uint64_t offset = 0;
    uint32_t seen = 0;
    fake_open(&fake, 0);
    struct arena_thread *thread = thread_add(&fake, &offset);
    atomic_store(&thread->next, offset);
    struct site_sums sums = {0};
    assert_int_equal(site_sums_read(&fake.file, fake.offset, &sums), 0);
    seen = sums.threads;
    assert_true(seen >= 1);
    site_sums_deinit(&sums);
    fake_close(&fake);
}

/* ---- a process as a whole --------------------------------------------------- */

static void window_set(struct fake *fake, uint32_t tick, int64_t min, int64_t max)
{
    struct arena_window *window = &fake->process->windows[tick % ARENA_WINDOWS];
    window->min_bytes = min;
    window->max_bytes = max;
    atomic_store(&window->tick, tick);
}

static void tracked_poll_keeps_a_spike_between_two_looks(void **state)
{
    (void)state;
    struct fake fake;
    fake_open(&fake, 0);
    struct tracked *tracked = tracked_new(&fake.file, 0, fake.offset);
    assert_non_null(tracked);
    assert_true(tracked->pidfd >= 0);
    atomic_store(&fake.process->shared_live_bytes, 100);
    window_set(&fake, 3, 40, 9000);
    window_set(&fake, 5, 100, 120);
    assert_true(tracked_poll(tracked, &fake.file, 6 * 10000000u));
    assert_int_equal(tracked->timeline.count, 1);
    assert_int_equal(tracked->timeline.points[0].live_bytes, 100);
    assert_int_equal(tracked->timeline.points[0].live_min_bytes, 40);
    assert_int_equal(tracked->timeline.points[0].live_max_bytes, 9000);
    assert_true(tracked->timeline.points[0].rss_bytes > 0);
    /* Nothing new: not active, and the old spike is not counted twice. */
    assert_false(tracked_poll(tracked, &fake.file, 8 * 10000000u));
    assert_int_equal(tracked->timeline.points[1].live_max_bytes, 100);
    tracked_free(tracked);
    fake_close(&fake);
}

static void tracked_poll_keeps_the_peak_of_a_long_pause(void **state)
{
    (void)state;
    struct fake fake;
    fake_open(&fake, 0);
    struct tracked *tracked = tracked_new(&fake.file, 0, fake.offset);
    window_set(&fake, 3, 0, 5000); /* used again since: */
    window_set(&fake, 3 + ARENA_WINDOWS, 0, 10);
    atomic_store(&fake.process->peak_bytes, 5000);
    assert_true(tracked_poll(tracked, &fake.file, (uint64_t)(70 * 10000000)));
    assert_int_equal(tracked->timeline.points[0].live_max_bytes, 5000);
    tracked_free(tracked);
    fake_close(&fake);
}

static void tracked_does_not_watch_a_process_that_has_nothing_to_do_with_it(void **state)
{
    (void)state;
    struct fake fake;
    fake_open(&fake, 0);
    /* As a program in another pid namespace would tell: a pid that is init's here. */
    fake.process->pid = 1;
    fake.process->start = ARENA_START_EXEC;
    struct tracked *tracked = tracked_new(&fake.file, 0, fake.offset);
    assert_non_null(tracked);
    assert_int_equal(tracked->pidfd, -1);
    tracked_free(tracked);
    assert_null(tracked_new(&fake.file, 0, fake.file.arena.mapped_bytes));
    fake_close(&fake);
}

static void tracked_writes_whatever_a_scribbling_program_left(void **state)
{
    (void)state;
    char path[] = "/tmp/memtrack-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct recording_writer *writer = NULL;
    struct mt_error error = {0};
    assert_int_equal(recording_writer_create(path, &(struct recording_run){.tick_ns = 1}, true,
                                             &writer, &error),
                     0);
    srandom(5);
    for (int round = 0; round < 30; round++) {
        struct fake fake;
        fake_open(&fake, 0);
        struct tracked *tracked = tracked_new(&fake.file, (uint32_t)round, fake.offset);
        struct arena_thread *thread = thread_add(&fake, NULL);
        site_at(&fake, thread, 1)->allocations = 3;
        unsigned char *bytes = (unsigned char *)fake.process;
        for (size_t i = 0; i < sizeof *fake.process; i++) {
            bytes[i] = (unsigned char)random();
        }
        bytes = (unsigned char *)fake.image;
        for (size_t i = 0; i < sizeof *fake.image; i++) {
            bytes[i] = round % 2 == 0 ? (unsigned char)random() : (unsigned char)0xff;
        }
        if (round % 3 == 0) {
            atomic_store(&fake.process->first_thread, 0);
        }
        struct image_writer image;
        image_writer_init(&image, 0, "/bin/x", "/");
        tracked_poll(tracked, &fake.file, 50000000);
        tracked_end(tracked, &fake.file, 60000000, 0);
        assert_int_equal(recording_writer_begin(writer, "a test"), 0);
        (void)tracked_write_snapshot(tracked, &fake.file, writer, round);
        assert_int_equal(tracked_write_sites(tracked, &fake.file, writer), 0);
        assert_int_equal(image_writer_update(&image, &fake.file, writer), 0);
        assert_int_equal(tracked_write_process(tracked, &fake.file, writer), 0);
        assert_int_equal(tracked_write_points(tracked, writer), 0);
        assert_int_equal(recording_writer_commit(writer, &error), 0);
        tracked_drop(tracked, &fake.file);
        image_writer_deinit(&image);
        tracked_free(tracked);
        fake_close(&fake);
    }
    assert_int_equal(recording_writer_finish(writer, true, &error), 0);
    unlink(path);
}

static void tracked_drop_gives_the_counters_of_an_ended_process_back(void **state)
{
    (void)state;
    struct fake fake;
    fake_open(&fake, 0);
    struct arena_thread *thread = thread_add(&fake, NULL);
    for (uint32_t stack = 0; stack < 4096; stack++) {
        site_at(&fake, thread, stack)->allocations = 1;
    }
    struct tracked *tracked = tracked_new(&fake.file, 0, fake.offset);
    struct stat before;
    struct stat after;
    assert_int_equal(fstat(fake.file.fd, &before), 0);
    tracked_drop(tracked, &fake.file);
    assert_int_equal(fstat(fake.file.fd, &after), 0);
    assert_true((before.st_blocks - after.st_blocks) * 512 >= 4096 * 64);
    assert_true(fake.file.arena.header->magic == ARENA_MAGIC);
    tracked_free(tracked);
    fake_close(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_add_up_the_threads),
        cmocka_unit_test(sums_take_the_kept_share_of_the_peak_or_the_present_one),
        cmocka_unit_test(sums_keep_inherited_blocks_apart_from_allocations),
        cmocka_unit_test(sums_of_samples_count_whole_blocks),
        cmocka_unit_test(sums_do_not_give_memory_to_holes),
        cmocka_unit_test(sums_survive_any_offset),
        cmocka_unit_test(sums_end_where_the_list_of_threads_is_a_ring),
        cmocka_unit_test(tracked_poll_keeps_a_spike_between_two_looks),
        cmocka_unit_test(tracked_poll_keeps_the_peak_of_a_long_pause),
        cmocka_unit_test(tracked_does_not_watch_a_process_that_has_nothing_to_do_with_it),
        cmocka_unit_test(tracked_writes_whatever_a_scribbling_program_left),
        cmocka_unit_test(tracked_drop_gives_the_counters_of_an_ended_process_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
