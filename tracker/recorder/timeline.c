#include "recorder/timeline.h"

#include <stdlib.h>
#include <string.h>

#define TIMELINE_POINTS_FIRST 64u

void timeline_init(struct timeline *timeline, uint64_t begin_ns)
{
    memset(timeline, 0, sizeof *timeline);
    timeline->interval_ns = TIMELINE_INTERVAL_NS;
    timeline->anchor_ns = begin_ns;
}

void timeline_deinit(struct timeline *timeline)
{
    free(timeline->points);
    timeline->points = NULL;
    timeline->count = 0;
    timeline->capacity = 0;
}

/* Makes *earlier stand for both intervals. */
static void point_merge(struct timeline_point *earlier, const struct timeline_point *later)
{
    int64_t min = earlier->live_min_bytes;
    int64_t max = earlier->live_max_bytes;
    int64_t rss = earlier->rss_bytes;
    *earlier = *later;
    if (min < earlier->live_min_bytes) {
        earlier->live_min_bytes = min;
    }
    if (max > earlier->live_max_bytes) {
        earlier->live_max_bytes = max;
    }
    if (earlier->rss_bytes == TIMELINE_UNKNOWN) {
        earlier->rss_bytes = rss;
    }
}

static void timeline_halve(struct timeline *timeline)
{
    size_t kept = 0;
    for (size_t i = 0; i < timeline->count; i += 2) {
        struct timeline_point point = timeline->points[i];
        if (i + 1 < timeline->count) {
            point_merge(&point, &timeline->points[i + 1]);
        }
        timeline->points[kept++] = point;
    }
    timeline->count = kept;
    timeline->interval_ns *= 2;
    timeline->generation++;
}

static bool timeline_reserve(struct timeline *timeline)
{
    if (timeline->count < timeline->capacity) {
        return true;
    }
    size_t capacity = timeline->capacity == 0 ? TIMELINE_POINTS_FIRST : timeline->capacity * 2;
    if (capacity > TIMELINE_POINTS_MAX) {
        capacity = TIMELINE_POINTS_MAX;
    }
    struct timeline_point *points = realloc(timeline->points, capacity * sizeof *points);
    if (points == NULL) {
        return false;
    }
    timeline->points = points;
    timeline->capacity = capacity;
    return true;
}

/* The latest point has a reading of allocations: put those before it on the line. */
static void allocations_fill(struct timeline *timeline)
{
    const struct timeline_point *known = &timeline->points[timeline->count - 1];
    double rise = (double)(known->allocations - timeline->anchor_allocations);
    double span_ns = (double)(known->time_ns - timeline->anchor_ns);
    for (size_t i = timeline->count - 1; i-- > 0;) {
        struct timeline_point *point = &timeline->points[i];
        if (point->allocations != TIMELINE_UNKNOWN) {
            break;
        }
        double part = point->time_ns <= timeline->anchor_ns || span_ns <= 0
                          ? 0
                          : (double)(point->time_ns - timeline->anchor_ns) / span_ns;
        point->allocations = timeline->anchor_allocations + (int64_t)(rise * part);
        timeline->generation++;
    }
    timeline->anchor_ns = known->time_ns;
    timeline->anchor_allocations = known->allocations;
}

bool timeline_add(struct timeline *timeline, const struct timeline_point *point)
{
    bool has_room = true;
    size_t count = timeline->count;
    /* The latest point is still open while its interval is not full. */
    bool is_open = count > 0
                   && (point->time_ns <= timeline->points[count - 1].time_ns
                       || (count > 1
                           && point->time_ns - timeline->points[count - 2].time_ns
                                  <= timeline->interval_ns));
    if (!is_open && count == TIMELINE_POINTS_MAX) {
        timeline_halve(timeline);
        count = timeline->count;
    }
    if (!is_open) {
        has_room = timeline_reserve(timeline);
        if (!has_room && count == 0) {
            return false;
        }
    }
    if (is_open || !has_room) {
        struct timeline_point *last = &timeline->points[count - 1];
        uint64_t time_ns = last->time_ns;
        point_merge(last, point);
        if (last->time_ns < time_ns) {
            last->time_ns = time_ns;
        }
    } else {
        timeline->points[timeline->count++] = *point;
    }
    if (point->allocations != TIMELINE_UNKNOWN) {
        allocations_fill(timeline);
    }
    return has_room;
}
