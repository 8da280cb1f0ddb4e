/*
 * report/quantity.h - numbers as people read them: 12.5 MiB, 1,234, 830 ms, 3.4 %.
 *
 * Context: analyzer.
 * Memory:  results live in the struct that is returned; use them at once or copy them.
 */
#ifndef MEMTRACK_REPORT_QUANTITY_H
#define MEMTRACK_REPORT_QUANTITY_H

#include <stdint.h>

struct quantity {
    char text[48];
};

struct quantity quantity_bytes(int64_t bytes);     /* "640 B", "12.5 MiB" */
struct quantity quantity_count(int64_t count);     /* "1,234,567" */
struct quantity quantity_percent(double value);    /* "3.4 %", "<0.1 %" */
struct quantity quantity_seconds(double value);    /* "830 us", "1.50 s", "2 h 03 m" */
struct quantity quantity_rate_bytes(double value); /* "1.2 MiB/s" */

#endif
