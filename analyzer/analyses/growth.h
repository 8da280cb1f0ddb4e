/*
 * analyses/growth.h - which sites keep growing, over all snapshots of a recording.
 *
 * Each site's live bytes over the snapshots after warm-up are a series. It grows when
 *   - the Mann-Kendall test finds a rising trend; its p-values are adjusted for the number
 *     of sites that were tested (Benjamini-Hochberg, at most 1 % false ones),
 *   - its floor rises: min of the last fifth > min of the first fifth, and
 *   - it reaches new heights: max of the last fifth > max of the first three fifths; both by
 *     5 % of its range at least, unless the trend is strong (tau >= 0.5).
 * (Values that follow each other are alike, so that half a tooth of a sawtooth passes for a
 * trend; teeth fall back to their floor and do not outgrow each other.)
 * Its floor line (the least value from here to the end: what was never given back) tells
 * when growth began and whether it still goes on: it has stopped when it stood still for a
 * tenth of the time, and for more than 2.5 times as long as it ever paused before. (A vector
 * that doubles pauses twice as long each time, and has not stopped.)
 * The rate is the Theil-Sen slope with a 95 % interval: of what came after growth began; of
 * what came after it stopped, for sites that stopped; else of everything after warm-up.
 *
 * Context: analyzer.
 * Memory:  results live in the region that was given; they borrow from the model.
 * Threads: one at a time.
 */
#ifndef MEMTRACK_ANALYSES_GROWTH_H
#define MEMTRACK_ANALYSES_GROWTH_H

#include "model/model.h"

#define GROWTH_SNAPSHOTS_LEAST 4u

enum growth_verdict {
    GROWTH_LEAK,    /* grows, and censuses found most of its blocks unreachable */
    GROWTH_GROWING, /* grows; reachable, or no census was made */
    GROWTH_FREED_AT_EXIT,
    GROWTH_BOUNDED, /* grew, then stopped */
    GROWTH_WARM_UP, /* grew before the warm-up's end only */
    GROWTH_STEADY,
    GROWTH_VERDICTS
};

struct growth_options {
    bool has_warmup;           /* false: found automatically */
    int64_t warmup_ns;         /* time of the run */
    const char *warmup_label;  /* the warm-up ends with the last snapshot of this label */
};

struct growth_site {
    const struct model_stack *stack;
    enum growth_verdict verdict;
    double bytes_per_second;
    double low; /* 95 % interval of the rate */
    double high;
    double p_value;          /* two-sided */
    double adjusted_p_value; /* for the number of sites tested */
    double confidence;       /* 1 - adjusted_p_value for sites that grew, else NAN */
    int64_t live_bytes;      /* in the state that was selected */
    int64_t live_blocks;
    int64_t grown_bytes;     /* of the floor line, after warm-up */
    double began_seconds;    /* NAN: did not grow */
    double stopped_seconds;  /* NAN: did not grow, or still does */
    double oldest_seconds;   /* age of the oldest live block; NAN: unknown */
    bool is_oldest_exact;    /* from a census; else: at least so old */
    const char *const *held_by;
    size_t held_by_count;
};

struct growth {
    const struct model *model;
    const struct model_process *process;
    size_t snapshots_used; /* after warm-up */
    size_t snapshots;      /* of the process */
    double warmup_seconds; /* 0: none */
    bool is_warmup_automatic;
    double start_seconds; /* of what was analysed, time of the run */
    double end_seconds;
    const struct growth_site *sites; /* by verdict, then by rate, fastest first */
    size_t site_count;
    size_t tested_count;
    size_t counts[GROWTH_VERDICTS];
    double bytes_per_second; /* of leaking and growing sites together */
    int64_t rss_bytes;       /* when last seen; RECORDING_UNKNOWN */
    int64_t limit_bytes;     /* cgroup's or machine's; RECORDING_UNKNOWN */
    double exhausted_seconds; /* until memory is used up at this rate; NAN: never, unknown */
};

/* Returns 0, or a negative errno and *error: too few snapshots, no such label. */
int growth_make(struct region *region, const struct model *model,
                const struct model_process *process, const struct growth_options *options,
                const struct growth **growth, struct mt_error *error);

#endif
