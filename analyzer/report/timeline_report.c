#include "report/timeline_report.h"

#include "report/quantity.h"

#include <stddef.h>

/* The measures of a point, as offsets into its row. */
struct timeline_measure {
    const char *name;
    size_t offset;
    enum report_unit unit;
};

#define TIMELINE_FIELD(field) offsetof(struct recording_point, field)
static const struct timeline_measure timeline_measures[] = {
    {"live_bytes", TIMELINE_FIELD(live_bytes), REPORT_BYTES},
    {"live_min_bytes", TIMELINE_FIELD(live_min_bytes), REPORT_BYTES},
    {"live_max_bytes", TIMELINE_FIELD(live_max_bytes), REPORT_BYTES},
    {"live_blocks", TIMELINE_FIELD(live_blocks), REPORT_COUNT},
    {"rss_bytes", TIMELINE_FIELD(rss_bytes), REPORT_BYTES},
    {"allocations", TIMELINE_FIELD(allocations), REPORT_COUNT},
    {"cpu_seconds", TIMELINE_FIELD(cpu_ns), REPORT_SECONDS},
    {"allocator_allocated_bytes", TIMELINE_FIELD(allocator_allocated_bytes), REPORT_BYTES},
    {"allocator_active_bytes", TIMELINE_FIELD(allocator_active_bytes), REPORT_BYTES},
    {"allocator_metadata_bytes", TIMELINE_FIELD(allocator_metadata_bytes), REPORT_BYTES},
    {"allocator_resident_bytes", TIMELINE_FIELD(allocator_resident_bytes), REPORT_BYTES},
    {"allocator_retained_bytes", TIMELINE_FIELD(allocator_retained_bytes), REPORT_BYTES},
};
#define TIMELINE_MEASURES (sizeof(timeline_measures) / sizeof(timeline_measures[0]))

static int64_t timeline_value(const struct recording_point *point,
                              const struct timeline_measure *measure)
{
    return *(const int64_t *)(const void *)((const char *)point + measure->offset);
}

static double timeline_seconds(const struct model_process *process, size_t index)
{
    return (double)(process->points[index].time_ns - process->row.started_ns) / 1e9;
}

/* Allocations per second of each interval. */
static double timeline_rate(const struct model_process *process, size_t index)
{
    if (index == 0) {
        return 0;
    }
    double time = timeline_seconds(process, index) - timeline_seconds(process, index - 1);
    double count = (double)(process->points[index].allocations
                            - process->points[index - 1].allocations);
    return time > 0 ? count / time : 0;
}

enum timeline_curve { TIMELINE_LIVE, TIMELINE_RSS, TIMELINE_RATE };

static void timeline_add_chart(struct report_document *document,
                               const struct model_process *process, const char *title,
                               enum timeline_curve curve)
{
    struct report_chart_point *points =
        region_alloc_array(document->region, process->point_count, sizeof(*points));
    size_t count = 0;
    for (size_t i = 0; i < process->point_count; i++) {
        const struct recording_point *from = &process->points[i];
        struct report_chart_point *point = &points[count];
        point->seconds = timeline_seconds(process, i);
        if (curve == TIMELINE_LIVE) {
            point->low = (double)from->live_min_bytes;
            point->high = (double)(from->live_max_bytes > from->live_bytes ? from->live_max_bytes
                                                                           : from->live_bytes);
        } else if (curve == TIMELINE_RATE) {
            point->low = point->high = timeline_rate(process, i);
        } else if (from->rss_bytes != RECORDING_UNKNOWN) {
            point->low = point->high = (double)from->rss_bytes;
        } else {
            continue;
        }
        count++;
    }
    if (count < 2) {
        return;
    }
    report_add_section(document, title, NULL);
    struct report_chart *chart = report_add_chart(
        document, title, curve == TIMELINE_RATE ? REPORT_COUNT : REPORT_BYTES);
    chart->points = points;
    chart->point_count = count;
    chart->start_seconds = 0;
    chart->end_seconds = points[count - 1].seconds;
    chart->mark_seconds = curve == TIMELINE_LIVE
                              ? (double)(process->row.peak_ns - process->row.started_ns) / 1e9
                              : -1;
    chart->mark_label = "peak";
}

struct report_document *timeline_report_make(const struct model *model,
                                             const struct model_process *process)
{
    struct report_document *document = report_document_new();
    report_add_title(document, "%s: timeline of pid %lld, %s", model->selector.path,
                     (long long)process->row.pid, process->row.executable);
    if (process->point_count < 2) {
        report_add_paragraph(document, "It has %zu points, too few to draw.",
                             process->point_count);
        return document;
    }
    timeline_add_chart(document, process, "Live bytes", TIMELINE_LIVE);
    timeline_add_chart(document, process, "Resident bytes", TIMELINE_RSS);
    timeline_add_chart(document, process, "Allocations per second", TIMELINE_RATE);
    report_add_paragraph(document, "%zu points; --format csv or json gives all of them",
                         process->point_count);
    return document;
}

struct report_document *timeline_report_make_table(const struct model_process *process)
{
    struct report_document *document = report_document_new();
    struct report_column *columns =
        region_alloc_array(document->region, TIMELINE_MEASURES + 1, sizeof(*columns));
    columns[0] = (struct report_column){"seconds", "seconds", REPORT_SECONDS};
    for (size_t i = 0; i < TIMELINE_MEASURES; i++) {
        columns[i + 1] = (struct report_column){timeline_measures[i].name,
                                                timeline_measures[i].name,
                                                timeline_measures[i].unit};
    }
    struct report_table *table = report_add_table(document, columns, TIMELINE_MEASURES + 1);
    table->is_data = true;
    for (size_t i = 0; i < process->point_count; i++) {
        struct report_row *row = report_add_row(document, table);
        report_set_number(row, 0, timeline_seconds(process, i));
        for (size_t k = 0; k < TIMELINE_MEASURES; k++) {
            int64_t value = timeline_value(&process->points[i], &timeline_measures[k]);
            if (value == RECORDING_UNKNOWN) {
                continue;
            }
            if (timeline_measures[k].unit == REPORT_SECONDS) {
                report_set_number(row, k + 1, (double)value / 1e9);
            } else {
                report_set_integer(row, k + 1, value);
            }
        }
    }
    return document;
}

void timeline_report_write(struct report_tree *tree, const struct model_process *process)
{
    tree_object(tree, NULL);
    tree_integer(tree, "schema", 1);
    tree_integer(tree, "pid", process->row.pid);
    tree_array(tree, "timeline");
    for (size_t i = 0; i < process->point_count; i++) {
        tree_object(tree, NULL);
        tree_number(tree, "seconds", timeline_seconds(process, i));
        for (size_t k = 0; k < TIMELINE_MEASURES; k++) {
            const struct timeline_measure *measure = &timeline_measures[k];
            int64_t value = timeline_value(&process->points[i], measure);
            if (value == RECORDING_UNKNOWN) {
                tree_text(tree, measure->name, NULL);
            } else if (measure->unit == REPORT_SECONDS) {
                tree_number(tree, measure->name, (double)value / 1e9);
            } else {
                tree_integer(tree, measure->name, value);
            }
        }
        tree_number(tree, "allocations_per_second", timeline_rate(process, i));
        tree_end(tree);
    }
    tree_end(tree);
    tree_end(tree);
}
