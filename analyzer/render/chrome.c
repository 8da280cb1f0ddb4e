/* Source: "Trace Event Format", sections "Counter Events" and "Metadata Events". */
#include "render/export.h"
#include "render/render.h"

#include <stdlib.h>

static void put_counter(struct report_tree *tree, int64_t pid, double seconds, const char *name,
                        const char *unit, double value)
{
    tree_object(tree, NULL);
    tree_text(tree, "ph", "C");
    tree_text(tree, "name", name);
    tree_integer(tree, "pid", pid);
    tree_integer(tree, "tid", 0);
    tree_number(tree, "ts", seconds * 1e6);
    tree_object(tree, "args");
    tree_number(tree, unit, value);
    tree_end(tree);
    tree_end(tree);
}

static void put_rates(struct report_tree *tree, int64_t pid, const struct profile_point *before,
                      const struct profile_point *point)
{
    double seconds = point->seconds - before->seconds;
    if (seconds > 0) {
        put_counter(tree, pid, point->seconds, "allocation rate", "per second",
                    (double)(point->allocations - before->allocations) / seconds);
        put_counter(tree, pid, point->seconds, "CPU", "percent",
                    100 * (point->cpu_seconds - before->cpu_seconds) / seconds);
    }
}

static void put_timeline(struct report_tree *tree, const struct profile_timeline *timeline)
{
    tree_object(tree, NULL);
    tree_text(tree, "ph", "M");
    tree_text(tree, "name", "process_name");
    tree_integer(tree, "pid", timeline->pid);
    tree_object(tree, "args");
    tree_text(tree, "name", timeline->program);
    tree_end(tree);
    tree_end(tree);
    for (size_t i = 0; i < timeline->point_count; i++) {
        const struct profile_point *point = &timeline->points[i];
        put_counter(tree, timeline->pid, point->seconds, "live", "bytes",
                    (double)point->live_bytes);
        put_counter(tree, timeline->pid, point->seconds, "live blocks", "blocks",
                    (double)point->live_blocks);
        put_counter(tree, timeline->pid, point->seconds, "allocations", "count",
                    (double)point->allocations);
        if (point->rss_bytes >= 0) {
            put_counter(tree, timeline->pid, point->seconds, "RSS", "bytes",
                        (double)point->rss_bytes);
        }
        if (i > 0) {
            put_rates(tree, timeline->pid, point - 1, point);
        }
    }
}

void render_chrome(FILE *out, const struct profile *profile, enum profile_metric metric)
{
    struct render_json *json = malloc(sizeof(*json));
    (void)metric;
    if (json == NULL) {
        return;
    }
    render_json_init(json, out);
    tree_object(&json->tree, NULL);
    tree_text(&json->tree, "displayTimeUnit", "ms");
    tree_array(&json->tree, "traceEvents");
    for (size_t i = 0; i < profile->timeline_count; i++) {
        put_timeline(&json->tree, &profile->timelines[i]);
    }
    tree_end(&json->tree);
    tree_end(&json->tree);
    render_json_finish(json);
    free(json);
}
