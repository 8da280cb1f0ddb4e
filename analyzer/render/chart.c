/* Charts of text: one column per interval, the highest value of it as a bar. */
#include "render/chart.h"

#include "report/quantity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHART_ROWS 6u
#define CHART_LABEL_COLUMNS 11u
#define CHART_COLUMNS_MAX 512u

/* The highest value that any interval overlapping each column has. */
static void chart_sample(const struct report_chart *chart, double *columns, size_t count)
{
    double length = chart->end_seconds - chart->start_seconds;
    memset(columns, 0, count * sizeof(*columns));
    double from = chart->start_seconds;
    for (size_t i = 0; i < chart->point_count; i++) {
        const struct report_chart_point *point = &chart->points[i];
        double first = (from - chart->start_seconds) / length * (double)count;
        double last = (point->seconds - chart->start_seconds) / length * (double)count;
        from = point->seconds;
        if (!(last >= 0) || !(first <= (double)count)) {
            continue;
        }
        size_t low = first > 0 ? (size_t)first : 0;
        size_t high = last < (double)count ? (size_t)last : count - 1;
        for (size_t k = low; k <= high && k < count; k++) {
            if (point->high > columns[k]) {
                columns[k] = point->high;
            }
        }
    }
}

static const char *chart_cell(unsigned eighths, bool has_utf8)
{
    static const char *const blocks[] = {" ",
                                         "\xe2\x96\x81",
                                         "\xe2\x96\x82",
                                         "\xe2\x96\x83",
                                         "\xe2\x96\x84",
                                         "\xe2\x96\x85",
                                         "\xe2\x96\x86",
                                         "\xe2\x96\x87",
                                         "\xe2\x96\x88"};
    if (has_utf8) {
        return blocks[eighths];
    }
    return eighths == 0 ? " " : eighths < 4 ? "." : eighths < 8 ? ":" : "#";
}

static void chart_print_row(FILE *out, const double *columns, size_t count, double top, size_t row,
                            const struct render_options *options)
{
    double level = (double)(CHART_ROWS - 1 - row);
    for (size_t i = 0; i < count; i++) {
        double height = top > 0 ? columns[i] / top * CHART_ROWS - level : 0;
        unsigned eighths = height >= 1 ? 8 : height <= 0 ? 0 : (unsigned)(height * 8);
        /* What is there at all is seen, and nothing else. */
        if (eighths == 0 && row == CHART_ROWS - 1 && columns[i] > 0) {
            eighths = 1;
        }
        fputs(chart_cell(eighths, options->has_utf8), out);
    }
}

static void chart_print_axis(FILE *out, const struct report_chart *chart, size_t count)
{
    char line[CHART_COLUMNS_MAX + 1];
    memset(line, ' ', count);
    line[count] = '\0';
    struct quantity start = quantity_seconds(chart->start_seconds);
    struct quantity end = quantity_seconds(chart->end_seconds);
    size_t start_length = strlen(start.text);
    size_t end_length = strlen(end.text);
    memcpy(line, start.text, start_length);
    memcpy(line + count - end_length, end.text, end_length);
    double length = chart->end_seconds - chart->start_seconds;
    if (chart->mark_seconds >= chart->start_seconds && chart->mark_seconds <= chart->end_seconds) {
        char mark[64];
        int mark_length = snprintf(mark, sizeof(mark), "^ %s", chart->mark_label);
        size_t at = (size_t)((chart->mark_seconds - chart->start_seconds) / length * (double)count);
        if (at >= count) {
            at = count - 1;
        }
        bool is_right = at + (size_t)mark_length > count - end_length - 1;
        if (is_right) {
            mark_length = snprintf(mark, sizeof(mark), "%s ^", chart->mark_label);
        }
        size_t from = is_right ? at + 1 - (size_t)mark_length : at;
        bool is_free = from > start_length && from + (size_t)mark_length < count - end_length;
        if (is_free) {
            memcpy(line + from, mark, (size_t)mark_length);
        } else if (at > start_length) {
            line[at] = '^';
        }
    }
    fprintf(out, "  %*s  %s\n", (int)CHART_LABEL_COLUMNS, "", line);
}

static struct quantity chart_quantity(const struct report_chart *chart, double value)
{
    int64_t number = value > 9e18 ? INT64_MAX : (int64_t)value;
    return chart->unit == REPORT_COUNT ? quantity_count(number) : quantity_bytes(number);
}

void chart_print(FILE *out, const struct report_chart *chart, const struct render_options *options)
{
    double columns[CHART_COLUMNS_MAX];
    size_t width = options->width == 0 ? 100 : options->width;
    size_t count = width > 60 ? width - CHART_LABEL_COLUMNS - 6 : 43;
    count = count > 120 ? 120 : count;
    if (chart->point_count == 0 || !(chart->end_seconds > chart->start_seconds)) {
        return;
    }
    chart_sample(chart, columns, count);
    double top = 0;
    for (size_t i = 0; i < count; i++) {
        top = columns[i] > top ? columns[i] : top;
    }
    if (top > 9e18) {
        top = 9e18;
    }
    for (size_t row = 0; row < CHART_ROWS; row++) {
        struct quantity label = {""};
        int64_t value = row == 0 ? (int64_t)top : row == CHART_ROWS / 2 ? (int64_t)(top / 2) : 0;
        if (row == 0 || row == CHART_ROWS / 2) {
            label = chart_quantity(chart, (double)value);
        }
        fprintf(out, "  %*s %s", (int)CHART_LABEL_COLUMNS, label.text,
                options->has_utf8 ? "\xe2\x94\x82" : "|");
        chart_print_row(out, columns, count, top, row, options);
        fputc('\n', out);
    }
    chart_print_axis(out, chart, count);
}

bool chart_print_sparkline(FILE *out, const struct report_chart *chart, size_t count, bool has_utf8)
{
    double columns[CHART_COLUMNS_MAX];
    double length = chart->end_seconds - chart->start_seconds;
    if (count > CHART_COLUMNS_MAX || chart->point_count == 0 || !(length > 0)) {
        return false;
    }
    if (chart->scale_seconds > length) {
        size_t part = (size_t)((double)count * length / chart->scale_seconds);
        count = part > 0 ? part : 1;
    }
    chart_sample(chart, columns, count);
    double top = 0;
    for (size_t i = 0; i < count; i++) {
        top = columns[i] > top ? columns[i] : top;
    }
    double scale = chart->scale_top > top ? chart->scale_top : top;
    for (size_t i = 0; i < count; i++) {
        unsigned eighths = scale > 0 ? (unsigned)(columns[i] / scale * 7.999) + 1 : 1;
        fputs(chart_cell(eighths > 8 ? 8 : eighths, has_utf8), out);
    }
    return true;
}

struct quantity chart_top(const struct report_chart *chart)
{
    double top = 0;
    for (size_t i = 0; i < chart->point_count; i++) {
        top = chart->points[i].high > top ? chart->points[i].high : top;
    }
    return chart_quantity(chart, top);
}
