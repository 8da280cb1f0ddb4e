/*
 * analyses/statistics.h - is there a trend, and how steep is it: rank statistics, which
 * need no assumption about the shape of the noise.
 *
 * Context: analyzer.
 * Memory:  scratch space is the caller's.
 * Threads: one at a time.
 */
#ifndef MEMTRACK_ANALYSES_STATISTICS_H
#define MEMTRACK_ANALYSES_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

struct statistics_trend {
    int64_t s;       /* concordant pairs - discordant pairs */
    double variance; /* of s without a trend, corrected for ties */
    double z;        /* s in standard deviations, with continuity correction */
    double tau;      /* s / number of pairs */
    double p_value;  /* two-sided; exact for up to 10 values without ties */
};

/* Mann-Kendall test of values[0..count) in order of time. scratch: 2 * count doubles.
 * Fewer than 3 values: p_value 1. O(count log count).
 * Sources: Mann (1945), Econometrica 13, 245-259; Kendall (1975), Rank Correlation Methods;
 * variance with ties: Gilbert (1987), Statistical Methods for Environmental Pollution
 * Monitoring, section 16.4.2. */
struct statistics_trend statistics_mann_kendall(const double *values, size_t count,
                                                double *scratch);

struct statistics_slope {
    double slope; /* median of the slopes of all pairs */
    double low;   /* confidence interval; slope itself when there are too few pairs */
    double high;
};

/* Room that statistics_theil_sen() needs, in doubles. */
#define STATISTICS_PAIRS(count) ((count) * ((count) > 0 ? (count)-1 : 0) / 2)

/* Theil-Sen slope of values over times (rising), with an interval that holds the true slope
 * with probability `confidence`. variance: of s, as above. pairs: scratch of
 * STATISTICS_PAIRS(count). O(count^2).
 * Sources: Theil (1950); Sen (1968), JASA 63, 1379-1389. */
struct statistics_slope statistics_theil_sen(const double *times, const double *values,
                                             size_t count, double variance, double confidence,
                                             double *pairs);

/* Benjamini-Hochberg: adjusted[i] is the least share of false discoveries at which the
 * test with p_values[i] would be accepted. order: scratch of count.
 * Source: Benjamini and Hochberg (1995), J. R. Stat. Soc. B 57, 289-300. */
void statistics_adjust(const double *p_values, double *adjusted, size_t *order, size_t count);

/* The k-th smallest (from 0) of values[0..count), which are reordered. */
double statistics_select(double *values, size_t count, size_t k);
double statistics_median(double *values, size_t count); /* 0 for none */

#endif
