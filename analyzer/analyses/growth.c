#include "analyses/growth.h"

#include "analyses/growth_series.h"
#include "analyses/statistics.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* At most this share of claims may be false, over all sites tested. */
#define GROWTH_FALSE_SHARE 0.01
/* With few snapshots no p-value is small: then a larger share is accepted, and said. */
#define GROWTH_FALSE_SHARE_FEW 0.05
#define GROWTH_FEW_SNAPSHOTS 8u
#define GROWTH_CONFIDENCE 0.95
/* A site outgrows its own past when its floor and its maximum rose by this part of its
 * range, or when its values are ordered as strongly as this. */
#define GROWTH_NEW_HEIGHT 0.05
#define GROWTH_STRONG_TAU 0.5
/* The floor line is looked at in so many steps. */
#define GROWTH_STEPS 50.0
#define GROWTH_PAUSE_FACTOR 2.5
#define GROWTH_STILL_PART 0.1
/* Less than this part of its maximum: it was released. */
#define GROWTH_FREED_PART 0.1
/* The warm-up is looked for in the first part of a run only. */
#define GROWTH_WARMUP_PART 0.1
#define GROWTH_WARMUP_STEEPER 5.0
/* Slopes: all pairs for the fastest sites, a thinned series for the others. */
#define GROWTH_POINTS_EXACT 400u
#define GROWTH_POINTS_GROWN 32u
#define GROWTH_POINTS_OTHER 24u
#define GROWTH_EXACT_SITES 500u
#define GROWTH_HOLDERS_MAX 4u

struct grower {
    struct region *region;
    const struct model *model;
    const struct model_process *process;
    struct growth *growth;
    struct growth_series series;
    size_t first; /* [first..end): snapshots after warm-up, the one at the exit left out */
    size_t end;   /* of the site at hand: what it gave back in the very end is left out too */
    size_t last;  /* of the process: end is at most that */
    double *bytes;   /* [0..series.count), of the site at hand */
    double *floor;   /* as bytes */
    double *scratch; /* 2 * series.count */
    double *points;  /* 2 * GROWTH_POINTS_EXACT */
    double *pairs;   /* STATISTICS_PAIRS(GROWTH_POINTS_EXACT) */
    struct growth_site *sites;
    double *tau;     /* by site */
    int64_t midrun;  /* the latest census of the running process; 0: none */
    double midrun_seconds;
    struct growth_lost *midrun_lost; /* by the model's stack id */
    bool *is_varied; /* by site: tested */
};

static void *growth_calloc(size_t count, size_t bytes)
{
    size_t capacity = 0;
    void *memory = mt_grow(NULL, &capacity, count + 1, bytes);
    memset(memory, 0, (count + 1) * bytes);
    return memory;
}

static double growth_least(const double *values, size_t from, size_t to)
{
    double least = INFINITY;
    for (size_t i = from; i < to; i++) {
        least = values[i] < least ? values[i] : least;
    }
    return least;
}

static double growth_greatest(const double *values, size_t from, size_t to)
{
    double greatest = -INFINITY;
    for (size_t i = from; i < to; i++) {
        greatest = values[i] > greatest ? values[i] : greatest;
    }
    return greatest;
}

/* ---- warm-up --------------------------------------------------------------- */

static int growth_label_seconds(const struct grower *grower, const char *label, double *seconds,
                                struct mt_error *error)
{
    const struct model_process *process = grower->process;
    bool is_found = false;
    for (size_t i = 0; i < grower->series.count; i++) {
        const struct model_snapshot *snapshot = process->snapshots[i].snapshot;
        if (snapshot->label != NULL && strcmp(snapshot->label, label) == 0) {
            *seconds = grower->series.seconds[i];
            is_found = true;
        }
    }
    if (is_found) {
        return 0;
    }
    return mt_error_set(error, -ENOENT, MT_STATUS_USAGE,
                        "%s: no snapshot of it has the label \"%s\"; see the snapshots in "
                        "`memtrack report --format json`",
                        grower->model->selector.path, label);
}

/* The slope of values[from..to) over time, of a thinned series. */
static struct statistics_slope growth_slope(const struct grower *grower, const double *values,
                                            size_t from, size_t to, size_t points_max)
{
    size_t count = to > from ? to - from : 0;
    size_t used = count < points_max ? count : points_max;
    double *times = grower->points;
    double *kept = grower->points + GROWTH_POINTS_EXACT;
    for (size_t i = 0; i < used; i++) {
        size_t at = used == count ? from + i : from + i * (count - 1) / (used - 1);
        times[i] = grower->series.seconds[at];
        kept[i] = values[at];
    }
    double variance = statistics_mann_kendall(kept, used, grower->scratch).variance;
    return statistics_theil_sen(times, kept, used, variance, GROWTH_CONFIDENCE, grower->pairs);
}

/*
 * The warm-up ends with the last interval, within the first tenth of the run, in which the
 * whole process grew much faster than it does afterwards.
 */
static double growth_find_warmup(struct grower *grower)
{
    const struct growth_series *series = &grower->series;
    size_t count = series->count - (series->has_exit ? 1 : 0);
    double *total = grower->bytes;
    for (size_t i = 0; i < count; i++) {
        total[i] = (double)grower->process->snapshots[i].live_bytes;
    }
    double start = (double)grower->process->row.started_ns / 1e9;
    double last = count > 0 ? series->seconds[count - 1] : start;
    size_t late = 0;
    while (late < count && series->seconds[late] <= start + (last - start) * GROWTH_WARMUP_PART) {
        late++;
    }
    if (late == 0 || count - late < 2 * GROWTH_FEW_SNAPSHOTS) {
        return 0;
    }
    double after =
        growth_slope(grower, total, late, count, GROWTH_POINTS_GROWN).slope;
    double least = 0.01 * growth_greatest(total, 0, count) / (last - start);
    after = after > least ? after : least;
    for (size_t i = late; i-- > 0;) {
        double before = i > 0 ? series->seconds[i - 1] : start;
        double grown = total[i] - (i > 0 ? total[i - 1] : 0);
        double time = series->seconds[i] - before;
        if (grown > GROWTH_WARMUP_STEEPER * after * (time > 1e-6 ? time : 1e-6)) {
            return series->seconds[i];
        }
    }
    return 0;
}

static int growth_choose_window(struct grower *grower, const struct growth_options *options,
                                struct mt_error *error)
{
    struct growth *growth = grower->growth;
    const struct growth_series *series = &grower->series;
    grower->end = series->count - (series->has_exit ? 1 : 0);
    if (grower->end < GROWTH_SNAPSHOTS_LEAST) {
        return mt_error_set(error, -ENODATA, MT_STATUS_DATA,
                            "%s: a trend needs at least %u snapshots of a running process, it has "
                            "%zu: record for longer, or with --snapshot-every 100ms",
                            grower->model->selector.path, GROWTH_SNAPSHOTS_LEAST, grower->end);
    }
    if (options->warmup_label != NULL) {
        int code =
            growth_label_seconds(grower, options->warmup_label, &growth->warmup_seconds, error);
        if (code != 0) {
            return code;
        }
    } else if (options->has_warmup) {
        growth->warmup_seconds = (double)options->warmup_ns / 1e9;
    } else {
        growth->is_warmup_automatic = true;
        growth->warmup_seconds = growth_find_warmup(grower);
    }
    while (growth->warmup_seconds > 0 && grower->first < grower->end
           && series->seconds[grower->first] < growth->warmup_seconds) {
        grower->first++;
    }
    growth->snapshots_used = grower->end - grower->first;
    if (growth->snapshots_used < GROWTH_SNAPSHOTS_LEAST) {
        return mt_error_set(error, -ENODATA, MT_STATUS_DATA,
                            "%s: %zu of its %zu snapshots are after the warm-up (%.1f s), a trend "
                            "needs %u: choose a shorter --warmup",
                            grower->model->selector.path, growth->snapshots_used, series->count,
                            growth->warmup_seconds, GROWTH_SNAPSHOTS_LEAST);
    }
    growth->snapshots = series->count;
    growth->start_seconds = series->seconds[grower->first];
    growth->end_seconds = series->seconds[grower->end - 1];
    grower->last = grower->end;
    return 0;
}

/* Expands a site's series, and leaves out a short tail in which hardly anything is left of
 * it: programs release memory before they exit. */
static void growth_expand(struct grower *grower, const struct model_site *site)
{
    growth_series_expand(&grower->series, site, grower->bytes);
    size_t count = grower->last - grower->first;
    size_t least = grower->last - count / 10;
    double small = GROWTH_FREED_PART * growth_greatest(grower->bytes, grower->first, grower->last);
    grower->end = grower->last;
    while (small > 0 && grower->end > least && grower->bytes[grower->end - 1] <= small) {
        grower->end--;
    }
    if (grower->end == least && least < grower->last && least > grower->first
        && grower->bytes[least - 1] <= small) {
        grower->end = grower->last; /* it was gone for longer */
    }
}

/* ---- the shape of a series ------------------------------------------------- */

struct growth_shape {
    bool has_grown;
    bool has_stopped;
    double grown_bytes;
    size_t began;   /* the snapshot before growth began */
    size_t stopped; /* the last at which it grew */
};

/* floor[i] = least of bytes[i..end); the last values count together, as one of them alone
 * may be the height of a wave. */
static void growth_find_floor(const struct grower *grower)
{
    size_t count = grower->end - grower->first;
    size_t tail = count / 20 > 2 ? count / 20 : 2;
    double least = growth_least(grower->bytes, grower->end - tail, grower->end);
    for (size_t i = grower->end; i-- > grower->first;) {
        least = grower->bytes[i] < least ? grower->bytes[i] : least;
        grower->floor[i] = least;
    }
}

/* When the floor line rose: first, last, and how long it paused at most in between. */
static void growth_find_times(const struct grower *grower, struct growth_shape *shape)
{
    const double *seconds = grower->series.seconds;
    double base = grower->floor[grower->first];
    double step = shape->grown_bytes / GROWTH_STEPS;
    double level = 0;
    double pause = 0;
    bool has_begun = false;
    shape->began = grower->first;
    shape->stopped = grower->first;
    for (size_t i = grower->first + 1; i < grower->end; i++) {
        double reached = floor((grower->floor[i] - base) / step + 1e-9);
        if (reached <= level) {
            continue;
        }
        if (!has_begun) {
            shape->began = i - 1;
            has_begun = true;
        } else if (seconds[i] - seconds[shape->stopped] > pause) {
            pause = seconds[i] - seconds[shape->stopped];
        }
        level = reached;
        shape->stopped = i;
    }
    double still = seconds[grower->end - 1] - seconds[shape->stopped];
    double time = seconds[grower->end - 1] - seconds[grower->first];
    double interval = time / (double)(grower->end - grower->first - 1);
    double pause_least = 3 * interval;
    pause_least = pause_least > GROWTH_STILL_PART * time ? pause_least : GROWTH_STILL_PART * time;
    pause *= GROWTH_PAUSE_FACTOR;
    shape->has_stopped = still > (pause > pause_least ? pause : pause_least);
}

static struct growth_shape growth_find_shape(const struct grower *grower, bool is_trend, double tau)
{
    struct growth_shape shape = {0};
    const double *bytes = grower->bytes;
    size_t count = grower->end - grower->first;
    size_t fifth = count / 5 > 1 ? count / 5 : 1;
    growth_find_floor(grower);
    double lowest = growth_least(bytes, grower->first, grower->end);
    double highest = growth_greatest(bytes, grower->first, grower->end);
    double floor_rise = growth_least(bytes, grower->end - fifth, grower->end)
                        - growth_least(bytes, grower->first, grower->first + fifth);
    double height = growth_greatest(bytes, grower->end - fifth, grower->end)
                    - growth_greatest(bytes, grower->first, grower->end - 2 * fifth);
    shape.grown_bytes = grower->floor[grower->end - 1] - grower->floor[grower->first];
    double much = GROWTH_NEW_HEIGHT * (highest - lowest);
    bool is_higher =
        (height > much && floor_rise > much) || (floor_rise > 0 && tau >= GROWTH_STRONG_TAU);
    /* A step that came and stayed is growth that stopped, whatever its p-value. */
    bool is_staircase = true;
    for (size_t i = grower->first + 1; i < grower->end && is_staircase; i++) {
        is_staircase = bytes[i] >= bytes[i - 1];
    }
    shape.has_grown = shape.grown_bytes > 0 && floor_rise >= 0
                      && ((is_trend && is_higher) || is_staircase);
    if (shape.has_grown) {
        growth_find_times(grower, &shape);
        /* Without a trend it is no claim of growth that goes on. */
        shape.has_grown = is_trend || shape.has_stopped;
    }
    return shape;
}

/* ---- sites ----------------------------------------------------------------- */

static void growth_init_site(struct growth_site *site, const struct model_site *from)
{
    *site = (struct growth_site){
        .stack = from->stack,
        .verdict = GROWTH_STEADY,
        .p_value = 1,
        .adjusted_p_value = 1,
        .confidence = NAN,
        .live_bytes = from->live_bytes,
        .live_blocks = from->live_blocks,
        .began_seconds = NAN,
        .stopped_seconds = NAN,
        .oldest_seconds = NAN,
    };
}

/* First look: is there anything to test, and what does the test say? */
static void growth_test_site(struct grower *grower, size_t index)
{
    const struct model_site *from = &grower->process->sites[index];
    struct growth_site *site = &grower->sites[index];
    growth_init_site(site, from);
    if (grower->series.stacks[from->stack->id] == 0) {
        return;
    }
    growth_expand(grower, from);
    double lowest = growth_least(grower->bytes, grower->first, grower->end);
    double highest = growth_greatest(grower->bytes, grower->first, grower->end);
    double early = grower->first > 0 ? grower->bytes[0] : highest;
    if (lowest == highest) {
        site->verdict = early < highest ? GROWTH_WARM_UP : GROWTH_STEADY;
        return;
    }
    struct statistics_trend trend = statistics_mann_kendall(
        grower->bytes + grower->first, grower->end - grower->first, grower->scratch);
    grower->is_varied[index] = true;
    grower->tau[index] = trend.tau;
    site->p_value = trend.p_value;
}

static void growth_adjust(struct grower *grower)
{
    size_t site_count = grower->process->site_count;
    double *p_values = growth_calloc(site_count, sizeof(*p_values));
    double *adjusted = growth_calloc(site_count, sizeof(*adjusted));
    size_t *order = growth_calloc(site_count, sizeof(*order));
    size_t count = 0;
    for (size_t i = 0; i < site_count; i++) {
        if (grower->is_varied[i]) {
            p_values[count++] = grower->sites[i].p_value;
        }
    }
    statistics_adjust(p_values, adjusted, order, count);
    count = 0;
    for (size_t i = 0; i < site_count; i++) {
        if (grower->is_varied[i]) {
            grower->sites[i].adjusted_p_value = adjusted[count++];
        }
    }
    grower->growth->tested_count = count;
    free(p_values);
    free(adjusted);
    free(order);
}

/* What the latest census of the running process found of a site. */
struct growth_lost {
    int64_t blocks;
    int64_t lost;
};

static int growth_visit_census(void *context, const void *row)
{
    struct grower *grower = context;
    const struct recording_census *census = row;
    if (!census->is_final && census->scan != NULL && strcmp(census->scan, "full") == 0
        && (grower->midrun == 0 || (double)census->time_ns / 1e9 > grower->midrun_seconds)) {
        grower->midrun = census->census;
        grower->midrun_seconds = (double)census->time_ns / 1e9;
    }
    return 0;
}

static int growth_visit_census_site(void *context, const void *row)
{
    struct grower *grower = context;
    const struct recording_census_site *site = row;
    const struct model_stack *stack =
        model_find_stack(grower->model, grower->process, site->stack);
    struct growth_lost *found = &grower->midrun_lost[stack->id];
    for (size_t i = 0; i < RECORDING_LEAK_CLASSES; i++) {
        found->blocks += site->blocks[i];
    }
    found->lost +=
        site->blocks[RECORDING_LEAK_DEFINITE] + site->blocks[RECORDING_LEAK_INDIRECT];
    return 0;
}

/* Censuses of a running process call lost what three scans in a row found lost. */
static void growth_load_midrun(struct grower *grower)
{
    const struct model *model = grower->model;
    grower->midrun_lost = growth_calloc(model->stack_count + 1, sizeof(*grower->midrun_lost));
    recording_reader_each(model->reader, RECORDING_TABLE_CENSUS, grower->process->row.id,
                          growth_visit_census, grower);
    if (grower->midrun != 0) {
        recording_reader_each(model->reader, RECORDING_TABLE_CENSUS_SITE, grower->midrun,
                              growth_visit_census_site, grower);
    }
}

/*
 * Most of its blocks are unreachable, as far as a census looked. At a process's end what main()
 * held is unreachable as well: where a census of the running process found its blocks
 * reachable, after it had begun to grow, it was no leak.
 */
static bool growth_is_leaked(const struct grower *grower, const struct model_site *site,
                             double began_seconds)
{
    const struct model_process *process = grower->process;
    const struct growth_lost *midrun = &grower->midrun_lost[site->stack->id];
    bool is_lost_in_midrun = midrun->lost > 0 && midrun->lost * 2 >= midrun->blocks;
    if (process->census == NULL) {
        return is_lost_in_midrun; /* it was killed */
    }
    if (grower->midrun_seconds > began_seconds && midrun->blocks > 0 && !is_lost_in_midrun) {
        return false;
    }
    int64_t all = 0;
    for (size_t i = 0; i < RECORDING_LEAK_CLASSES; i++) {
        all += site->leaks.blocks[i];
    }
    int64_t lost =
        site->leaks.blocks[RECORDING_LEAK_DEFINITE] + site->leaks.blocks[RECORDING_LEAK_INDIRECT];
    return lost > 0 && lost * 2 >= all;
}

/* It rose by more before the warm-up's end than it varied afterwards. */
static bool growth_is_warm_up(const struct grower *grower)
{
    double lowest = growth_least(grower->bytes, grower->first, grower->end);
    double highest = growth_greatest(grower->bytes, grower->first, grower->end);
    return grower->first > 0 && lowest - grower->bytes[0] > highest - lowest;
}

/* Second look, once it is known how many were tested. */
static void growth_judge_site(struct grower *grower, size_t index)
{
    const struct model_site *from = &grower->process->sites[index];
    struct growth_site *site = &grower->sites[index];
    const double *seconds = grower->series.seconds;
    if (!grower->is_varied[index]) {
        return;
    }
    growth_expand(grower, from);
    double limit = grower->growth->snapshots_used < GROWTH_FEW_SNAPSHOTS ? GROWTH_FALSE_SHARE_FEW
                                                                         : GROWTH_FALSE_SHARE;
    bool is_trend = site->adjusted_p_value <= limit && grower->tau[index] > 0;
    struct growth_shape shape = growth_find_shape(grower, is_trend, grower->tau[index]);
    size_t from_point = grower->first;
    if (shape.has_grown) {
        double highest = growth_greatest(grower->bytes, grower->first, grower->end);
        site->grown_bytes = (int64_t)shape.grown_bytes;
        site->confidence = is_trend ? 1 - site->adjusted_p_value : NAN;
        site->began_seconds = seconds[shape.began];
        if (shape.has_stopped) {
            site->verdict = GROWTH_BOUNDED;
            site->stopped_seconds = seconds[shape.stopped];
            from_point = shape.stopped;
        } else {
            bool is_freed = grower->end < grower->last
                            || (grower->series.has_exit
                                && (double)site->live_bytes <= GROWTH_FREED_PART * highest);
            site->verdict = is_freed                                    ? GROWTH_FREED_AT_EXIT
                            : growth_is_leaked(grower, from, site->began_seconds) ? GROWTH_LEAK
                                                                                    : GROWTH_GROWING;
            from_point = shape.began;
        }
    } else if (growth_is_warm_up(grower)) {
        site->verdict = GROWTH_WARM_UP;
    }
    struct statistics_slope slope =
        growth_slope(grower, grower->bytes, from_point, grower->end,
                     shape.has_grown ? GROWTH_POINTS_GROWN : GROWTH_POINTS_OTHER);
    site->bytes_per_second = slope.slope;
    site->low = slope.low;
    site->high = slope.high;
}

/* ---- the sites that matter ------------------------------------------------- */

/* From a census; else at least so old: if B - 1 blocks were freed, the oldest that lives is
 * the B-th allocation or an earlier one. */
static void growth_find_oldest(const struct grower *grower, struct growth_site *site,
                               const struct model_site *from, int64_t *allocations)
{
    if (from->oldest_ns != RECORDING_UNKNOWN) {
        site->oldest_seconds = (double)from->oldest_ns / 1e9;
        site->is_oldest_exact = true;
        return;
    }
    if (site->live_blocks <= 0) {
        return;
    }
    int64_t frees = growth_series_expand_allocations(&grower->series, from, allocations);
    size_t count = grower->series.count;
    for (size_t i = 0; i < count; i++) {
        if (allocations[i] > frees) {
            site->oldest_seconds = grower->series.seconds[count - 1] - grower->series.seconds[i];
            return;
        }
    }
}

struct growth_holders {
    const struct grower *grower;
    const char **texts; /* by the model's stack id: GROWTH_HOLDERS_MAX each */
    uint8_t *counts;
};

static const char *growth_holder_text(const struct grower *grower,
                                      const struct recording_holder *holder)
{
    struct region *region = grower->region;
    const struct model_frame *frame = NULL;
    if (holder->kind == RECORDING_HOLDER_SITE) {
        frame = model_find_stack(grower->model, grower->process, holder->holder_stack)->location;
    } else if (holder->address > 0) {
        frame = model_address_at(grower->model, (uint32_t)holder->address)->frames;
    }
    const char *text = holder->text != NULL ? holder->text : "";
    if (frame == NULL) {
        return text[0] != '\0' ? region_copy_text(region, text) : "unknown";
    }
    const char *function = frame->function != NULL ? frame->function : "?";
    const char *file = frame->file != NULL ? strrchr(frame->file, '/') : NULL;
    file = file != NULL ? file + 1 : frame->file;
    const char *place =
        file != NULL && frame->line > 0
            ? region_format(region, "%s at %s:%lld", function, file, (long long)frame->line)
            : region_format(region, "%s (%s)", function,
                            frame->module != NULL ? frame->module->name : "?");
    return text[0] != '\0' ? region_format(region, "%s, in %s", text, place) : place;
}

/* The heaviest chain of each stack, from the root to its blocks. */
static int growth_visit_holder(void *context, const void *row)
{
    struct growth_holders *holders = context;
    const struct recording_holder *holder = row;
    const struct model_stack *stack =
        model_find_stack(holders->grower->model, holders->grower->process, holder->stack);
    uint8_t *count = &holders->counts[stack->id];
    if (holder->chain == 0 && *count < GROWTH_HOLDERS_MAX) {
        holders->texts[stack->id * GROWTH_HOLDERS_MAX + *count] =
            growth_holder_text(holders->grower, holder);
        ++*count;
    }
    return 0;
}

static void growth_add_details(struct grower *grower)
{
    const struct model *model = grower->model;
    size_t stacks = model->stack_count + 1;
    struct growth_holders holders = {.grower = grower};
    holders.texts =
        region_alloc_array(grower->region, stacks * GROWTH_HOLDERS_MAX, sizeof(*holders.texts));
    holders.counts = growth_calloc(stacks, sizeof(*holders.counts));
    if (grower->process->census != NULL) {
        recording_reader_each(model->reader, RECORDING_TABLE_HOLDER,
                              grower->process->census->census, growth_visit_holder, &holders);
    }
    int64_t *allocations = growth_calloc(grower->series.count, sizeof(*allocations));
    for (size_t i = 0; i < grower->process->site_count; i++) {
        struct growth_site *site = &grower->sites[i];
        site->held_by = holders.texts + site->stack->id * GROWTH_HOLDERS_MAX;
        site->held_by_count = holders.counts[site->stack->id];
        growth_find_oldest(grower, site, &grower->process->sites[i], allocations);
    }
    free(allocations);
    free(holders.counts);
}

static int growth_compare_sites(const void *left, const void *right)
{
    const struct growth_site *a = left;
    const struct growth_site *b = right;
    if (a->verdict != b->verdict) {
        return a->verdict < b->verdict ? -1 : 1;
    }
    double x = a->verdict == GROWTH_BOUNDED ? (double)a->grown_bytes : a->bytes_per_second;
    double y = b->verdict == GROWTH_BOUNDED ? (double)b->grown_bytes : b->bytes_per_second;
    if (x != y) {
        return x > y ? -1 : 1;
    }
    if (a->live_bytes != b->live_bytes) {
        return a->live_bytes > b->live_bytes ? -1 : 1;
    }
    return a->stack->id < b->stack->id ? -1 : a->stack->id > b->stack->id;
}

static bool growth_is_growing(const struct growth_site *site)
{
    return site->verdict == GROWTH_LEAK || site->verdict == GROWTH_GROWING;
}

/* The fastest sites' slopes again, of all their points. The sites are in order already. */
static void growth_refine(struct grower *grower)
{
    for (size_t i = 0; i < grower->process->site_count && i < GROWTH_EXACT_SITES; i++) {
        struct growth_site *site = &grower->sites[i];
        if (!growth_is_growing(site)) {
            break;
        }
        const struct model_site *from = NULL;
        size_t low = 0;
        size_t high = grower->process->site_count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            from = &grower->process->sites[middle];
            if (from->stack->id < site->stack->id) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        from = &grower->process->sites[low];
        growth_expand(grower, from);
        size_t began = grower->first;
        while (began + 1 < grower->end && grower->series.seconds[began] < site->began_seconds) {
            began++;
        }
        struct statistics_slope slope = growth_slope(grower, grower->bytes, began, grower->end,
                                                     GROWTH_POINTS_EXACT);
        site->bytes_per_second = slope.slope;
        site->low = slope.low;
        site->high = slope.high;
    }
}

static void growth_estimate_end(struct grower *grower)
{
    struct growth *growth = grower->growth;
    const struct model_process *process = grower->process;
    growth->limit_bytes = grower->model->run->memory_limit_bytes;
    growth->rss_bytes = RECORDING_UNKNOWN;
    for (size_t i = process->point_count; i-- > 0 && growth->rss_bytes == RECORDING_UNKNOWN;) {
        growth->rss_bytes = process->points[i].rss_bytes > 0 ? process->points[i].rss_bytes
                                                             : RECORDING_UNKNOWN;
    }
    for (size_t i = 0; i < process->site_count; i++) {
        growth->counts[grower->sites[i].verdict]++;
        if (growth_is_growing(&grower->sites[i])) {
            growth->bytes_per_second += grower->sites[i].bytes_per_second;
        }
    }
    growth->exhausted_seconds = NAN;
    if (growth->limit_bytes != RECORDING_UNKNOWN && growth->rss_bytes != RECORDING_UNKNOWN
        && growth->bytes_per_second > 0) {
        double room = (double)growth->limit_bytes - (double)growth->rss_bytes;
        growth->exhausted_seconds = room > 0 ? room / growth->bytes_per_second : 0;
    }
}

/* ---- the whole ------------------------------------------------------------- */

static void growth_judge(struct grower *grower)
{
    size_t count = grower->process->site_count;
    struct growth *growth = grower->growth;
    grower->sites = region_alloc_array(grower->region, count, sizeof(*grower->sites));
    grower->tau = growth_calloc(count, sizeof(*grower->tau));
    growth_load_midrun(grower);
    grower->is_varied = growth_calloc(count, sizeof(*grower->is_varied));
    for (size_t i = 0; i < count; i++) {
        growth_test_site(grower, i);
    }
    growth_adjust(grower);
    for (size_t i = 0; i < count; i++) {
        growth_judge_site(grower, i);
    }
    growth_add_details(grower);
    if (count > 0) {
        qsort(grower->sites, count, sizeof(*grower->sites), growth_compare_sites);
    }
    growth_refine(grower);
    if (count > 0) {
        qsort(grower->sites, count, sizeof(*grower->sites), growth_compare_sites);
    }
    growth->sites = grower->sites;
    growth->site_count = count;
    growth_estimate_end(grower);
}

int growth_make(struct region *region, const struct model *model,
                const struct model_process *process, const struct growth_options *options,
                const struct growth **result, struct mt_error *error)
{
    struct growth *growth = region_alloc(region, sizeof(*growth));
    struct grower grower = {
        .region = region, .model = model, .process = process, .growth = growth};
    growth->model = model;
    growth->process = process;
    growth_series_load(&grower.series, model, process);
    size_t room = grower.series.count;
    room = room > GROWTH_POINTS_EXACT ? room : GROWTH_POINTS_EXACT;
    grower.bytes = growth_calloc(room, sizeof(double));
    grower.floor = growth_calloc(room, sizeof(double));
    grower.scratch = growth_calloc(2 * room, sizeof(double));
    grower.points = growth_calloc((size_t)2 * GROWTH_POINTS_EXACT, sizeof(double));
    grower.pairs = growth_calloc(STATISTICS_PAIRS((size_t)GROWTH_POINTS_EXACT), sizeof(double));
    int code = growth_choose_window(&grower, options, error);
    if (code == 0) {
        growth_judge(&grower);
        *result = growth;
    }
    free(grower.bytes);
    free(grower.floor);
    free(grower.scratch);
    free(grower.points);
    free(grower.pairs);
    free(grower.tau);
    free(grower.midrun_lost);
    free(grower.is_varied);
    growth_series_deinit(&grower.series);
    return code;
}
