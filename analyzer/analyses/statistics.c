#include "analyses/statistics.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define STATISTICS_EXACT_MAX 10u

/* ---- Mann-Kendall ---------------------------------------------------------- */

/* Sorts values[0..count) by merging, and counts pairs that stood in the wrong order. */
static int64_t statistics_count_inversions(double *values, double *other, size_t count)
{
    int64_t inversions = 0;
    double *from = values;
    double *to = other;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            size_t middle = low + width < count ? low + width : count;
            size_t high = low + 2 * width < count ? low + 2 * width : count;
            size_t left = low;
            size_t right = middle;
            for (size_t at = low; at < high; at++) {
                if (left < middle && (right >= high || from[left] <= from[right])) {
                    to[at] = from[left++];
                } else {
                    inversions += (int64_t)(middle - left);
                    to[at] = from[right++];
                }
            }
        }
        double *swap = from;
        from = to;
        to = swap;
    }
    if (from != values) {
        memcpy(values, from, count * sizeof(*values));
    }
    return inversions;
}

/*
 * P(S >= s) for n values without ties, by counting permutations with k inversions:
 * a permutation of n values is one of n-1 with the n-th put at any of n places.
 */
static double statistics_exact_tail(size_t n, int64_t s)
{
    double counts[STATISTICS_EXACT_MAX * (STATISTICS_EXACT_MAX - 1) / 2 + 1] = {1};
    size_t pairs = n * (n - 1) / 2;
    double all = 1;
    for (size_t size = 2; size <= n; size++) {
        double next[sizeof(counts) / sizeof(counts[0])] = {0};
        for (size_t k = 0; k <= pairs; k++) {
            for (size_t place = 0; place < size && place <= k; place++) {
                next[k] += counts[k - place];
            }
        }
        memcpy(counts, next, sizeof(counts));
        all *= (double)size;
    }
    double tail = 0;
    for (size_t inversions = 0; inversions <= pairs; inversions++) {
        if ((int64_t)pairs - 2 * (int64_t)inversions >= s) {
            tail += counts[inversions];
        }
    }
    return tail / all;
}

struct statistics_trend statistics_mann_kendall(const double *values, size_t count,
                                                double *scratch)
{
    struct statistics_trend trend = {.p_value = 1};
    if (count < 3) {
        return trend;
    }
    double *sorted = scratch;
    memcpy(sorted, values, count * sizeof(*values));
    int64_t discordant = statistics_count_inversions(sorted, scratch + count, count);
    double n = (double)count;
    int64_t pairs = (int64_t)STATISTICS_PAIRS(count);
    int64_t tied = 0;
    double correction = 0;
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && sorted[end] == sorted[i]) {
            end++;
        }
        double t = (double)(end - i);
        tied += (int64_t)STATISTICS_PAIRS(end - i);
        correction += t * (t - 1) * (2 * t + 5);
        i = end;
    }
    trend.s = pairs - tied - 2 * discordant;
    trend.tau = (double)trend.s / (double)pairs;
    trend.variance = (n * (n - 1) * (2 * n + 5) - correction) / 18;
    if (trend.variance <= 0 || trend.s == 0) {
        return trend;
    }
    double distance = fabs((double)trend.s) - 1;
    trend.z = copysign(distance / sqrt(trend.variance), (double)trend.s);
    trend.p_value = tied == 0 && count <= STATISTICS_EXACT_MAX
                        ? fmin(1, 2 * statistics_exact_tail(count, llabs(trend.s)))
                        : erfc(fabs(trend.z) / sqrt(2));
    return trend;
}

/* ---- Theil-Sen ------------------------------------------------------------- */

/* Puts what is less than the pivot (with_equal: or equal to it) in front; returns where that
 * ends. Without a branch on the values: half of them would be guessed wrongly. */
static size_t statistics_part(double *values, size_t low, size_t high, double pivot,
                              bool with_equal)
{
    size_t end = low;
    for (size_t at = low; at < high; at++) {
        double value = values[at];
        values[at] = values[end];
        values[end] = value;
        end += with_equal ? value <= pivot : value < pivot;
    }
    return end;
}

double statistics_select(double *values, size_t count, size_t k)
{
    size_t low = 0;
    size_t high = count;
    while (high - low > 1) {
        double a = values[low];
        double b = values[low + (high - low) / 2];
        double c = values[high - 1];
        double pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
        /* [low, less) < pivot, [less, more) = pivot, [more, high) > pivot */
        size_t less = statistics_part(values, low, high, pivot, false);
        if (k < less) {
            high = less;
            continue;
        }
        size_t more = statistics_part(values, less, high, pivot, true);
        if (k < more) {
            return pivot;
        }
        low = more;
    }
    return count > 0 ? values[low] : 0;
}

double statistics_median(double *values, size_t count)
{
    if (count == 0) {
        return 0;
    }
    double upper = statistics_select(values, count, count / 2);
    if (count % 2 == 1) {
        return upper;
    }
    /* What is left of the place selected is not greater: the one before is its maximum. */
    double lower = values[0];
    for (size_t i = 1; i < count / 2; i++) {
        lower = values[i] > lower ? values[i] : lower;
    }
    return (upper + lower) / 2;
}

/* The quantile of the standard normal distribution: where erfc gives this tail.
 * Bisection: it is asked for once in a while, and needs no constants from a table. */
static double statistics_normal_quantile(double two_sided_confidence)
{
    static double known_confidence;
    static double known_quantile;
    if (two_sided_confidence == known_confidence) {
        return known_quantile;
    }
    double low = 0;
    double high = 10;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (erfc(middle / sqrt(2)) > 1 - two_sided_confidence) {
            low = middle;
        } else {
            high = middle;
        }
    }
    known_confidence = two_sided_confidence;
    known_quantile = (low + high) / 2;
    return known_quantile;
}

struct statistics_slope statistics_theil_sen(const double *times, const double *values,
                                             size_t count, double variance, double confidence,
                                             double *pairs)
{
    size_t n = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        for (size_t k = i + 1; k < count; k++) {
            if (times[k] > times[i]) {
                pairs[n++] = (values[k] - values[i]) / (times[k] - times[i]);
            }
        }
    }
    struct statistics_slope result = {0};
    if (n == 0) {
        return result;
    }
    result.slope = statistics_median(pairs, n);
    double reach = statistics_normal_quantile(confidence) * sqrt(variance > 0 ? variance : 0);
    double low = ((double)n - reach) / 2; /* how many slopes lie below the interval */
    size_t below = low < 1 ? 0 : (size_t)llround(low) - 1;
    size_t above = n - 1 - below;
    /* The median parted the slopes: each bound is among its own half. */
    size_t half = n / 2;
    result.low = below < half ? statistics_select(pairs, half, below) : result.slope;
    result.high =
        above > half ? statistics_select(pairs + half, n - half, above - half) : result.slope;
    return result;
}

/* ---- many tests ------------------------------------------------------------ */

static const double *statistics_ordered; /* qsort has no context */

static int statistics_compare(const void *left, const void *right)
{
    size_t a = *(const size_t *)left;
    size_t b = *(const size_t *)right;
    if (statistics_ordered[a] != statistics_ordered[b]) {
        return statistics_ordered[a] < statistics_ordered[b] ? -1 : 1;
    }
    return a < b ? -1 : a > b;
}

void statistics_adjust(const double *p_values, double *adjusted, size_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        order[i] = i;
    }
    statistics_ordered = p_values;
    if (count > 0) {
        qsort(order, count, sizeof(*order), statistics_compare);
    }
    double least = 1;
    for (size_t rank = count; rank > 0; rank--) {
        size_t i = order[rank - 1];
        double value = p_values[i] * (double)count / (double)rank;
        least = value < least ? value : least;
        adjusted[i] = least;
    }
}
