#include "report/growth_report.h"

#include "report/place.h"
#include "report/quantity.h"

#include <math.h>
#include <string.h>

struct growth_maker {
    struct report_document *document;
    const struct growth *growth;
    const struct growth_report_options *options;
};

static const char *growth_verdict_name(enum growth_verdict verdict)
{
    switch (verdict) {
    case GROWTH_LEAK:
        return "leak";
    case GROWTH_GROWING:
        return "growing";
    case GROWTH_FREED_AT_EXIT:
        return "freed-at-exit";
    case GROWTH_BOUNDED:
        return "bounded";
    case GROWTH_WARM_UP:
        return "warm-up";
    case GROWTH_STEADY:
    case GROWTH_VERDICTS:
        break;
    }
    return "steady";
}

/* ---- for people ------------------------------------------------------------ */

static void growth_add_facts(struct growth_maker *maker)
{
    const struct growth *growth = maker->growth;
    struct report_document *document = maker->document;
    struct report_item *facts = report_add_facts(document);
    report_add_fact(document, facts, REPORT_PLAIN, "process", "pid %lld, %s",
                    (long long)growth->process->row.pid, growth->process->row.executable);
    report_add_fact(document, facts, REPORT_PLAIN, "snapshots", "%zu of %zu, from %s to %s",
                    growth->snapshots_used, growth->snapshots,
                    quantity_seconds(growth->start_seconds).text,
                    quantity_seconds(growth->end_seconds).text);
    if (growth->warmup_seconds > 0) {
        report_add_fact(document, facts, REPORT_PLAIN, "warm-up", "until %s%s",
                        quantity_seconds(growth->warmup_seconds).text,
                        growth->is_warmup_automatic
                            ? ", found from the memory's own course; --warmup sets it"
                            : ", as asked for");
    } else {
        report_add_fact(document, facts, REPORT_PLAIN, "warm-up", "none%s",
                        growth->is_warmup_automatic ? " was found; --warmup sets one" : "");
    }
    size_t bad = growth->counts[GROWTH_LEAK] + growth->counts[GROWTH_GROWING];
    if (bad == 0) {
        report_add_fact(document, facts, REPORT_GOOD, "verdict", "nothing keeps growing");
    } else {
        report_add_fact(document, facts, REPORT_BAD, "verdict",
                        "%zu %s growing, together %s (%s per hour)", bad,
                        bad == 1 ? "site keeps" : "sites keep",
                        quantity_rate_bytes(growth->bytes_per_second).text,
                        quantity_bytes((int64_t)(growth->bytes_per_second * 3600)).text);
    }
    report_add_fact(document, facts, REPORT_PLAIN, "sites",
                    "%zu leak, %zu growing, %zu freed at exit, %zu bounded, %zu warm-up, %zu "
                    "steady",
                    growth->counts[GROWTH_LEAK], growth->counts[GROWTH_GROWING],
                    growth->counts[GROWTH_FREED_AT_EXIT], growth->counts[GROWTH_BOUNDED],
                    growth->counts[GROWTH_WARM_UP], growth->counts[GROWTH_STEADY]);
    if (!isnan(growth->exhausted_seconds)) {
        report_add_fact(document, facts, REPORT_WARNING, "memory",
                        "%s of %s are used; at this rate the rest lasts for %s",
                        quantity_bytes(growth->rss_bytes).text,
                        quantity_bytes(growth->limit_bytes).text,
                        quantity_seconds(growth->exhausted_seconds).text);
    }
}

static void growth_add_notes(struct growth_maker *maker)
{
    const struct growth *growth = maker->growth;
    const struct model *model = growth->model;
    if (model->process_count > 1) {
        report_add_note(maker->document, REPORT_PLAIN,
                        "%s holds %zu processes; this is #%lld, --process chooses another",
                        model->selector.path, model->process_count,
                        (long long)growth->process->index);
    }
    if (growth->snapshots_used < 8) {
        report_add_note(maker->document, REPORT_WARNING,
                        "only %zu snapshots: verdicts are less sure than with 8 or more; record "
                        "for longer, or with a smaller --snapshot-every",
                        growth->snapshots_used);
    }
    if (growth->process->census == NULL && growth->counts[GROWTH_GROWING] > 0) {
        report_add_note(maker->document, REPORT_PLAIN,
                        "no census was made, so what grows is not told apart from what leaks");
    }
}

static void growth_set_site(struct growth_maker *maker, struct report_row *row, size_t column,
                            const struct growth_site *site)
{
    const struct report_frame *location = place_location(maker->document, site->stack);
    if (location == NULL) {
        row->below = "no stack could be recorded";
        return;
    }
    report_set_place(row, column, location);
    place_set_frames(maker->document, maker->growth->model, site->stack, row);
    size_t frames_max = maker->options->frames_max;
    for (size_t i = 1; frames_max > 0 && i < row->frame_count; i++) {
        if (place_is_startup(&row->frames[i])) {
            row->frame_count = i;
        }
    }
    if (frames_max > 0 && row->frame_count > frames_max) {
        row->frame_count = frames_max;
    }
}

/* "began after 3.2 s, oldest block at least 40 s old, held by g_cache (app)". */
static const char *growth_remark(struct growth_maker *maker, const struct growth_site *site)
{
    struct region *region = maker->document->region;
    const char *text =
        region_format(region, "%s to %s with 95 %% confidence, p %s%.2g",
                      quantity_rate_bytes(site->low).text, quantity_rate_bytes(site->high).text,
                      site->adjusted_p_value < 1e-12 ? "< " : "",
                      site->adjusted_p_value < 1e-12 ? 1e-12 : site->adjusted_p_value);
    if (site->began_seconds > maker->growth->start_seconds) {
        text = region_format(region, "%s; began after %s", text,
                             quantity_seconds(site->began_seconds).text);
    }
    if (!isnan(site->oldest_seconds)) {
        text = region_format(region, "%s; oldest block %s%s", text,
                             site->is_oldest_exact ? "" : "at least ",
                             quantity_seconds(site->oldest_seconds).text);
    }
    for (size_t i = 0; i < site->held_by_count; i++) {
        text = region_format(region, "%s%s%s", text, i == 0 ? "; held by " : " > ",
                             site->held_by[i]);
    }
    return text;
}

static void growth_add_growing(struct growth_maker *maker)
{
    static const struct report_column columns[] = {{"", "verdict", REPORT_TEXT},
                                                   {"rate", "bytes_per_second", REPORT_RATE_BYTES},
                                                   {"per hour", "bytes_per_hour", REPORT_BYTES},
                                                   {"live", "live_bytes", REPORT_BYTES},
                                                   {"blocks", "live_blocks", REPORT_COUNT},
                                                   {"allocated by", "location", REPORT_PLACE}};
    const struct growth *growth = maker->growth;
    size_t count = growth->counts[GROWTH_LEAK] + growth->counts[GROWTH_GROWING];
    if (count == 0) {
        return;
    }
    report_add_section(maker->document, "Keeps growing", NULL);
    struct report_table *table = report_add_table(maker->document, columns, 6);
    for (size_t i = 0; i < count && i < maker->options->top; i++) {
        const struct growth_site *site = &growth->sites[i];
        struct report_row *row = report_add_row(maker->document, table);
        report_set_text(row, 0, growth_verdict_name(site->verdict));
        row->cells[0].tone = REPORT_BAD;
        report_set_number(row, 1, site->bytes_per_second);
        report_set_integer(row, 2, (int64_t)(site->bytes_per_second * 3600));
        report_set_integer(row, 3, site->live_bytes);
        report_set_integer(row, 4, site->live_blocks);
        growth_set_site(maker, row, 5, site);
        row->below = growth_remark(maker, site);
    }
    if (count > maker->options->top) {
        report_add_paragraph(maker->document, "%zu more sites; --top N shows more",
                             count - maker->options->top);
    }
}

/* Sites that grew and do no more. */
static void growth_add_ended(struct growth_maker *maker, enum growth_verdict verdict,
                             const char *title, const char *remark)
{
    static const struct report_column columns[] = {{"", "verdict", REPORT_TEXT},
                                                   {"grown", "grown_bytes", REPORT_BYTES},
                                                   {"from", "began_seconds", REPORT_SECONDS},
                                                   {"until", "stopped_seconds", REPORT_SECONDS},
                                                   {"live", "live_bytes", REPORT_BYTES},
                                                   {"allocated by", "location", REPORT_PLACE}};
    const struct growth *growth = maker->growth;
    size_t count = growth->counts[verdict];
    if (count == 0) {
        return;
    }
    report_add_section(maker->document, title, remark);
    struct report_table *table = report_add_table(maker->document, columns, 6);
    for (size_t i = 0; i < growth->site_count && table->row_count < maker->options->top; i++) {
        const struct growth_site *site = &growth->sites[i];
        if (site->verdict != verdict) {
            continue;
        }
        struct report_row *row = report_add_row(maker->document, table);
        report_set_text(row, 0, growth_verdict_name(verdict));
        report_set_integer(row, 1, site->grown_bytes);
        if (!isnan(site->began_seconds)) {
            report_set_number(row, 2, site->began_seconds);
        }
        if (!isnan(site->stopped_seconds)) {
            report_set_number(row, 3, site->stopped_seconds);
        }
        report_set_integer(row, 4, site->live_bytes);
        growth_set_site(maker, row, 5, site);
    }
    if (count > table->row_count) {
        report_add_paragraph(maker->document, "%zu more sites; --top N shows more",
                             count - table->row_count);
    }
}

static void growth_add_chart(struct growth_maker *maker)
{
    const struct model_process *process = maker->growth->process;
    if (process->snapshot_count < 2) {
        return;
    }
    report_add_section(maker->document, "Live bytes", "at the snapshots");
    struct report_chart *chart = report_add_chart(maker->document, "live", REPORT_BYTES);
    struct report_chart_point *points =
        region_alloc_array(maker->document->region, process->snapshot_count, sizeof(*points));
    for (size_t i = 0; i < process->snapshot_count; i++) {
        double bytes = (double)process->snapshots[i].live_bytes;
        points[i] = (struct report_chart_point){
            .seconds = (double)process->snapshots[i].snapshot->time_ns / 1e9,
            .low = bytes,
            .high = bytes};
    }
    chart->points = points;
    chart->point_count = process->snapshot_count;
    chart->start_seconds = points[0].seconds;
    chart->end_seconds = points[process->snapshot_count - 1].seconds;
    chart->mark_seconds =
        maker->growth->warmup_seconds > 0 ? maker->growth->warmup_seconds : -1;
    chart->mark_label = "warm-up ends";
}

struct report_document *growth_report_make(const struct growth *growth,
                                           const struct growth_report_options *options)
{
    struct growth_maker maker = {
        .document = report_document_new(), .growth = growth, .options = options};
    report_add_title(maker.document, "%s: what grows", growth->model->selector.path);
    growth_add_facts(&maker);
    growth_add_notes(&maker);
    growth_add_chart(&maker);
    growth_add_growing(&maker);
    growth_add_ended(&maker, GROWTH_FREED_AT_EXIT, "Grew, and was freed at the exit",
                     "harmless, unless the process should run for ever");
    growth_add_ended(&maker, GROWTH_BOUNDED, "Grew, then stopped",
                     "caches that filled, or leaks that ended");
    return maker.document;
}

/* ---- for spreadsheets ------------------------------------------------------ */

struct report_document *growth_report_make_table(const struct growth *growth)
{
    static const struct report_column columns[] = {
        {"verdict", "verdict", REPORT_TEXT},
        {"bytes per second", "bytes_per_second", REPORT_RATE_BYTES},
        {"low", "low", REPORT_RATE_BYTES},
        {"high", "high", REPORT_RATE_BYTES},
        {"p", "p_value", REPORT_SECONDS},
        {"grown bytes", "grown_bytes", REPORT_BYTES},
        {"live bytes", "live_bytes", REPORT_BYTES},
        {"live blocks", "live_blocks", REPORT_COUNT},
        {"oldest seconds", "oldest_seconds", REPORT_SECONDS},
        {"function", "function", REPORT_PLACE},
        {"file", "file", REPORT_TEXT},
        {"line", "line", REPORT_COUNT},
    };
    struct report_document *document = report_document_new();
    struct report_table *table =
        report_add_table(document, columns, sizeof(columns) / sizeof(columns[0]));
    table->is_data = true;
    for (size_t i = 0; i < growth->site_count; i++) {
        const struct growth_site *site = &growth->sites[i];
        struct report_row *row = report_add_row(document, table);
        report_set_text(row, 0, growth_verdict_name(site->verdict));
        report_set_number(row, 1, site->bytes_per_second);
        report_set_number(row, 2, site->low);
        report_set_number(row, 3, site->high);
        report_set_number(row, 4, site->p_value);
        report_set_integer(row, 5, site->grown_bytes);
        report_set_integer(row, 6, site->live_bytes);
        report_set_integer(row, 7, site->live_blocks);
        if (!isnan(site->oldest_seconds)) {
            report_set_number(row, 8, site->oldest_seconds);
        }
        const struct model_frame *frame = site->stack->location;
        if (frame != NULL) {
            report_set_place(row, 9, place_location(document, site->stack));
            report_set_text(row, 10, frame->file);
            if (frame->line > 0) {
                report_set_integer(row, 11, frame->line);
            }
            place_set_frames(document, growth->model, site->stack, row);
        }
    }
    return document;
}

/* ---- for programs ---------------------------------------------------------- */

static void growth_write_number(struct report_tree *tree, const char *key, double value)
{
    if (isfinite(value)) {
        tree_number(tree, key, value);
    } else {
        tree_text(tree, key, NULL);
    }
}

static void growth_write_integer(struct report_tree *tree, const char *key, int64_t value)
{
    if (value == RECORDING_UNKNOWN) {
        tree_text(tree, key, NULL);
    } else {
        tree_integer(tree, key, value);
    }
}

static void growth_write_site(struct report_tree *tree, const struct growth *growth,
                              const struct growth_site *site)
{
    tree_object(tree, NULL);
    place_write_location(tree, "location", site->stack);
    place_write_stack(tree, "stack", growth->model, site->stack);
    tree_number(tree, "bytes_per_second", site->bytes_per_second);
    tree_number(tree, "bytes_per_hour", site->bytes_per_second * 3600);
    tree_number(tree, "low", site->low);
    tree_number(tree, "high", site->high);
    tree_number(tree, "p_value", site->p_value);
    tree_number(tree, "adjusted_p_value", site->adjusted_p_value);
    growth_write_number(tree, "confidence", site->confidence);
    tree_text(tree, "verdict", growth_verdict_name(site->verdict));
    tree_integer(tree, "live_bytes", site->live_bytes);
    tree_integer(tree, "live_blocks", site->live_blocks);
    tree_integer(tree, "grown_bytes", site->grown_bytes);
    growth_write_number(tree, "began_seconds", site->began_seconds);
    growth_write_number(tree, "stopped_seconds", site->stopped_seconds);
    growth_write_number(tree, "oldest_seconds", site->oldest_seconds);
    tree_boolean(tree, "oldest_is_exact", site->is_oldest_exact);
    tree_array(tree, "held_by");
    for (size_t i = 0; i < site->held_by_count; i++) {
        tree_text(tree, NULL, site->held_by[i]);
    }
    tree_end(tree);
    tree_end(tree);
}

void growth_report_write(struct report_tree *tree, const struct growth *growth)
{
    tree_object(tree, NULL);
    tree_integer(tree, "schema", 1);
    tree_integer(tree, "snapshots_used", (int64_t)growth->snapshots_used);
    tree_integer(tree, "snapshots", (int64_t)growth->snapshots);
    tree_number(tree, "warmup_seconds", growth->warmup_seconds);
    tree_boolean(tree, "warmup_automatic", growth->is_warmup_automatic);
    tree_number(tree, "from_seconds", growth->start_seconds);
    tree_number(tree, "to_seconds", growth->end_seconds);
    tree_integer(tree, "pid", growth->process->row.pid);
    tree_integer(tree, "sites_tested", (int64_t)growth->tested_count);
    tree_number(tree, "bytes_per_second", growth->bytes_per_second);
    growth_write_integer(tree, "rss_bytes", growth->rss_bytes);
    growth_write_integer(tree, "memory_limit_bytes", growth->limit_bytes);
    growth_write_number(tree, "exhausted_in_seconds", growth->exhausted_seconds);
    tree_array(tree, "sites");
    for (size_t i = 0; i < growth->site_count; i++) {
        growth_write_site(tree, growth, &growth->sites[i]);
    }
    tree_end(tree);
    tree_end(tree);
}
