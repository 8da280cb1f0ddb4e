/* Counters, totals, the peak's composition and sampling, against direct computation. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/track.h"
#include "support/test_arena.h"

/* Addresses are only numbers to the live map, which outlasts a test: each has its own. */
#define TEST_BASE UINT64_C(0x200000000000)
#define SAMPLED_BASE UINT64_C(0x210000000000)
#define RELEASED_BASE UINT64_C(0x220000000000)
#define SITES 50
#define BLOCKS 2000

/* A process as process_start() would have made it, and this thread's record. */
static struct thread *begin_process(struct arena *arena, uint64_t sample_bytes, uint32_t seed)
{
    thread_self = NULL;
    *arena = test_arena_new(TEST_ARENA_BYTES);
    arena->header->config.sample_bytes = sample_bytes;
    arena->header->config.sample_seed = seed;
    process_cold = (struct process_cold){.arena = *arena, .is_started = true};
    process_cold.process = arena_at(
        arena, arena_extent_new(arena, sizeof(struct arena_process)), sizeof(struct arena_process));
    memset(&process_hot, 0, sizeof process_hot);
    process_hot.process = process_cold.process;
    process_hot.sample_bytes = sample_bytes;
    process_hot.is_tracking = 1;
    atomic_store(&thread_running_count, 0);
    thread_forked(); /* all records are free, none has a table */
    struct thread *thread = thread_enter();
    assert_non_null(thread);
    return thread;
}

static void end_process(struct arena *arena)
{
    thread_self = NULL;
    process_hot.is_tracking = 0;
    test_arena_free(arena);
}

static void allocate(struct thread *thread, uintptr_t address, uint64_t size, uint32_t stack)
{
    struct live_block block = {.size_bytes = size,
                               .stack = stack,
                               .birth_tick = totals_birth_clock(),
                               .family = ARENA_FAMILY_MALLOC};
    track_block_in(thread, address, &block);
}

static void release(struct thread *thread, uintptr_t address)
{
    struct live_block block;
    assert_true(live_map_remove(address, &block));
    track_block_out(thread, address, &block);
}

static int64_t share_at_peak(const struct arena_site *site)
{
    return site->peak_number == process_cold.process->peak_number
               ? site->peak_bytes
               : (int64_t)(site->allocated_bytes - site->freed_bytes);
}

static void track_knows_the_peak_and_its_composition_to_the_byte(void **state)
{
    (void)state;
    struct arena arena;
    struct thread *thread = begin_process(&arena, 0, 0);
    static uint64_t size_of[BLOCKS];
    static uint32_t site_of[BLOCKS];
    int64_t live[SITES + 1] = {0};
    int64_t at_peak[SITES + 1] = {0};
    int64_t total = 0;
    int64_t peak = 0;
    srandom(2);
    for (int event = 0; event < 200000; event++) {
        size_t i = (size_t)random() % BLOCKS;
        uintptr_t address = TEST_BASE + i * 4096;
        if (size_of[i] != 0) {
            release(thread, address);
            total -= (int64_t)size_of[i];
            live[site_of[i]] -= (int64_t)size_of[i];
            size_of[i] = 0;
        } else if (random() % 3 != 0) { /* drifts, so that peaks come late too */
            size_of[i] = 1 + (uint64_t)random() % 3000 + (uint64_t)event / 100;
            site_of[i] = 1 + (uint32_t)random() % SITES;
            allocate(thread, address, size_of[i], site_of[i]);
            total += (int64_t)size_of[i];
            live[site_of[i]] += (int64_t)size_of[i];
            if (total > peak) {
                peak = total;
                memcpy(at_peak, live, sizeof live);
            }
        }
    }
    totals_publish(thread);
    assert_int_equal(process_cold.process->peak_bytes, peak);
    assert_int_equal(process_cold.process->shared_live_bytes, total);
    for (uint32_t site = 1; site <= SITES; site++) {
        struct arena_site *line = thread_site(thread, site);
        assert_int_equal(share_at_peak(line), at_peak[site]);
        assert_int_equal((int64_t)(line->allocated_bytes - line->freed_bytes), live[site]);
    }
    end_process(&arena);
}

static void track_notes_a_peak_when_it_is_left(void **state)
{
    (void)state;
    struct arena arena;
    struct thread *thread = begin_process(&arena, 0, 0);
    struct arena_process *process = process_cold.process;
    allocate(thread, TEST_BASE, 1000, 1);
    allocate(thread, TEST_BASE + 4096, 500, 2);
    assert_true(arena_peak_is_now(process));
    atomic_store(&arena.header->clock_ticks, 7);
    release(thread, TEST_BASE); /* the peak ended in tick 7, but was reached in tick 0 */
    assert_false(arena_peak_is_now(process));
    assert_int_equal(process->peak_bytes, 1500);
    assert_int_equal(process->peak_blocks, 2);
    assert_int_equal(process->peak_tick, 0);
    assert_int_equal(share_at_peak(thread_site(thread, 1)), 1000);
    assert_int_equal(share_at_peak(thread_site(thread, 2)), 500);
    allocate(thread, TEST_BASE, 2000, 1);
    assert_true(arena_peak_is_now(process));
    totals_publish(thread);
    assert_false(arena_peak_is_now(process));
    assert_int_equal(process->peak_bytes, 2500);
    assert_int_equal(process->peak_tick, 7);
    assert_int_equal(share_at_peak(thread_site(thread, 1)), 2000);
    end_process(&arena);
}

static void track_counts_a_temporary_only_before_the_next_allocation(void **state)
{
    (void)state;
    struct arena arena;
    struct thread *thread = begin_process(&arena, 0, 0);
    uintptr_t a = TEST_BASE;
    uintptr_t b = TEST_BASE + 4096;
    allocate(thread, a, 10, 1);
    allocate(thread, b, 10, 1);
    release(thread, a);
    release(thread, b);
    assert_int_equal(thread_site(thread, 1)->temporaries, 1);
    allocate(thread, a, 10, 1);
    release(thread, a);
    assert_int_equal(thread_site(thread, 1)->temporaries, 2);
    end_process(&arena);
}

static void track_puts_lifetimes_into_log2_buckets_of_ticks(void **state)
{
    (void)state;
    struct arena arena;
    struct thread *thread = begin_process(&arena, 0, 0);
    static const uint32_t lifetimes[] = {0, 1, 2, 3, 4, 100, 40000, 70000};
    for (size_t i = 0; i < sizeof lifetimes / sizeof *lifetimes; i++) {
        allocate(thread, TEST_BASE, 10, 1);
        atomic_fetch_add(&arena.header->clock_ticks, lifetimes[i]);
        release(thread, TEST_BASE);
    }
    struct arena_lifetimes *chunk = arena_at(&arena, thread->table->lifetime_chunk[0], 64);
    assert_non_null(chunk);
    static const uint32_t expected[ARENA_LIFETIME_BUCKETS] = {
        [0] = 1, [1] = 2, [2] = 1, [6] = 1, [15] = 2};
    assert_memory_equal(chunk[1].bucket, expected, sizeof expected);
    end_process(&arena);
}

static void track_keeps_the_extremes_of_each_tick(void **state)
{
    (void)state;
    struct arena arena;
    struct thread *thread = begin_process(&arena, 0, 0);
    allocate(thread, TEST_BASE, 1000, 1);
    atomic_store(&arena.header->clock_ticks, 5);
    allocate(thread, TEST_BASE + 4096, 500, 1);
    release(thread, TEST_BASE + 4096);
    release(thread, TEST_BASE);
    allocate(thread, TEST_BASE, 200, 1);
    const struct arena_window *window = &process_cold.process->windows[5 % ARENA_WINDOWS];
    assert_int_equal(window->tick, 5);
    assert_int_equal(window->max_bytes, 1500);
    assert_int_equal(window->min_bytes, 0);
    assert_int_equal(process_cold.process->windows[0].max_bytes, 1000);
    end_process(&arena);
}

static void sampler_computes_as_libm_does(void **state)
{
    (void)state;
    for (double x = 1e-9; x < 100.0; x *= 1.01) {
        double expected = -expm1(-x);
        assert_true(fabs(sampler_one_minus_exp(x) - expected) <= 1e-12 * expected);
    }
    for (double u = 0x1p-53; u < 1.0; u *= 1.01) {
        double expected = -log(u);
        assert_true(fabs(sampler_minus_log(u) - expected) <= 1e-12 * expected + 1e-15);
    }
    assert_true(sampler_minus_log(1.0) == 0.0);
}

/* Sites of one size each, from far below to above the sampling distance. */
#define SAMPLED_SITES 12
#define SAMPLED_EVENTS 4000
#define SAMPLE_BYTES 4096

struct truth {
    uint64_t allocations;
    uint64_t bytes;
};

static uint64_t sampled_site_size(uint32_t site)
{
    return 16 + site * site * 60; /* 76 .. 8656 bytes */
}

/* Runs the same program under a seed; counts per site whether the 95 % interval covers the
 * truth, and adds up the estimates. */
static void sample_once(uint32_t seed, unsigned covered[2], double sums[SAMPLED_SITES + 1],
                        struct truth truth[SAMPLED_SITES + 1])
{
    struct arena arena;
    struct thread *thread = begin_process(&arena, SAMPLE_BYTES, seed);
    memset(truth, 0, (SAMPLED_SITES + 1) * sizeof *truth);
    for (uint32_t i = 0; i < SAMPLED_EVENTS * SAMPLED_SITES; i++) {
        uint32_t site = i % SAMPLED_SITES + 1;
        uint64_t size = sampled_site_size(site);
        truth[site].allocations++;
        truth[site].bytes += size;
        if (sampler_take(thread, size)) {
            allocate(thread, SAMPLED_BASE + (uint64_t)i * 16384, size, site);
        }
    }
    struct arena_sample_site *samples =
        arena_at(&arena, thread->table->sample_chunk[0], sizeof *samples);
    assert_non_null(samples);
    for (uint32_t site = 1; site <= SAMPLED_SITES; site++) {
        double count = (double)thread_site(thread, site)->allocations / ARENA_SAMPLE_SCALE;
        double bytes = (double)thread_site(thread, site)->allocated_bytes;
        double count_error = count - (double)truth[site].allocations;
        double bytes_error = bytes - (double)truth[site].bytes;
        covered[0] += fabs(count_error) <= 1.96 * sqrt(samples[site].allocated_count_variance);
        covered[1] += fabs(bytes_error) <= 1.96 * sqrt(samples[site].allocated_bytes_variance);
        sums[site] += bytes;
    }
    end_process(&arena);
    for (uint32_t i = 0; i < SAMPLED_EVENTS * SAMPLED_SITES; i++) {
        struct live_block block;
        live_map_remove(SAMPLED_BASE + (uint64_t)i * 16384, &block);
    }
}

static void sampler_covers_the_truth_and_has_no_bias_over_200_seeds(void **state)
{
    (void)state;
    unsigned covered[2] = {0, 0};
    double sums[SAMPLED_SITES + 1] = {0};
    struct truth truth[SAMPLED_SITES + 1];
    for (uint32_t seed = 1; seed <= 200; seed++) {
        sample_once(seed, covered, sums, truth);
    }
    assert_true(covered[0] >= 200 * SAMPLED_SITES * 93 / 100);
    assert_true(covered[1] >= 200 * SAMPLED_SITES * 93 / 100);
    for (uint32_t site = 1; site <= SAMPLED_SITES; site++) {
        /* The mean of 200 runs: four standard errors of one in a thousand chances. */
        double p = -expm1(-(double)sampled_site_size(site) / SAMPLE_BYTES);
        double error = sqrt((1 - p) / p / (200.0 * (double)truth[site].allocations));
        assert_true(fabs(sums[site] / 200 / (double)truth[site].bytes - 1) < 4 * error);
    }
}

static void sampler_takes_away_on_release_just_what_it_added(void **state)
{
    (void)state;
    struct arena arena;
    struct thread *thread = begin_process(&arena, SAMPLE_BYTES, 9);
    for (uint32_t i = 0; i < 20000; i++) {
        if (sampler_take(thread, 100 + i % 5000)) {
            allocate(thread, RELEASED_BASE + (uint64_t)i * 8192, 100 + i % 5000, 3);
        }
    }
    struct arena_site *site = thread_site(thread, 3);
    assert_true(site->allocated_bytes > 0);
    for (uint32_t i = 0; i < 20000; i++) {
        struct live_block block;
        if (live_map_remove(RELEASED_BASE + (uint64_t)i * 8192, &block)) {
            track_block_out(thread, RELEASED_BASE + (uint64_t)i * 8192, &block);
        }
    }
    assert_int_equal(site->allocated_bytes, site->freed_bytes);
    assert_int_equal(site->allocations, site->frees);
    assert_int_equal(process_cold.process->shared_live_bytes, 0);
    end_process(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(track_knows_the_peak_and_its_composition_to_the_byte),
        cmocka_unit_test(track_notes_a_peak_when_it_is_left),
        cmocka_unit_test(track_counts_a_temporary_only_before_the_next_allocation),
        cmocka_unit_test(track_puts_lifetimes_into_log2_buckets_of_ticks),
        cmocka_unit_test(track_keeps_the_extremes_of_each_tick),
        cmocka_unit_test(sampler_computes_as_libm_does),
        cmocka_unit_test(sampler_covers_the_truth_and_has_no_bias_over_200_seeds),
        cmocka_unit_test(sampler_takes_away_on_release_just_what_it_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
