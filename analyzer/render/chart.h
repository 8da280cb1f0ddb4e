/*
 * render/chart.h - charts made of characters.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_RENDER_CHART_H
#define MEMTRACK_RENDER_CHART_H

#include "render/render.h"
#include "report/quantity.h"

/* Several lines with an axis; nothing for a chart without extent. */
void chart_print(FILE *out, const struct report_chart *chart, const struct render_options *options);

/* One line of `count` characters (at most 512; fewer when the chart's scale is longer than the
 * chart), no newline. Returns false and writes nothing for a chart without extent. */
bool chart_print_sparkline(FILE *out, const struct report_chart *chart, size_t count,
                           bool has_utf8);

/* The highest value. */
struct quantity chart_top(const struct report_chart *chart);

#endif
