/*
 * recorder/timeline.h - a process's memory over time in a bounded number of points.
 *
 * Each point stands for the interval since the point before and keeps the true minimum
 * and maximum of the live bytes in it. When the points are used up, neighbours are merged
 * and intervals double, so a spike of a few milliseconds is still there after a week.
 *
 *      interval 10 ms          ... 4000 points (40 s) -> 2000 of 20 ms ... -> 40 ms ...
 *
 * The count of allocations is read less often than the rest (it is a sum over all sites);
 * points between two readings get values on the straight line between them.
 *
 * Context: recorder. Memory: TIMELINE_POINTS_MAX points at most. Threads: one.
 */
#ifndef MEMTRACK_RECORDER_TIMELINE_H
#define MEMTRACK_RECORDER_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMELINE_POINTS_MAX 4000u
#define TIMELINE_INTERVAL_NS UINT64_C(10000000)
#define TIMELINE_UNKNOWN INT64_MIN

struct timeline_point {
    uint64_t time_ns;   /* end of the interval */
    int64_t live_bytes; /* at the end */
    int64_t live_min_bytes;
    int64_t live_max_bytes;
    int64_t live_blocks;
    int64_t rss_bytes;   /* TIMELINE_UNKNOWN */
    int64_t allocations; /* cumulative; TIMELINE_UNKNOWN until the next reading */
    int64_t cpu_ns;      /* cumulative; TIMELINE_UNKNOWN */
    /* The allocator's own figures, TIMELINE_UNKNOWN where it has none. */
    int64_t allocator_allocated_bytes;
    int64_t allocator_active_bytes;
    int64_t allocator_metadata_bytes;
    int64_t allocator_resident_bytes;
    int64_t allocator_retained_bytes;
};

struct timeline {
    struct timeline_point *points; /* [0..count), times strictly rising */
    size_t count;
    size_t capacity;
    uint64_t interval_ns;
    uint64_t anchor_ns; /* the latest reading of allocations */
    int64_t anchor_allocations;
    uint32_t generation; /* rises when points that were there changed: write all again */
};

/* begin_ns: when the process started; its allocations were 0 then. */
void timeline_init(struct timeline *timeline, uint64_t begin_ns);
void timeline_deinit(struct timeline *timeline);

/* Adds the state at point->time_ns (not before the latest point's) and the extremes since
 * the point before. Returns false when out of memory: the point is folded into the latest. */
bool timeline_add(struct timeline *timeline, const struct timeline_point *point);

#endif
