/* Claims about arena/clock.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arena/clock.h"

#define HOUR_NS (UINT64_C(3600) * 1000000000)

static void clock_of_a_short_run_counts_ten_millisecond_ticks(void **state)
{
    (void)state;
    assert_int_equal(clock_ns_to_ticks(0, CLOCK_TICK_NS), 0);
    assert_int_equal(clock_ns_to_ticks(9999999, CLOCK_TICK_NS), 0);
    assert_int_equal(clock_ns_to_ticks(10000000, CLOCK_TICK_NS), 1);
    assert_int_equal(clock_ns_to_ticks(HOUR_NS, CLOCK_TICK_NS), 360000);
    assert_int_equal(clock_ticks_to_ns(360000, CLOCK_TICK_NS), HOUR_NS);
}

static void clock_converts_each_tick_back_to_itself(void **state)
{
    (void)state;
    for (uint32_t tick = 0; tick <= CLOCK_TICKS_MAX; tick++) {
        uint64_t ns = clock_ticks_to_ns(tick, CLOCK_TICK_NS);
        assert_int_equal(clock_ns_to_ticks(ns, CLOCK_TICK_NS), tick);
        if (tick > 0) {
            assert_int_equal(clock_ns_to_ticks(ns - 1, CLOCK_TICK_NS), tick - 1);
        }
    }
}

static void clock_saturates_after_a_hundred_days(void **state)
{
    (void)state;
    uint64_t hundred_days_ns = 100 * 24 * HOUR_NS;
    assert_true(clock_ns_to_ticks(hundred_days_ns, CLOCK_TICK_NS) < CLOCK_TICKS_MAX);
    assert_int_equal(clock_ns_to_ticks(130 * 24 * HOUR_NS, CLOCK_TICK_NS), CLOCK_TICKS_MAX);
    assert_int_equal(clock_ns_to_ticks(UINT64_MAX, CLOCK_TICK_NS), CLOCK_TICKS_MAX);
    assert_int_equal(clock_ticks_to_ns(UINT32_MAX, CLOCK_TICK_NS),
                     clock_ticks_to_ns(CLOCK_TICKS_MAX, CLOCK_TICK_NS));
}

static void clock_ticks_are_short_beside_the_age_of_the_run(void **state)
{
    (void)state;
    for (uint32_t tick = 100000; tick < CLOCK_TICKS_MAX; tick += 997) {
        uint64_t ns = clock_ticks_to_ns(tick, CLOCK_TICK_NS);
        uint64_t length_ns = clock_ticks_to_ns(tick + 1, CLOCK_TICK_NS) - ns;
        assert_true(length_ns * 10000 < ns);
    }
}

static void clock_without_a_tick_length_stands_still(void **state)
{
    (void)state;
    assert_int_equal(clock_ns_to_ticks(HOUR_NS, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_of_a_short_run_counts_ten_millisecond_ticks),
        cmocka_unit_test(clock_converts_each_tick_back_to_itself),
        cmocka_unit_test(clock_saturates_after_a_hundred_days),
        cmocka_unit_test(clock_ticks_are_short_beside_the_age_of_the_run),
        cmocka_unit_test(clock_without_a_tick_length_stands_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
