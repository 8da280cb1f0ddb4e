#include "report/diff_report.h"

#include "report/live_chart.h"
#include "report/place.h"
#include "report/quantity.h"

#include <string.h>

/* Two recordings of one process agree on its start but for the precision of their clocks. */
#define DIFF_SAME_START_NS INT64_C(1000000000)

struct diff_maker {
    struct report_document *document;
    const struct diff *diff;
    const struct diff_report_options *options;
};

static const char *diff_status_name(enum diff_status status)
{
    switch (status) {
    case DIFF_NEW:
        return "new";
    case DIFF_GREW:
        return "grew";
    case DIFF_SHRANK:
        return "shrank";
    case DIFF_GONE:
        return "gone";
    case DIFF_SAME:
        break;
    }
    return "same";
}

static const char *diff_by_name(enum diff_by by)
{
    switch (by) {
    case DIFF_BY_FUNCTION:
        return "function";
    case DIFF_BY_FILE:
        return "file";
    case DIFF_BY_MODULE:
        return "module";
    case DIFF_BY_LINE:
        return "line";
    case DIFF_BY_STACK:
        break;
    }
    return "stack";
}

/* Whether both are states of one process, in one recording or in snapshots of it. */
static bool diff_is_of_one_process(const struct diff *diff)
{
    const struct recording_run *run_a = diff->a.model->run;
    const struct recording_run *run_b = diff->b.model->run;
    const struct recording_process *a = &diff->a.process->row;
    const struct recording_process *b = &diff->b.process->row;
    if (strcmp(diff->a.model->selector.path, diff->b.model->selector.path) == 0) {
        return a->id == b->id;
    }
    int64_t started_a = run_a->started_realtime_ns + a->started_ns;
    int64_t started_b = run_b->started_realtime_ns + b->started_ns;
    int64_t apart = started_a > started_b ? started_a - started_b : started_b - started_a;
    return a->pid == b->pid && run_a->host != NULL && run_b->host != NULL
           && strcmp(run_a->host, run_b->host) == 0 && apart < DIFF_SAME_START_NS;
}

/* Two runs from beginning to end: what the person wants is a regression view. */
static bool diff_is_of_runs(const struct diff *diff)
{
    enum model_state a = diff->a.model->selector.state;
    enum model_state b = diff->b.model->selector.state;
    return (a == MODEL_STATE_DEFAULT || a == MODEL_STATE_EXIT)
           && (b == MODEL_STATE_DEFAULT || b == MODEL_STATE_EXIT)
           && strcmp(diff->a.model->selector.path, diff->b.model->selector.path) != 0
           && !diff_is_of_one_process(diff);
}

/* ---- measures -------------------------------------------------------------- */

/* A number of both sides; RECORDING_UNKNOWN where it is not known. */
struct diff_measure {
    const char *label;
    const char *name;
    enum report_unit unit;
    int64_t a;
    int64_t b;
};

enum {
    DIFF_LIVE_BYTES,
    DIFF_LIVE_BLOCKS,
    DIFF_ALLOCATIONS,
    DIFF_ALLOCATED_BYTES,
    DIFF_TEMPORARIES,
    DIFF_OF_STATES, /* those above make sense of any two states */
    DIFF_LEAKED_BYTES = DIFF_OF_STATES,
    DIFF_PEAK_BYTES,
    DIFF_PEAK_BLOCKS,
    DIFF_PEAK_RSS,
    DIFF_CPU_TIME,
    DIFF_WALL_TIME,
    DIFF_MEASURES
};

static int64_t diff_cpu_ns(const struct model_process *process)
{
    int64_t user = process->row.cpu_user_ns;
    int64_t system = process->row.cpu_system_ns;
    return user == RECORDING_UNKNOWN || system == RECORDING_UNKNOWN ? RECORDING_UNKNOWN
                                                                    : user + system;
}

static int64_t diff_wall_ns(const struct model_process *process)
{
    int64_t end = process->row.ended_ns;
    if (end == RECORDING_UNKNOWN && process->point_count > 0) {
        end = process->points[process->point_count - 1].time_ns;
    }
    return end == RECORDING_UNKNOWN ? RECORDING_UNKNOWN : end - process->row.started_ns;
}

static int64_t diff_known(const struct diff_side *side, int64_t value)
{
    return side->has_allocations ? value : RECORDING_UNKNOWN;
}

/* What no pointer leads to any more. */
static int64_t diff_leaked_bytes(const struct model_process *process)
{
    const struct recording_census *census = process->census;
    return census == NULL ? RECORDING_UNKNOWN
                          : process->leaks.bytes[RECORDING_LEAK_DEFINITE]
                                + process->leaks.bytes[RECORDING_LEAK_INDIRECT];
}

/* The first three are the contract's "totals"; those of whole runs come last. */
static void diff_measure_all(const struct diff *diff, struct diff_measure measures[DIFF_MEASURES])
{
    const struct diff_side *a = &diff->a;
    const struct diff_side *b = &diff->b;
    const struct recording_process *p = &a->process->row;
    const struct recording_process *q = &b->process->row;
    const struct diff_measure all[DIFF_MEASURES] = {
        {"live bytes", "live_bytes", REPORT_BYTES, a->totals.live_bytes, b->totals.live_bytes},
        {"live blocks", "live_blocks", REPORT_COUNT, a->totals.live_blocks, b->totals.live_blocks},
        {"allocations", "allocations", REPORT_COUNT, diff_known(a, a->totals.allocations),
         diff_known(b, b->totals.allocations)},
        {"allocated bytes", "allocated_bytes", REPORT_BYTES,
         diff_known(a, a->totals.allocated_bytes), diff_known(b, b->totals.allocated_bytes)},
        {"temporaries", "temporary_allocations", REPORT_COUNT, diff_known(a, a->totals.temporaries),
         diff_known(b, b->totals.temporaries)},
        {"leaked bytes", "leaked_bytes", REPORT_BYTES, diff_leaked_bytes(a->process),
         diff_leaked_bytes(b->process)},
        {"peak bytes", "peak_bytes", REPORT_BYTES, p->peak_bytes, q->peak_bytes},
        {"peak blocks", "peak_blocks", REPORT_COUNT, p->peak_blocks, q->peak_blocks},
        {"peak resident", "peak_rss_bytes", REPORT_BYTES,
         p->peak_rss_bytes > 0 ? p->peak_rss_bytes : RECORDING_UNKNOWN,
         q->peak_rss_bytes > 0 ? q->peak_rss_bytes : RECORDING_UNKNOWN},
        {"CPU time", "cpu_seconds", REPORT_SECONDS, diff_cpu_ns(a->process),
         diff_cpu_ns(b->process)},
        {"wall time", "seconds", REPORT_SECONDS, diff_wall_ns(a->process),
         diff_wall_ns(b->process)},
    };
    memcpy(measures, all, sizeof(all));
}

static double diff_percent(int64_t a, int64_t b)
{
    return a != 0 ? 100.0 * (double)(b - a) / (double)(a < 0 ? -a : a) : 0;
}

/* "+3.4 %", "-12 %", "x 3.2" where percents get long, "new" from nothing. */
static const char *diff_change(struct region *region, int64_t a, int64_t b)
{
    if (a == b) {
        return "=";
    }
    if (a == 0) {
        return "from 0";
    }
    double percent = diff_percent(a, b);
    if (percent >= 1000 && a > 0) {
        return region_format(region, "x %.1f", (double)b / (double)a);
    }
    return region_format(region, "%+.1f %%", percent);
}

static const char *diff_quantity(struct region *region, enum report_unit unit, int64_t value,
                                 bool has_sign)
{
    const char *sign = has_sign ? value < 0 ? "-" : "+" : value < 0 ? "-" : "";
    int64_t size = value < 0 ? -value : value;
    struct quantity text = unit == REPORT_BYTES     ? quantity_bytes(size)
                           : unit == REPORT_SECONDS ? quantity_seconds((double)size / 1e9)
                                                    : quantity_count(size);
    return value == RECORDING_UNKNOWN ? "unknown" : region_format(region, "%s%s", sign, text.text);
}

/* ---- for people ------------------------------------------------------------ */

static const char *diff_side_text(struct region *region, const struct diff_side *side,
                                  const char *name)
{
    const struct model *model = side->model;
    const struct model_snapshot *snapshot = model->state_snapshot;
    const char *what =
        model->selector.state == MODEL_STATE_PEAK ? "at the peak"
        : snapshot != NULL
            ? region_format(region, "snapshot %lld%s%s", (long long)snapshot->index,
                            snapshot->label != NULL ? ", " : "",
                            snapshot->label != NULL ? snapshot->label : "")
        : side->process->row.ended_ns == RECORDING_UNKNOWN ? "when last seen"
                                                           : "at the end";
    return region_format(region, "%s: %s after %s, pid %lld, %s", name, what,
                         quantity_seconds(model->state_seconds).text,
                         (long long)side->process->row.pid, side->process->row.executable);
}

static void diff_add_notes(struct diff_maker *maker)
{
    const struct diff *diff = maker->diff;
    struct report_document *document = maker->document;
    const struct diff_side *sides[] = {&diff->a, &diff->b};
    for (size_t i = 0; i < 2; i++) {
        if (sides[i]->model->process_count > 1 && (i == 0 || sides[1]->model != sides[0]->model)) {
            report_add_note(document, REPORT_PLAIN,
                            "%s holds %zu processes; #%lld (pid %lld) is compared, --process "
                            "chooses another",
                            sides[i]->model->selector.path, sides[i]->model->process_count,
                            (long long)sides[i]->process->index,
                            (long long)sides[i]->process->row.pid);
        }
        if (!sides[i]->has_allocations) {
            report_add_note(document, REPORT_PLAIN,
                            "%s: of the peak only what was live is known, not how much had been "
                            "allocated by then",
                            i == 0 ? maker->options->name_a : maker->options->name_b);
        }
    }
    if (strcmp(diff->a.process->row.executable, diff->b.process->row.executable) != 0) {
        report_add_note(document, REPORT_PLAIN, "two different programs are compared: %s and %s",
                        diff->a.process->row.executable, diff->b.process->row.executable);
    }
    if (diff->are_rates_different) {
        report_add_note(document, REPORT_WARNING,
                        "the two were sampled at different rates; both are unbiased estimates, "
                        "small differences may be chance");
    }
    if (diff->are_builds_different) {
        report_add_note(document, REPORT_PLAIN,
                        "two builds: %zu site%s matched by place, %zu by the names of their "
                        "functions and the nearest lines",
                        diff->matched_by_place,
                        diff->matched_by_place == 1 ? " was" : "s were", diff->matched_by_name);
    }
}

/* ---- the verdict ------------------------------------------------------------ */

enum diff_verdict { DIFF_VERDICT_SAME, DIFF_VERDICT_WORSE, DIFF_VERDICT_BETTER, DIFF_VERDICT_MIXED };

/* Whether a change is worth a word: a leak of any size is, all else from 1 % on, if it is not
 * tiny. */
static bool diff_is_worth(const struct diff_measure *measure, size_t index)
{
    if (measure->a == RECORDING_UNKNOWN || measure->b == RECORDING_UNKNOWN
        || measure->a == measure->b) {
        return false;
    }
    int64_t size = measure->b > measure->a ? measure->b - measure->a : measure->a - measure->b;
    int64_t least = measure->unit == REPORT_BYTES ? 4096 : 100;
    return index == DIFF_LEAKED_BYTES || (size >= least && size >= measure->a / 100);
}

/* Judges by what a person can do something about; times depend on the machine too. Fills
 * texts[0..*count) with what speaks for the verdict. */
static enum diff_verdict diff_judge(struct region *region, const struct diff *diff,
                                    const char *texts[DIFF_MEASURES], size_t *count)
{
    static const size_t of_runs[] = {DIFF_LEAKED_BYTES, DIFF_PEAK_BYTES, DIFF_LIVE_BYTES,
                                     DIFF_ALLOCATIONS};
    static const size_t of_states[] = {DIFF_LIVE_BYTES};
    bool is_of_runs = diff_is_of_runs(diff);
    const size_t *judged = is_of_runs ? of_runs : of_states;
    size_t judged_count = is_of_runs ? sizeof(of_runs) / sizeof(of_runs[0]) : 1;
    struct diff_measure measures[DIFF_MEASURES];
    bool is_worse = false;
    bool is_better = false;
    diff_measure_all(diff, measures);
    *count = 0;
    for (size_t i = 0; i < judged_count; i++) {
        const struct diff_measure *measure = &measures[judged[i]];
        if (!diff_is_worth(measure, judged[i])) {
            continue;
        }
        is_worse |= measure->b > measure->a;
        is_better |= measure->b < measure->a;
        texts[(*count)++] = region_format(
            region, "%s %s (%s)", measure->label,
            diff_quantity(region, measure->unit, measure->b - measure->a, true),
            diff_change(region, measure->a, measure->b));
    }
    return is_worse && is_better ? DIFF_VERDICT_MIXED
           : is_worse            ? DIFF_VERDICT_WORSE
           : is_better           ? DIFF_VERDICT_BETTER
                                 : DIFF_VERDICT_SAME;
}

static const char *diff_verdict_name(const struct diff *diff, enum diff_verdict verdict)
{
    static const char *const of_runs[] = {"same", "worse", "better", "mixed"};
    static const char *const of_states[] = {"same", "grew", "shrank", "mixed"};
    return diff_is_of_runs(diff) ? of_runs[verdict] : of_states[verdict];
}

static void diff_add_verdict(struct diff_maker *maker)
{
    static const char *const titles[2][4] = {
        {"Not grown", "Grew", "Shrank", "Mixed"},
        {"No difference worth a word", "B is worse", "B is better", "Better and worse"}};
    static const enum report_tone tones[] = {REPORT_GOOD, REPORT_BAD, REPORT_GOOD, REPORT_WARNING};
    const char *texts[DIFF_MEASURES];
    size_t count;
    struct region *region = maker->document->region;
    bool is_of_runs = diff_is_of_runs(maker->diff);
    enum diff_verdict verdict = diff_judge(region, maker->diff, texts, &count);
    const char *why = count == 0 ? is_of_runs ? "leaks, peak, live bytes and allocations differ by "
                                                "less than 1 %"
                                              : "live bytes differ by less than 1 %"
                                 : texts[0];
    for (size_t i = 1; i < count; i++) {
        why = region_format(region, "%s, %s", why, texts[i]);
    }
    report_add_note(maker->document, tones[verdict], "%s: %s", titles[is_of_runs][verdict], why);
}

/* Both runs on one scale; of two states of one recording, the run they are from. */
static void diff_add_charts(struct diff_maker *maker)
{
    const struct diff *diff = maker->diff;
    bool is_one = strcmp(diff->a.model->selector.path, diff->b.model->selector.path) == 0
                  && diff_is_of_one_process(diff);
    struct report_chart *a =
        live_chart_add(maker->document, diff->a.process, is_one ? "live bytes" : "A: live bytes");
    struct report_chart *b =
        is_one ? a : live_chart_add(maker->document, diff->b.process, "B: live bytes");
    if (a != NULL) {
        live_chart_compare(a, b != NULL ? b : a);
    } else if (b != NULL) {
        live_chart_compare(b, b);
    }
}

static void diff_add_totals(struct diff_maker *maker)
{
    static const struct report_column columns[] = {{"", "measure", REPORT_TEXT},
                                                   {"A", "a", REPORT_TEXT},
                                                   {"B", "b", REPORT_TEXT},
                                                   {"delta", "delta", REPORT_TEXT},
                                                   {"change", "change", REPORT_TEXT}};
    struct diff_measure measures[DIFF_MEASURES];
    diff_measure_all(maker->diff, measures);
    struct region *region = maker->document->region;
    bool is_of_runs = diff_is_of_runs(maker->diff);
    report_add_section(maker->document, is_of_runs ? "The two runs" : "Totals", NULL);
    struct report_table *table = report_add_table(maker->document, columns, 5);
    for (size_t i = 0; i < (is_of_runs ? DIFF_MEASURES : DIFF_OF_STATES); i++) {
        const struct diff_measure *measure = &measures[i];
        bool is_known = measure->a != RECORDING_UNKNOWN && measure->b != RECORDING_UNKNOWN;
        struct report_row *row = report_add_row(maker->document, table);
        report_set_text(row, 0, measure->label);
        report_set_text(row, 1, diff_quantity(region, measure->unit, measure->a, false));
        report_set_text(row, 2, diff_quantity(region, measure->unit, measure->b, false));
        if (is_known) {
            report_set_text(row, 3,
                            diff_quantity(region, measure->unit, measure->b - measure->a, true));
            report_set_text(row, 4, diff_change(region, measure->a, measure->b));
        }
    }
}

/* What the list is ordered by: no site's live bytes changed when whole runs that free
 * everything are compared, then allocations tell more. */
static enum diff_sort diff_shown_metric(const struct diff *diff)
{
    if (diff->options.sort != DIFF_SORT_LIVE) {
        return diff->options.sort;
    }
    for (size_t i = 0; i < diff->item_count; i++) {
        if (diff_delta(&diff->items[i], DIFF_SORT_LIVE) != 0) {
            return DIFF_SORT_LIVE;
        }
    }
    return DIFF_SORT_ALLOCATIONS;
}

static void diff_metric_values(const struct diff_item *item, enum diff_sort metric, int64_t *a,
                               int64_t *b)
{
    switch (metric) {
    case DIFF_SORT_BLOCKS:
        *a = item->a.live_blocks;
        *b = item->b.live_blocks;
        break;
    case DIFF_SORT_ALLOCATIONS:
        *a = item->a.allocations;
        *b = item->b.allocations;
        break;
    case DIFF_SORT_ALLOCATED:
        *a = item->a.allocated_bytes;
        *b = item->b.allocated_bytes;
        break;
    case DIFF_SORT_TEMPORARY:
        *a = item->a.temporaries;
        *b = item->b.temporaries;
        break;
    case DIFF_SORT_LIVE:
    default:
        *a = item->a.live_bytes;
        *b = item->b.live_bytes;
        break;
    }
}

static void diff_set_stack(struct diff_maker *maker, struct report_row *row,
                           const struct diff_item *item, size_t shown)
{
    size_t stacks_max = maker->options->stacks_max;
    if (item->stack == NULL || (stacks_max != 0 && shown >= stacks_max)) {
        return;
    }
    place_set_frames(maker->document, item->model, item->stack, row);
    size_t frames_max = maker->options->frames_max;
    for (size_t i = 1; frames_max > 0 && i < row->frame_count; i++) {
        if (place_is_startup(&row->frames[i])) {
            row->frame_count = i;
        }
    }
    if (frames_max > 0 && row->frame_count > frames_max) {
        row->below = region_format(maker->document->region, "... %zu more frames, shown by --wide",
                                   row->frame_count - frames_max);
        row->frame_count = frames_max;
    }
}

static const struct report_column *diff_columns(enum diff_by by, bool is_bytes)
{
    static const struct report_column sites[2][7] = {
        {{"", "status", REPORT_TEXT},
         {"delta", "delta", REPORT_DELTA_COUNT},
         {"before", "before", REPORT_COUNT},
         {"after", "after", REPORT_COUNT},
         {"share", "share_of_growth", REPORT_PERCENT},
         {"blocks", "blocks_delta", REPORT_DELTA_COUNT},
         {"allocated by", "location", REPORT_PLACE}},
        {{"", "status", REPORT_TEXT},
         {"delta", "delta", REPORT_DELTA_BYTES},
         {"before", "before", REPORT_BYTES},
         {"after", "after", REPORT_BYTES},
         {"share", "share_of_growth", REPORT_PERCENT},
         {"blocks", "blocks_delta", REPORT_DELTA_COUNT},
         {"allocated by", "location", REPORT_PLACE}}};
    static const struct report_column groups[2][7] = {
        {{"", "status", REPORT_TEXT},
         {"delta", "delta", REPORT_DELTA_COUNT},
         {"before", "before", REPORT_COUNT},
         {"after", "after", REPORT_COUNT},
         {"share", "share_of_growth", REPORT_PERCENT},
         {"blocks", "blocks_delta", REPORT_DELTA_COUNT},
         {"allocated by", "name", REPORT_TEXT}},
        {{"", "status", REPORT_TEXT},
         {"delta", "delta", REPORT_DELTA_BYTES},
         {"before", "before", REPORT_BYTES},
         {"after", "after", REPORT_BYTES},
         {"share", "share_of_growth", REPORT_PERCENT},
         {"blocks", "blocks_delta", REPORT_DELTA_COUNT},
         {"allocated by", "name", REPORT_TEXT}}};
    return by == DIFF_BY_STACK ? sites[is_bytes] : groups[is_bytes];
}

static const char *const diff_metric_titles[] = {
    [DIFF_SORT_LIVE] = "live bytes",
    [DIFF_SORT_BLOCKS] = "live blocks",
    [DIFF_SORT_ALLOCATIONS] = "allocations",
    [DIFF_SORT_ALLOCATED] = "allocated bytes",
    [DIFF_SORT_TEMPORARY] = "temporary allocations",
};

static void diff_add_row(struct diff_maker *maker, struct report_table *table,
                         const struct diff_item *item, enum diff_sort metric, int64_t grown)
{
    struct report_row *row = report_add_row(maker->document, table);
    int64_t a;
    int64_t b;
    diff_metric_values(item, metric, &a, &b);
    report_set_text(row, 0, diff_status_name(item->status));
    report_set_integer(row, 1, b - a);
    report_set_integer(row, 2, a);
    report_set_integer(row, 3, b);
    if (b > a && grown > 0) {
        report_set_number(row, 4, 100.0 * (double)(b - a) / (double)grown);
    }
    report_set_integer(row, 5, item->b.live_blocks - item->a.live_blocks);
    row->cells[0].tone = b > a ? REPORT_BAD : b < a ? REPORT_GOOD : REPORT_PLAIN;
    if (item->name != NULL) {
        report_set_text(row, 6, item->name);
    } else if (item->frame != NULL) {
        report_set_place(row, 6, place_location(maker->document, item->stack));
        diff_set_stack(maker, row, item, table->row_count - 1);
    } else {
        row->below = "no stack could be recorded";
    }
}

static void diff_add_items(struct diff_maker *maker)
{
    const struct diff *diff = maker->diff;
    enum diff_sort metric = diff_shown_metric(diff);
    bool is_bytes = metric == DIFF_SORT_LIVE || metric == DIFF_SORT_ALLOCATED;
    size_t changed = 0;
    int64_t grown = 0;
    for (size_t i = 0; i < diff->item_count; i++) {
        int64_t delta = diff_delta(&diff->items[i], metric);
        changed += delta != 0;
        grown += delta > 0 ? delta : 0;
    }
    struct region *region = maker->document->region;
    report_add_section(maker->document,
                       region_format(region, "What changed: %s by %s", diff_metric_titles[metric],
                                     diff_by_name(diff->options.by)),
                       region_format(region, "%zu changed, %zu did not", changed,
                                     diff->item_count - changed));
    if (changed == 0) {
        report_add_paragraph(maker->document, "Nothing.");
        return;
    }
    struct report_table *table =
        report_add_table(maker->document, diff_columns(diff->options.by, is_bytes), 7);
    for (size_t i = 0; i < diff->item_count && table->row_count < maker->options->top; i++) {
        if (diff_delta(&diff->items[i], metric) != 0) {
            diff_add_row(maker, table, &diff->items[i], metric, grown);
        }
    }
    if (changed > table->row_count) {
        report_add_paragraph(maker->document, "%zu more changed; --top N shows more",
                             changed - table->row_count);
    }
    if (diff->left_out > 0) {
        report_add_paragraph(maker->document,
                             "%zu are left out by --min-bytes, --focus or --ignore; the totals "
                             "hold them",
                             diff->left_out);
    }
}

struct report_document *diff_report_make(const struct diff *diff,
                                         const struct diff_report_options *options)
{
    struct diff_maker maker = {
        .document = report_document_new(), .diff = diff, .options = options};
    struct region *region = maker.document->region;
    report_add_title(maker.document, "%s, and then %s", options->name_a, options->name_b);
    struct report_item *facts = report_add_facts(maker.document);
    report_add_fact(maker.document, facts, REPORT_PLAIN, "A", "%s",
                    diff_side_text(region, &diff->a, options->name_a));
    report_add_fact(maker.document, facts, REPORT_PLAIN, "B", "%s",
                    diff_side_text(region, &diff->b, options->name_b));
    diff_add_verdict(&maker);
    diff_add_notes(&maker);
    diff_add_charts(&maker);
    diff_add_totals(&maker);
    diff_add_items(&maker);
    return maker.document;
}

/* ---- for spreadsheets ------------------------------------------------------ */

static const struct report_column diff_table_columns[] = {
    {"status", "status", REPORT_TEXT},
    {"live bytes A", "live_bytes_a", REPORT_BYTES},
    {"live bytes B", "live_bytes_b", REPORT_BYTES},
    {"live bytes delta", "live_bytes_delta", REPORT_DELTA_BYTES},
    {"live blocks A", "live_blocks_a", REPORT_COUNT},
    {"live blocks B", "live_blocks_b", REPORT_COUNT},
    {"live blocks delta", "live_blocks_delta", REPORT_DELTA_COUNT},
    {"allocations A", "allocations_a", REPORT_COUNT},
    {"allocations B", "allocations_b", REPORT_COUNT},
    {"allocations delta", "allocations_delta", REPORT_DELTA_COUNT},
    {"temporaries A", "temporary_allocations_a", REPORT_COUNT},
    {"temporaries B", "temporary_allocations_b", REPORT_COUNT},
    {"temporaries delta", "temporary_allocations_delta", REPORT_DELTA_COUNT},
    {"name", "name", REPORT_TEXT},
    {"function", "function", REPORT_PLACE},
    {"file", "file", REPORT_TEXT},
    {"line", "line", REPORT_COUNT},
};

static void diff_set_triple(struct report_row *row, size_t column, bool is_known, int64_t a,
                            int64_t b)
{
    if (is_known) {
        report_set_integer(row, column, a);
        report_set_integer(row, column + 1, b);
        report_set_integer(row, column + 2, b - a);
    }
}

struct report_document *diff_report_make_table(const struct diff *diff)
{
    struct report_document *document = report_document_new();
    struct report_table *table =
        report_add_table(document, diff_table_columns,
                         sizeof(diff_table_columns) / sizeof(diff_table_columns[0]));
    table->is_data = true;
    bool is_known = diff->a.has_allocations && diff->b.has_allocations;
    for (size_t i = 0; i < diff->item_count; i++) {
        const struct diff_item *item = &diff->items[i];
        struct report_row *row = report_add_row(document, table);
        report_set_text(row, 0, diff_status_name(item->status));
        diff_set_triple(row, 1, true, item->a.live_bytes, item->b.live_bytes);
        diff_set_triple(row, 4, true, item->a.live_blocks, item->b.live_blocks);
        diff_set_triple(row, 7, is_known, item->a.allocations, item->b.allocations);
        diff_set_triple(row, 10, is_known, item->a.temporaries, item->b.temporaries);
        if (item->name != NULL) {
            report_set_text(row, 13, item->name);
        } else if (item->frame != NULL) {
            report_set_place(row, 14, place_location(document, item->stack));
            report_set_text(row, 15, item->frame->file);
            if (item->frame->line > 0) {
                report_set_integer(row, 16, item->frame->line);
            }
            place_set_frames(document, item->model, item->stack, row);
        }
    }
    return document;
}

/* ---- for programs ---------------------------------------------------------- */

static void diff_write_number(struct report_tree *tree, const char *key, enum report_unit unit,
                              bool is_known, int64_t value)
{
    if (!is_known || value == RECORDING_UNKNOWN) {
        tree_text(tree, key, NULL);
    } else if (unit == REPORT_SECONDS) {
        tree_number(tree, key, (double)value / 1e9);
    } else {
        tree_integer(tree, key, value);
    }
}

static void diff_write_triple(struct report_tree *tree, const struct diff_measure *measure)
{
    bool is_known = measure->a != RECORDING_UNKNOWN && measure->b != RECORDING_UNKNOWN;
    tree_object(tree, measure->name);
    diff_write_number(tree, "a", measure->unit, true, measure->a);
    diff_write_number(tree, "b", measure->unit, true, measure->b);
    diff_write_number(tree, "delta", measure->unit, is_known,
                      is_known ? measure->b - measure->a : 0);
    tree_end(tree);
}

static void diff_write_side(struct report_tree *tree, const char *key, const char *name,
                            const struct diff_side *side)
{
    const struct model *model = side->model;
    const struct model_snapshot *snapshot = model->state_snapshot;
    int64_t rate = model->run->sample_bytes;
    tree_object(tree, key);
    tree_text(tree, "file", name);
    tree_number(tree, "seconds", model->state_seconds);
    tree_text(tree, "label", snapshot != NULL ? snapshot->label : NULL);
    tree_integer(tree, "pid", side->process->row.pid);
    tree_text(tree, "program", side->process->row.executable);
    tree_integer(tree, "processes", (int64_t)model->process_count);
    diff_write_number(tree, "sample_bytes", REPORT_BYTES, rate > 0, rate);
    tree_end(tree);
}

static void diff_write_location(struct report_tree *tree, const struct diff *diff,
                                const struct diff_item *item)
{
    const struct model_frame *frame = item->frame;
    enum diff_by by = diff->options.by;
    if (by == DIFF_BY_STACK) {
        place_write_location(tree, "location", item->stack);
        place_write_stack(tree, "stack", item->model, item->stack);
        return;
    }
    bool has_file = frame != NULL && by != DIFF_BY_MODULE && by != DIFF_BY_FUNCTION;
    tree_object(tree, "location");
    tree_text(tree, "function",
              frame != NULL && by == DIFF_BY_FUNCTION ? frame->function : NULL);
    tree_text(tree, "file", has_file ? frame->file : NULL);
    if (has_file && by == DIFF_BY_LINE && frame->line > 0) {
        tree_integer(tree, "line", frame->line);
    } else {
        tree_text(tree, "line", NULL);
    }
    tree_end(tree);
    tree_array(tree, "stack");
    tree_end(tree);
    tree_text(tree, "name", item->name);
}

static void diff_write_item(struct report_tree *tree, const struct diff *diff,
                            const struct diff_item *item)
{
    int64_t delta = diff_delta(item, DIFF_SORT_LIVE);
    const struct diff_side *a = &diff->a;
    const struct diff_side *b = &diff->b;
    const struct diff_measure measures[] = {
        {NULL, "live_bytes", REPORT_BYTES, item->a.live_bytes, item->b.live_bytes},
        {NULL, "live_blocks", REPORT_COUNT, item->a.live_blocks, item->b.live_blocks},
        {NULL, "allocations", REPORT_COUNT, diff_known(a, item->a.allocations),
         diff_known(b, item->b.allocations)},
        {NULL, "allocated_bytes", REPORT_BYTES, diff_known(a, item->a.allocated_bytes),
         diff_known(b, item->b.allocated_bytes)},
        {NULL, "temporary_allocations", REPORT_COUNT, diff_known(a, item->a.temporaries),
         diff_known(b, item->b.temporaries)},
    };
    tree_object(tree, NULL);
    tree_text(tree, "status", diff_status_name(item->status));
    diff_write_location(tree, diff, item);
    for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++) {
        diff_write_triple(tree, &measures[i]);
    }
    if (item->a.live_bytes != 0) {
        tree_number(tree, "percent", diff_percent(item->a.live_bytes, item->b.live_bytes));
    } else {
        tree_text(tree, "percent", NULL);
    }
    tree_number(tree, "share_of_growth",
                delta > 0 && diff->grown_bytes > 0
                    ? 100.0 * (double)delta / (double)diff->grown_bytes
                    : 0);
    tree_end(tree);
}

void diff_report_write(struct report_tree *tree, const struct diff *diff,
                       const struct diff_report_options *options)
{
    struct diff_measure measures[DIFF_MEASURES];
    diff_measure_all(diff, measures);
    tree_object(tree, NULL);
    tree_integer(tree, "schema", 1);
    tree_text(tree, "by", diff_by_name(diff->options.by));
    struct region *region = region_new();
    const char *texts[DIFF_MEASURES];
    size_t count;
    tree_text(tree, "verdict", diff_verdict_name(diff, diff_judge(region, diff, texts, &count)));
    region_free(region);
    diff_write_side(tree, "a", options->name_a, &diff->a);
    diff_write_side(tree, "b", options->name_b, &diff->b);
    tree_object(tree, "totals");
    for (size_t i = 0; i < DIFF_MEASURES; i++) {
        diff_write_triple(tree, &measures[i]);
    }
    tree_end(tree);
    tree_object(tree, "matched");
    tree_integer(tree, "by_place", (int64_t)diff->matched_by_place);
    tree_integer(tree, "by_name", (int64_t)diff->matched_by_name);
    tree_boolean(tree, "different_builds", diff->are_builds_different);
    tree_boolean(tree, "different_sample_rates", diff->are_rates_different);
    tree_end(tree);
    tree_array(tree, "sites");
    for (size_t i = 0; i < diff->item_count; i++) {
        diff_write_item(tree, diff, &diff->items[i]);
    }
    tree_end(tree);
    tree_end(tree);
}
