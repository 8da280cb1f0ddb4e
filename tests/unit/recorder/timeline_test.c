/* Claims about recorder/timeline.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "recorder/timeline.h"

#define TICK_NS TIMELINE_INTERVAL_NS

static struct timeline_point point_at(uint64_t time_ns, int64_t live)
{
    return (struct timeline_point){.time_ns = time_ns,
                                   .live_bytes = live,
                                   .live_min_bytes = live,
                                   .live_max_bytes = live,
                                   .rss_bytes = TIMELINE_UNKNOWN,
                                   .allocations = TIMELINE_UNKNOWN,
                                   .cpu_ns = TIMELINE_UNKNOWN};
}

static void timeline_keeps_each_point_of_a_short_run(void **state)
{
    (void)state;
    struct timeline timeline;
    timeline_init(&timeline, 0);
    for (uint64_t i = 1; i <= 1000; i++) {
        struct timeline_point point = point_at(i * TICK_NS, (int64_t)i);
        assert_true(timeline_add(&timeline, &point));
    }
    assert_int_equal(timeline.count, 1000);
    assert_int_equal(timeline.points[0].time_ns, TICK_NS);
    assert_int_equal(timeline.points[999].live_bytes, 1000);
    assert_int_equal(timeline.generation, 0);
    timeline_deinit(&timeline);
}

static void timeline_of_any_length_is_bounded_rising_and_keeps_every_extreme(void **state)
{
    (void)state;
    srandom(7);
    struct timeline timeline;
    timeline_init(&timeline, 0);
    uint64_t time_ns = 0;
    int64_t spike_at = 123456;
    for (int64_t i = 0; i < 400000; i++) {
        /* Looks come late now and then. */
        time_ns += TICK_NS + (uint64_t)(random() % 100 == 0 ? random() % 90000000 : 0);
        struct timeline_point point = point_at(time_ns, 1000 + random() % 1000);
        if (i == spike_at) {
            point.live_max_bytes = 1000000;
        }
        if (i == spike_at + 7) {
            point.live_min_bytes = -5;
        }
        assert_true(timeline_add(&timeline, &point));
        assert_true(timeline.count <= TIMELINE_POINTS_MAX);
    }
    assert_true(timeline.count > TIMELINE_POINTS_MAX / 4);
    int spikes = 0;
    int dips = 0;
    for (size_t i = 0; i < timeline.count; i++) {
        const struct timeline_point *point = &timeline.points[i];
        assert_true(i == 0 || point->time_ns > timeline.points[i - 1].time_ns);
        assert_true(point->live_min_bytes <= point->live_bytes);
        assert_true(point->live_max_bytes >= point->live_bytes);
        spikes += point->live_max_bytes == 1000000;
        dips += point->live_min_bytes == -5;
    }
    assert_int_equal(spikes, 1);
    assert_int_equal(dips, 1);
    assert_int_equal(timeline.points[timeline.count - 1].time_ns, time_ns);
    timeline_deinit(&timeline);
}

static void timeline_puts_a_spike_where_it_was(void **state)
{
    (void)state;
    struct timeline timeline;
    timeline_init(&timeline, 0);
    const uint64_t spike_ns = 77777 * TICK_NS;
    for (uint64_t i = 1; i <= 200000; i++) {
        struct timeline_point point = point_at(i * TICK_NS, 10);
        if (i * TICK_NS == spike_ns) {
            point.live_max_bytes = 99;
        }
        timeline_add(&timeline, &point);
    }
    for (size_t i = 1; i < timeline.count; i++) {
        if (timeline.points[i].live_max_bytes == 99) {
            assert_true(timeline.points[i - 1].time_ns < spike_ns);
            assert_true(timeline.points[i].time_ns >= spike_ns);
            timeline_deinit(&timeline);
            return;
        }
    }
    fail_msg("the spike is gone");
}

static void timeline_puts_allocations_between_two_readings_on_a_line(void **state)
{
    (void)state;
    struct timeline timeline;
    timeline_init(&timeline, 0);
    for (uint64_t i = 1; i <= 10; i++) {
        struct timeline_point point = point_at(i * TICK_NS, 0);
        if (i == 10) {
            point.allocations = 5000;
        }
        timeline_add(&timeline, &point);
    }
    for (size_t i = 0; i < 10; i++) {
        assert_in_range(timeline.points[i].allocations, (i + 1) * 500 - 1, (i + 1) * 500);
    }
    timeline_deinit(&timeline);
}

static void timeline_never_shows_fewer_allocations_later(void **state)
{
    (void)state;
    srandom(11);
    struct timeline timeline;
    timeline_init(&timeline, 0);
    int64_t allocations = 0;
    for (uint64_t i = 1; i <= 50000; i++) {
        allocations += random() % 100;
        struct timeline_point point = point_at(i * TICK_NS, 0);
        if (random() % 37 == 0 || i == 50000) {
            point.allocations = allocations;
        }
        timeline_add(&timeline, &point);
    }
    for (size_t i = 1; i < timeline.count; i++) {
        assert_true(timeline.points[i].allocations != TIMELINE_UNKNOWN);
        assert_true(timeline.points[i].allocations >= timeline.points[i - 1].allocations);
    }
    assert_int_equal(timeline.points[timeline.count - 1].allocations, allocations);
    timeline_deinit(&timeline);
}

static void timeline_folds_a_second_look_at_the_same_time_into_the_first(void **state)
{
    (void)state;
    struct timeline timeline;
    timeline_init(&timeline, 0);
    struct timeline_point first = point_at(TICK_NS, 5);
    struct timeline_point second = point_at(TICK_NS, 3);
    timeline_add(&timeline, &first);
    timeline_add(&timeline, &second);
    assert_int_equal(timeline.count, 1);
    assert_int_equal(timeline.points[0].live_bytes, 3);
    assert_int_equal(timeline.points[0].live_max_bytes, 5);
    timeline_deinit(&timeline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeline_keeps_each_point_of_a_short_run),
        cmocka_unit_test(timeline_of_any_length_is_bounded_rising_and_keeps_every_extreme),
        cmocka_unit_test(timeline_puts_a_spike_where_it_was),
        cmocka_unit_test(timeline_puts_allocations_between_two_readings_on_a_line),
        cmocka_unit_test(timeline_never_shows_fewer_allocations_later),
        cmocka_unit_test(timeline_folds_a_second_look_at_the_same_time_into_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
