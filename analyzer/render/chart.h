/*
 * render/chart.h - charts made of characters.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_RENDER_CHART_H
#define MEMTRACK_RENDER_CHART_H

#include "render/render.h"

/* Several lines with an axis; nothing for a chart without extent. */
void chart_print(FILE *out, const struct report_chart *chart, const struct render_options *options);

/* One line of `count` characters (at most 512), no newline. */
void chart_print_sparkline(FILE *out, const struct report_chart *chart, size_t count);

#endif
