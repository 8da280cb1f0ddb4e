/*
 * Statistics against published examples:
 *   Sen (1968), "Estimates of the regression coefficient based on Kendall's tau", JASA 63,
 *     section 6: the slope 4 of seven pairs, and its 93 % interval [3.71, 4.38]
 *   Gilbert (1987), "Statistical Methods for Environmental Pollution Monitoring", section
 *     16.4.1: 10, 15, 14, 20 has S = 4, p = 0.167 (one-sided, his table A18); section
 *     16.4.2: nine values in three tied groups have the variance 83.67
 *   Kendall, "Rank Correlation Methods", table of S: n = 10, S = 21: 0.036; n = 8, S = 16:
 *     0.031 (one-sided)
 *   Benjamini and Hochberg (1995), section 3.2: of 15 p-values 4 are accepted at 0.05
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyses/statistics.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_near(double actual, double expected, double tolerance)
{
    if (!(fabs(actual - expected) <= tolerance)) {
        fail_msg("%.9g is not %.9g +- %.2g", actual, expected, tolerance);
    }
}

static struct statistics_trend trend_of(const double *values, size_t count)
{
    double scratch[2000];
    assert_true(2 * count <= COUNT(scratch));
    return statistics_mann_kendall(values, count, scratch);
}

static void mann_kendall_agrees_with_gilbert_on_four_values(void **state)
{
    (void)state;
    const double values[] = {10, 15, 14, 20};
    struct statistics_trend trend = trend_of(values, 4);
    assert_int_equal(trend.s, 4);
    assert_near(trend.p_value / 2, 0.167, 0.0005);
}

static void mann_kendall_corrects_the_variance_for_ties_as_gilbert_does(void **state)
{
    (void)state;
    const double values[] = {23, 24, 29, 6, 29, 24, 24, 29, 23};
    struct statistics_trend trend = trend_of(values, 9);
    assert_near(trend.variance, 1506.0 / 18, 1e-9);
    assert_near(trend.variance, 83.67, 0.005);
    assert_int_equal(trend.s, 3);
}

static void mann_kendall_agrees_with_kendalls_table_of_small_samples(void **state)
{
    (void)state;
    /* 10 values with 12 inversions: S = 45 - 24 = 21. 8 with 6: S = 28 - 12 = 16. */
    const double ten[] = {5, 4, 3, 2, 1, 8, 7, 6, 9, 10};
    double shifted[10];
    memcpy(shifted, ten, sizeof(ten));
    assert_int_equal(trend_of(ten, 10).s, 45 - 2 * 13);
    shifted[5] = 7;
    shifted[6] = 8;
    struct statistics_trend trend = trend_of(shifted, 10);
    assert_int_equal(trend.s, 21);
    assert_near(trend.p_value / 2, 0.036, 0.0005);
    const double eight[] = {4, 3, 2, 1, 5, 6, 7, 8};
    trend = trend_of(eight, 8);
    assert_int_equal(trend.s, 16);
    assert_near(trend.p_value / 2, 0.031, 0.0005);
}

static void mann_kendall_counts_pairs_as_the_definition_does(void **state)
{
    (void)state;
    unsigned random = 7;
    for (size_t count = 3; count < 200; count += 7) {
        double values[200];
        int64_t s = 0;
        for (size_t i = 0; i < count; i++) {
            random = random * 1103515245u + 12345u;
            values[i] = (double)(random / 65536u % 23u);
        }
        for (size_t i = 0; i < count; i++) {
            for (size_t k = i + 1; k < count; k++) {
                s += (values[k] > values[i]) - (values[k] < values[i]);
            }
        }
        assert_int_equal(trend_of(values, count).s, s);
    }
}

static void mann_kendall_finds_nothing_in_equal_values_and_in_few(void **state)
{
    (void)state;
    const double equal[] = {3, 3, 3, 3, 3, 3};
    assert_near(trend_of(equal, 6).p_value, 1, 0);
    assert_near(trend_of(equal, 2).p_value, 1, 0);
    assert_near(trend_of(equal, 0).p_value, 1, 0);
}

static void theil_sen_agrees_with_sens_own_example(void **state)
{
    (void)state;
    const double times[] = {1, 2, 3, 4, 10, 12, 18};
    const double values[] = {9, 15, 19, 20, 45, 55, 78};
    double pairs[STATISTICS_PAIRS(7)];
    struct statistics_slope slope =
        statistics_theil_sen(times, values, 7, trend_of(values, 7).variance, 0.93, pairs);
    assert_near(slope.slope, 4, 1e-12);
    assert_near(slope.low, 3.71, 0.005);
    assert_near(slope.high, 4.38, 0.005);
}

static void theil_sen_ignores_outliers(void **state)
{
    (void)state;
    double times[50];
    double values[50];
    double pairs[STATISTICS_PAIRS(50)];
    for (size_t i = 0; i < 50; i++) {
        times[i] = (double)i;
        values[i] = 100 + 3.0 * (double)i + (i % 8 == 3 ? 1e9 : 0);
    }
    struct statistics_slope slope =
        statistics_theil_sen(times, values, 50, trend_of(values, 50).variance, 0.95, pairs);
    assert_near(slope.slope, 3, 0.01);
    assert_true(slope.low <= slope.slope && slope.slope <= slope.high);
}

static void theil_sen_of_one_value_is_nothing(void **state)
{
    (void)state;
    double time = 1;
    struct statistics_slope slope = statistics_theil_sen(&time, &time, 1, 0, 0.95, NULL);
    assert_near(slope.slope, 0, 0);
}

static int compare_numbers(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static void select_gives_what_sorting_gives(void **state)
{
    (void)state;
    unsigned random = 3;
    for (size_t count = 1; count < 120; count++) {
        double values[120];
        double sorted[120];
        for (size_t i = 0; i < count; i++) {
            random = random * 1103515245u + 12345u;
            values[i] = (double)(random / 65536u % 40u);
        }
        memcpy(sorted, values, sizeof(values));
        qsort(sorted, count, sizeof(double), compare_numbers);
        for (size_t k = 0; k < count; k += 5) {
            assert_near(statistics_select(values, count, k), sorted[k], 0);
        }
        double median = count % 2 == 1 ? sorted[count / 2]
                                       : (sorted[count / 2] + sorted[count / 2 - 1]) / 2;
        assert_near(statistics_median(values, count), median, 0);
    }
}

static void adjusting_accepts_what_benjamini_and_hochberg_accept(void **state)
{
    (void)state;
    const double p[] = {0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
                        0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000};
    double adjusted[COUNT(p)];
    size_t order[COUNT(p)];
    statistics_adjust(p, adjusted, order, COUNT(p));
    size_t accepted = 0;
    for (size_t i = 0; i < COUNT(p); i++) {
        accepted += adjusted[i] <= 0.05;
        assert_true(adjusted[i] >= p[i]);
        assert_true(i == 0 || adjusted[i] >= adjusted[i - 1]);
    }
    assert_int_equal(accepted, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mann_kendall_agrees_with_gilbert_on_four_values),
        cmocka_unit_test(mann_kendall_corrects_the_variance_for_ties_as_gilbert_does),
        cmocka_unit_test(mann_kendall_agrees_with_kendalls_table_of_small_samples),
        cmocka_unit_test(mann_kendall_counts_pairs_as_the_definition_does),
        cmocka_unit_test(mann_kendall_finds_nothing_in_equal_values_and_in_few),
        cmocka_unit_test(theil_sen_agrees_with_sens_own_example),
        cmocka_unit_test(theil_sen_ignores_outliers),
        cmocka_unit_test(theil_sen_of_one_value_is_nothing),
        cmocka_unit_test(select_gives_what_sorting_gives),
        cmocka_unit_test(adjusting_accepts_what_benjamini_and_hochberg_accept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
