#include "report/live_chart.h"

struct report_chart *live_chart_add(struct report_document *document,
                                    const struct model_process *process, const char *label)
{
    if (process->point_count < 2) {
        return NULL;
    }
    struct report_chart *chart = report_add_chart(document, label, REPORT_BYTES);
    struct report_chart_point *points =
        region_alloc_array(document->region, process->point_count, sizeof(*points));
    double start = (double)process->row.started_ns / 1e9;
    for (size_t i = 0; i < process->point_count; i++) {
        const struct recording_point *from = &process->points[i];
        points[i].seconds = (double)from->time_ns / 1e9 - start;
        points[i].low = (double)from->live_min_bytes;
        points[i].high = (double)(from->live_max_bytes > from->live_bytes ? from->live_max_bytes
                                                                          : from->live_bytes);
    }
    chart->points = points;
    chart->point_count = process->point_count;
    chart->start_seconds = 0;
    chart->end_seconds = points[process->point_count - 1].seconds;
    chart->mark_seconds = (double)process->row.peak_ns / 1e9 - start;
    chart->mark_label = "peak";
    return chart;
}

void live_chart_compare(struct report_chart *a, struct report_chart *b)
{
    struct report_chart *const both[] = {a, b};
    double top = 0;
    double seconds = 0;
    for (size_t i = 0; i < 2; i++) {
        seconds = both[i]->end_seconds > seconds ? both[i]->end_seconds : seconds;
        for (size_t k = 0; k < both[i]->point_count; k++) {
            top = both[i]->points[k].high > top ? both[i]->points[k].high : top;
        }
    }
    for (size_t i = 0; i < 2; i++) {
        both[i]->is_small = true;
        both[i]->scale_top = top;
        both[i]->scale_seconds = seconds;
    }
}
