#include "report/run_report.h"

#include "report/lifetimes.h"
#include "report/cpu_report.h"
#include "report/live_chart.h"
#include "report/place.h"
#include "report/quantity.h"
#include "report/run_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool run_has_command(const struct run_maker *maker, const char *name)
{
    return maker->options->has_command == NULL || maker->options->has_command(name);
}

static bool run_is_peak(const struct run_maker *maker)
{
    return maker->model->selector.state == MODEL_STATE_PEAK;
}

/* "at the end", "at the peak", "in snapshot 3 (4.20 s)". */
static const char *run_state_name(const struct run_maker *maker)
{
    const struct model_snapshot *snapshot = maker->model->state_snapshot;
    struct region *region = maker->document->region;
    if (run_is_peak(maker)) {
        return "at the peak";
    }
    if (snapshot == NULL) {
        return maker->process->row.ended_ns == RECORDING_UNKNOWN ? "when last seen" : "at the end";
    }
    const char *label = snapshot->label;
    return region_format(region, "in snapshot %lld (%s%s%s)", (long long)snapshot->index,
                         label != NULL ? label : "", label != NULL ? ", " : "",
                         quantity_seconds((double)snapshot->time_ns / 1e9).text);
}

/* ---- head ---------------------------------------------------------------- */

static const char *run_end_text(const struct run_maker *maker)
{
    const struct recording_process *row = &maker->process->row;
    struct region *region = maker->document->region;
    if (row->signal != RECORDING_UNKNOWN) {
        const char *name = sigabbrev_np((int)row->signal);
        return region_format(region, "ended by signal %lld%s%s", (long long)row->signal,
                             name != NULL ? " SIG" : "", name != NULL ? name : "");
    }
    if (row->was_replaced) {
        return "replaced itself with another program (exec)";
    }
    if (row->exit_status != RECORDING_UNKNOWN) {
        return region_format(region, "exit status %lld", (long long)row->exit_status);
    }
    return row->ended_ns == RECORDING_UNKNOWN ? "still ran when this was written"
                                              : "how it ended is not known";
}

static const char *run_mode_text(const struct run_maker *maker)
{
    const struct recording_run *run = maker->model->run;
    struct region *region = maker->document->region;
    const char *sampling = run->sample_bytes == RECORDING_UNKNOWN || run->sample_bytes <= 0
                               ? "every allocation"
                               : region_format(region, "sampled, one per %s; numbers are estimates",
                                               quantity_bytes(run->sample_bytes).text);
    const char *cpu =
        run->cpu_hz > 0 ? region_format(region, ", CPU at %lld Hz", (long long)run->cpu_hz) : "";
    return region_format(region, "%s%s, stacks up to %lld frames", sampling, cpu,
                         (long long)run->depth_max);
}

static void run_add_head(struct run_maker *maker)
{
    struct report_document *document = maker->document;
    const struct recording_process *row = &maker->process->row;
    report_add_title(document, "%s", run_command_line(document->region, maker->process));
    struct report_item *facts = report_add_facts(document);
    report_add_fact(document, facts, REPORT_PLAIN, "process", "pid %lld%s%s, ran %s, %s",
                    (long long)row->pid, maker->model->run->host != NULL ? " on " : "",
                    maker->model->run->host != NULL ? maker->model->run->host : "",
                    quantity_seconds(maker->summary->seconds).text, run_end_text(maker));
    report_add_fact(document, facts, REPORT_PLAIN, "recorded", "%s", run_mode_text(maker));
    const struct model_process *first = &maker->model->processes[0];
    if (maker->process != first && maker->process == model_main_process(maker->model)) {
        report_add_fact(document, facts, REPORT_PLAIN, "shown",
                        "#%zu, the largest of %zu processes; --process '#0' shows %s, which began "
                        "the run",
                        (size_t)maker->process->index, maker->model->process_count,
                        model_program_name(first));
    }
    if (maker->model->state_snapshot != NULL || run_is_peak(maker)) {
        report_add_fact(document, facts, REPORT_STRONG, "state", "%s", run_state_name(maker));
    }
    const char *damage = recording_reader_damage(maker->model->reader);
    if (damage != NULL) {
        report_add_fact(document, facts, REPORT_WARNING, "partial", "%s", damage);
    }
    if (row->untracked_reason != NULL) {
        report_add_fact(document, facts, REPORT_BAD, "not tracked", "%s", row->untracked_reason);
    }
}

/* In a run that samples: the 95 % interval of an estimate of bytes, "" where there is none. */
static const char *run_interval(const struct run_maker *maker, int64_t estimate, double variance)
{
    if (maker->model->run->sample_bytes <= 0 || variance <= 0) {
        return "";
    }
    double half = 1.96 * sqrt(variance);
    int64_t low = (double)estimate > half ? estimate - (int64_t)half : 0;
    return region_format(maker->document->region, "between %s and %s (95 %%)",
                         quantity_bytes(low).text, quantity_bytes(estimate + (int64_t)half).text);
}

static void run_add_totals(struct run_maker *maker)
{
    struct report_document *document = maker->document;
    const struct model_totals *totals = &maker->process->totals;
    const struct recording_process *row = &maker->process->row;
    double seconds = maker->summary->seconds;
    report_add_section(document, "Totals", NULL);
    struct report_item *facts = report_add_facts(document);
    report_add_fact(
        document, facts, REPORT_PLAIN, "allocated", "%s in %s allocations%s%s%s",
        quantity_bytes(totals->allocated_bytes).text, quantity_count(totals->allocations).text,
        seconds >= 0.1 ? " (" : "",
        seconds >= 0.1 ? quantity_count((int64_t)((double)totals->allocations / seconds)).text : "",
        seconds >= 0.1 ? " per second)" : "");
    report_add_fact(document, facts, REPORT_PLAIN, "freed", "%s in %s frees",
                    quantity_bytes(totals->freed_bytes).text, quantity_count(totals->frees).text);
    report_add_fact(document, facts, REPORT_STRONG, "peak", "%s in %s blocks after %s%s%s",
                    quantity_bytes(row->peak_bytes).text, quantity_count(row->peak_blocks).text,
                    quantity_seconds((double)(row->peak_ns - row->started_ns) / 1e9).text,
                    row->peak_rss_bytes > 0 ? "; resident at most " : "",
                    row->peak_rss_bytes > 0 ? quantity_bytes(row->peak_rss_bytes).text : "");
    report_add_fact(document, facts, REPORT_STRONG, "live", "%s in %s blocks %s",
                    quantity_bytes(totals->live_bytes).text,
                    quantity_count(totals->live_blocks).text, run_state_name(maker));
    report_add_fact(document, facts, REPORT_PLAIN, "temporary",
                    "%s allocations (%s), freed before the thread's next one",
                    quantity_count(totals->temporaries).text,
                    quantity_percent(run_share(totals->temporaries, totals->allocations)).text);
    const struct model_variance *variance = &maker->process->variance;
    const char *allocated = run_interval(maker, totals->allocated_bytes, variance->allocated_bytes);
    if (allocated[0] != '\0') {
        const char *live = run_interval(maker, totals->live_bytes, variance->live_bytes);
        report_add_fact(document, facts, REPORT_PLAIN, "estimates",
                        "from %s samples: allocated %s%s%s",
                        quantity_count(variance->sampled_allocations).text, allocated,
                        live[0] != '\0' ? "; live " : "", live);
    }
    if (totals->inherited_blocks != 0) {
        report_add_fact(document, facts, REPORT_PLAIN, "inherited",
                        "%s in %s blocks were live when it was forked",
                        quantity_bytes(totals->inherited_bytes).text,
                        quantity_count(totals->inherited_blocks).text);
    }
}

/* ---- timeline ------------------------------------------------------------ */

static void run_add_timeline(struct run_maker *maker)
{
    const struct model_process *process = maker->process;
    struct report_document *document = maker->document;
    const char *recorder = recording_reader_fact(maker->model->reader, "recorder");
    if (recorder != NULL && strcmp(recorder, "none") == 0) {
        report_add_section(document, "Timeline", NULL);
        report_add_paragraph(document, "none: the program ran without a recorder, see "
                                       "`memtrack help run`");
        return;
    }
    if (process->point_count < 2) {
        return;
    }
    report_add_section(document, "Timeline", "live bytes");
    (void)live_chart_add(document, process, "live");
}

/* ---- lists of sites ------------------------------------------------------ */

static void run_set_stack(struct run_maker *maker, struct report_row *row,
                          const struct model_stack *stack)
{
    place_set_frames(maker->document, maker->model, stack, row);
    size_t count = row->frame_count;
    for (size_t i = 1; i < count && !maker->options->has_startup; i++) {
        if (place_is_startup(&row->frames[i])) {
            row->frame_count = i;
            break;
        }
    }
    size_t frames_max = maker->options->frames_max;
    if (frames_max > 0 && row->frame_count > frames_max) {
        row->below = region_format(maker->document->region, "... %zu more frames, shown by --wide",
                                   row->frame_count - frames_max);
        row->frame_count = frames_max;
    } else if (stack->is_cut) {
        row->below = "... deeper than the frames kept, see --depth";
    }
}

/* A site has one number in a report and shows its stack once, in the first list that
 * ranks it among its first rows. */
static void run_set_site(struct run_maker *maker, const struct report_table *table,
                         struct report_row *row, const struct model_site *site, size_t place_column)
{
    uint32_t id = site->stack->id;
    if (maker->numbers[id] == 0) {
        maker->numbers[id] = ++maker->number_last;
    }
    report_set_integer(row, 0, maker->numbers[id]);
    const struct report_frame *location = place_location(maker->document, site->stack);
    if (location == NULL) {
        row->below = "no stack could be recorded";
        return;
    }
    report_set_place(row, place_column, location);
    size_t stacks_max = maker->options->stacks_max;
    place_set_callers(maker->document, maker->model, site->stack, row);
    if (!maker->has_stack[id] && (stacks_max == 0 || table->row_count <= stacks_max)) {
        maker->has_stack[id] = true;
        run_set_stack(maker, row, site->stack);
    }
}

static void run_set_interval(struct run_maker *maker, struct report_row *row,
                             const struct model_site *site, int64_t estimate, double variance)
{
    const char *interval = run_interval(maker, estimate, variance);
    if (interval[0] != '\0' && row->below == NULL) {
        row->below = region_format(maker->document->region, "%s, from %lld samples", interval,
                                   (long long)site->variance.sampled_allocations);
    }
}

static void run_add_rest(struct run_maker *maker, const struct summary_ranking *ranking,
                         const char *command)
{
    if (ranking->count > maker->options->top) {
        report_add_paragraph(maker->document, "%zu more sites; %s",
                             ranking->count - maker->options->top, command);
    }
}

static size_t run_rows(const struct run_maker *maker, const struct summary_ranking *ranking)
{
    return ranking->count < maker->options->top ? ranking->count : maker->options->top;
}

static void run_add_peak(struct run_maker *maker)
{
    static const struct report_column columns[] = {{"#", "number", REPORT_COUNT},
                                                   {"bytes", "peak_bytes", REPORT_BYTES},
                                                   {"share", "share", REPORT_PERCENT},
                                                   {"blocks", "peak_blocks", REPORT_COUNT},
                                                   {"allocated by", "location", REPORT_PLACE}};
    const struct summary_ranking *ranking = &maker->summary->rankings[SUMMARY_PEAK];
    if (ranking->count == 0) {
        return;
    }
    struct region *region = maker->document->region;
    report_add_section(maker->document, "The peak and who made it up",
                       region_format(region, "%s after %s", quantity_bytes(ranking->total).text,
                                     quantity_seconds((double)(maker->process->row.peak_ns
                                                               - maker->process->row.started_ns)
                                                      / 1e9)
                                         .text));
    struct report_table *table = report_add_table(maker->document, columns, 5);
    for (size_t i = 0; i < run_rows(maker, ranking); i++) {
        const struct model_site *site = ranking->sites[i];
        struct report_row *row = report_add_row(maker->document, table);
        report_set_integer(row, 1, site->peak_bytes);
        report_set_number(row, 2, run_share(site->peak_bytes, ranking->total));
        report_set_integer(row, 3, site->peak_blocks);
        run_set_site(maker, table, row, site, 4);
    }
    place_tell_apart(maker->document, table, 4);
    run_add_rest(maker, ranking, "--top N shows more");
}

static void run_add_live(struct run_maker *maker)
{
    static const struct report_column columns[] = {{"#", "number", REPORT_COUNT},
                                                   {"bytes", "live_bytes", REPORT_BYTES},
                                                   {"share", "share", REPORT_PERCENT},
                                                   {"blocks", "live_blocks", REPORT_COUNT},
                                                   {"allocated by", "location", REPORT_PLACE}};
    const struct summary_ranking *ranking = &maker->summary->rankings[SUMMARY_LIVE];
    if (ranking->count == 0 || run_is_peak(maker)) {
        return;
    }
    struct region *region = maker->document->region;
    report_add_section(
        maker->document, "Held the most",
        region_format(region, "%s %s", quantity_bytes(ranking->total).text, run_state_name(maker)));
    struct report_table *table = report_add_table(maker->document, columns, 5);
    for (size_t i = 0; i < run_rows(maker, ranking); i++) {
        const struct model_site *site = ranking->sites[i];
        struct report_row *row = report_add_row(maker->document, table);
        report_set_integer(row, 1, site->live_bytes);
        report_set_number(row, 2, run_share(site->live_bytes, ranking->total));
        report_set_integer(row, 3, site->live_blocks);
        run_set_site(maker, table, row, site, 4);
        run_set_interval(maker, row, site, site->live_bytes, site->variance.live_bytes);
    }
    place_tell_apart(maker->document, table, 4);
    run_add_rest(maker, ranking, "--top N shows more");
}

static void run_add_allocated(struct run_maker *maker)
{
    static const struct report_column columns[] = {
        {"#", "number", REPORT_COUNT},        {"bytes", "allocated_bytes", REPORT_BYTES},
        {"share", "share", REPORT_PERCENT},   {"allocations", "allocations", REPORT_COUNT},
        {"each", "mean_bytes", REPORT_BYTES}, {"allocated by", "location", REPORT_PLACE}};
    const struct summary_ranking *ranking = &maker->summary->rankings[SUMMARY_ALLOCATED];
    if (ranking->count == 0) {
        return;
    }
    struct region *region = maker->document->region;
    report_add_section(maker->document, "Allocated the most",
                       region_format(region, "%s in all", quantity_bytes(ranking->total).text));
    struct report_table *table = report_add_table(maker->document, columns, 6);
    for (size_t i = 0; i < run_rows(maker, ranking); i++) {
        const struct model_site *site = ranking->sites[i];
        struct report_row *row = report_add_row(maker->document, table);
        report_set_integer(row, 1, site->allocated_bytes);
        report_set_number(row, 2, run_share(site->allocated_bytes, ranking->total));
        report_set_integer(row, 3, site->allocations);
        report_set_integer(row, 4,
                           site->allocations > 0 ? site->allocated_bytes / site->allocations : 0);
        run_set_site(maker, table, row, site, 5);
        run_set_interval(maker, row, site, site->allocated_bytes, site->variance.allocated_bytes);
    }
    place_tell_apart(maker->document, table, 5);
    run_add_rest(maker, ranking, "--top N shows more");
}

static void run_add_temporary(struct run_maker *maker)
{
    static const struct report_column columns[] = {
        {"#", "number", REPORT_COUNT},
        {"temporary", "temporary_allocations", REPORT_COUNT},
        {"of its own", "share", REPORT_PERCENT},
        {"allocations", "allocations", REPORT_COUNT},
        {"allocated by", "location", REPORT_PLACE}};
    const struct summary_ranking *ranking = &maker->summary->rankings[SUMMARY_TEMPORARY];
    if (ranking->count == 0) {
        return;
    }
    struct region *region = maker->document->region;
    report_add_section(
        maker->document, "Churned the most",
        region_format(region, "%s temporary allocations", quantity_count(ranking->total).text));
    struct report_table *table = report_add_table(maker->document, columns, 5);
    for (size_t i = 0; i < run_rows(maker, ranking); i++) {
        const struct model_site *site = ranking->sites[i];
        struct report_row *row = report_add_row(maker->document, table);
        report_set_integer(row, 1, site->temporaries);
        report_set_number(row, 2, run_share(site->temporaries, site->allocations));
        report_set_integer(row, 3, site->allocations);
        run_set_site(maker, table, row, site, 4);
    }
    place_tell_apart(maker->document, table, 4);
    run_add_rest(maker, ranking, "--top N shows more");
}

/* ---- lifetimes ----------------------------------------------------------- */

/* They are counted over the whole run: of a moment there are none. */
static bool run_has_lifetimes(const struct run_maker *maker)
{
    return maker->model->state_snapshot == NULL && !run_is_peak(maker);
}

static void run_add_lifetimes(struct run_maker *maker)
{
    static const struct report_column columns[] = {{"#", "number", REPORT_COUNT},
                                                   {"blocks", "allocations", REPORT_COUNT},
                                                   {"lived", "lived", REPORT_TEXT},
                                                   {"allocated by", "location", REPORT_PLACE}};
    const struct summary_ranking *ranking = &maker->summary->rankings[SUMMARY_ALLOCATIONS];
    if (ranking->count == 0 || !run_has_lifetimes(maker)) {
        return;
    }
    struct region *region = maker->document->region;
    struct lifetimes all = {0};
    for (size_t i = 0; i < ranking->count; i++) {
        lifetimes_add(&all, ranking->sites[i]);
    }
    report_add_section(maker->document, "How long blocks lived", lifetimes_text(region, &all));
    struct report_table *table = report_add_table(maker->document, columns, 4);
    for (size_t i = 0; i < run_rows(maker, ranking); i++) {
        const struct model_site *site = ranking->sites[i];
        struct lifetimes lifetimes = {0};
        lifetimes_add(&lifetimes, site);
        struct report_row *row = report_add_row(maker->document, table);
        report_set_integer(row, 1, site->allocations);
        report_set_text(row, 2, lifetimes_text(region, &lifetimes));
        run_set_site(maker, table, row, site, 3);
    }
    place_tell_apart(maker->document, table, 3);
    run_add_rest(maker, ranking, "--top N shows more");
}

/* ---- leaks and errors ---------------------------------------------------- */

static const char *const run_class_names[RECORDING_LEAK_CLASSES] = {
    "definite", "indirect", "possible", "reachable", "suppressed"};
static const char *const run_class_words[RECORDING_LEAK_CLASSES] = {
    "nothing points to them", "held by definite ones alone", "only pointers into the middle",
    "still pointed to", "by a suppression, or the program's memtrack_ignore()"};

static void run_add_leak_sites(struct run_maker *maker)
{
    static const struct report_column columns[] = {{"#", "number", REPORT_COUNT},
                                                   {"bytes", "leaked_bytes", REPORT_BYTES},
                                                   {"blocks", "leaked_blocks", REPORT_COUNT},
                                                   {"class", "class", REPORT_TEXT},
                                                   {"allocated by", "location", REPORT_PLACE}};
    const struct summary_ranking *ranking = &maker->summary->rankings[SUMMARY_LEAKED];
    if (ranking->count == 0) {
        return;
    }
    struct report_table *table = report_add_table(maker->document, columns, 5);
    for (size_t i = 0; i < run_rows(maker, ranking); i++) {
        const struct model_site *site = ranking->sites[i];
        struct report_row *row = report_add_row(maker->document, table);
        report_set_integer(row, 1, summary_metric_of(site, SUMMARY_LEAKED));
        report_set_integer(row, 2,
                           site->leaks.blocks[RECORDING_LEAK_DEFINITE]
                               + site->leaks.blocks[RECORDING_LEAK_INDIRECT]);
        bool is_definite = site->leaks.blocks[RECORDING_LEAK_DEFINITE] > 0;
        bool is_indirect = site->leaks.blocks[RECORDING_LEAK_INDIRECT] > 0;
        report_set_text(row, 3,
                        is_definite && is_indirect ? "both"
                        : is_definite              ? "definite"
                                                   : "indirect");
        run_set_site(maker, table, row, site, 4);
    }
    place_tell_apart(maker->document, table, 4);
    run_add_rest(maker, ranking, "--top N shows more");
}

static void run_add_leaks(struct run_maker *maker)
{
    const struct model_process *process = maker->process;
    const char *scan = process->row.scan;
    if (process->census == NULL) {
        if (scan != NULL && strncmp(scan, "failed", 6) == 0) {
            report_add_section(maker->document, "Leaks", NULL);
            report_add_note(maker->document, REPORT_WARNING, "the scan %s", scan);
        }
        return;
    }
    report_add_section(maker->document, "Leaks", run_state_name(maker));
    struct report_item *facts = report_add_facts(maker->document);
    for (size_t i = 0; i < RECORDING_LEAK_CLASSES; i++) {
        int64_t blocks = process->leaks.blocks[i];
        bool is_leak = i == RECORDING_LEAK_DEFINITE || i == RECORDING_LEAK_INDIRECT;
        if (blocks == 0 && i == RECORDING_LEAK_IGNORED) {
            continue;
        }
        report_add_fact(maker->document, facts,
                        is_leak && blocks > 0 ? REPORT_BAD
                        : is_leak             ? REPORT_GOOD
                                              : REPORT_PLAIN,
                        run_class_names[i], "%s in %s blocks (%s)",
                        quantity_bytes(process->leaks.bytes[i]).text, quantity_count(blocks).text,
                        run_class_words[i]);
    }
    run_add_leak_sites(maker);
    if (process->census->remark != NULL) {
        report_add_note(maker->document, REPORT_WARNING, "%s", process->census->remark);
    }
}

static const char *run_defect_name(enum recording_error_kind kind)
{
    switch (kind) {
    case RECORDING_DOUBLE_FREE:
        return "double free";
    case RECORDING_INVALID_FREE:
        return "invalid free";
    case RECORDING_MISMATCHED_FREE:
        return "mismatched free";
    }
    return "error";
}

static void run_add_defects(struct run_maker *maker)
{
    static const struct report_column columns[] = {{"count", "count", REPORT_COUNT},
                                                   {"error", "error", REPORT_TEXT},
                                                   {"where", "location", REPORT_PLACE}};
    const struct model_process *process = maker->process;
    if (process->defect_count == 0) {
        return;
    }
    struct report_document *document = maker->document;
    report_add_section(document, "Errors", "memory released wrongly");
    struct report_table *table = report_add_table(document, columns, 3);
    for (size_t i = 0; i < process->defect_count; i++) {
        const struct model_defect *defect = &process->defects[i];
        const char *name = run_defect_name(defect->kind);
        if (defect->kind == RECORDING_MISMATCHED_FREE && defect->allocated_as[0] != '\0') {
            name = region_format(document->region, "%s: %s, then %s", name, defect->allocated_as,
                                 defect->released_as);
        }
        struct report_row *row = report_add_row(document, table);
        report_set_integer(row, 0, defect->count);
        report_set_text(row, 1, name);
        row->cells[1].tone = REPORT_BAD;
        report_set_place(row, 2, place_location(document, defect->release));
        run_set_stack(maker, row, defect->release);
        if (defect->allocation != NULL) {
            struct report_row *from = report_add_row(document, table);
            report_set_text(from, 1, "allocated by");
            report_set_place(from, 2, place_location(document, defect->allocation));
            run_set_stack(maker, from, defect->allocation);
        }
    }
}

/* ---- CPU ----------------------------------------------------------------- */

static void run_add_cpu(struct run_maker *maker)
{
    static const struct report_column columns[] = {{"self", "self", REPORT_PERCENT},
                                                   {"total", "total", REPORT_PERCENT},
                                                   {"function", "function", REPORT_PLACE}};
    const struct summary *summary = maker->summary;
    const struct cpu_result *cpu = summary->cpu;
    if (cpu->samples == 0) {
        return;
    }
    struct report_document *document = maker->document;
    report_add_section(
        document, "CPU",
        region_format(
            document->region, "%s in %s samples",
            region_copy_text(document->region,
                             quantity_seconds(cpu_seconds(cpu, cpu->samples + cpu->lost)).text),
            quantity_count(cpu->samples + cpu->lost).text));
    for (size_t i = 0; i < cpu->finding_count; i++) {
        report_add_paragraph(document, "%s",
                             cpu_report_sentence(document->region, cpu, &cpu->findings[i]));
    }
    struct report_table *table = report_add_table(document, columns, 3);
    for (size_t i = 0; i < cpu->list.count && i < maker->options->top; i++) {
        const struct cpu_entry *function = &cpu->list.entries[i];
        if (function->self == 0) {
            break;
        }
        struct report_frame *frame = region_alloc(document->region, sizeof(*frame));
        *frame = (struct report_frame){
            .function = function->name,
            .file = function->frame != NULL ? function->frame->file : NULL,
            .module = function->frame != NULL && function->frame->module != NULL
                          ? function->frame->module->path
                          : NULL};
        struct report_row *row = report_add_row(document, table);
        report_set_number(row, 0, cpu_percent(cpu, function->self));
        report_set_number(row, 1, cpu_percent(cpu, function->total));
        report_set_place(row, 2, frame);
    }
}

/* ---- what the reader should know ----------------------------------------- */

static void run_add_count_note(struct run_maker *maker, int64_t count, const char *one,
                               const char *many)
{
    if (count > 0) {
        report_add_note(maker->document, REPORT_WARNING, "%s %s", quantity_count(count).text,
                        count == 1 ? one : many);
    }
}

/* The modules that cost the report most names. */
static void run_add_hints(struct run_maker *maker)
{
    const struct model *model = maker->model;
    size_t shown = 0;
    for (size_t i = 1; i < model->module_count && shown < 3; i++) {
        const struct model_module *module = &model->modules[i];
        if (module->hint != NULL && module->kind == RECORDING_MODULE_PROGRAM
            && module->addresses > 0) {
            report_add_note(maker->document, REPORT_FAINT, "%s: %s", module->path, module->hint);
            shown++;
        } else if (module->hint == NULL && module->nameless * 2 > module->addresses
                   && module->kind == RECORDING_MODULE_PROGRAM && module->addresses > 0) {
            report_add_note(maker->document, REPORT_FAINT,
                            "%s: %s of %s addresses have no function name; build it with -g, or "
                            "install its debug symbols before recording",
                            module->path, quantity_count(module->nameless).text,
                            quantity_count(module->addresses).text);
            shown++;
        }
    }
}

static void run_add_notes(struct run_maker *maker)
{
    const struct recording_process *row = &maker->process->row;
    report_add_section(maker->document, "About this recording", NULL);
    struct report_item *facts = report_add_facts(maker->document);
    report_add_fact(maker->document, facts, REPORT_PLAIN, "file", "%s, by memtrack %s",
                    maker->model->selector.path,
                    maker->model->run->memtrack_version != NULL
                        ? maker->model->run->memtrack_version
                        : "of unknown version");
    report_add_fact(maker->document, facts, REPORT_PLAIN, "allocator", "%s",
                    row->allocator != NULL && row->allocator[0] != '\0' ? row->allocator
                                                                        : "unknown");
    report_add_fact(maker->document, facts, REPORT_PLAIN, "own memory",
                    "%s of the process's memory were memtrack's",
                    quantity_bytes(row->own_bytes).text);
    report_add_fact(maker->document, facts, REPORT_PLAIN, "stacks", "%s distinct",
                    quantity_count((int64_t)maker->process->site_count).text);
    run_add_count_note(maker, row->dropped_events,
                       "event could not be recorded, so totals are too low",
                       "events could not be recorded, so totals are too low");
    run_add_count_note(maker, row->unknown_stacks, "allocation has no stack",
                       "allocations have no stack");
    run_add_count_note(maker, row->approximate_stacks,
                       "stack needed a guess where code has no unwind information",
                       "stacks needed a guess where code has no unwind information");
    run_add_count_note(maker, row->cut_stacks,
                       "stack was deeper than the frames kept; --depth keeps more",
                       "stacks were deeper than the frames kept; --depth keeps more");
    run_add_count_note(maker, row->errors_beyond_table, "more error found no room in the list",
                       "more errors found no room in the list");
    const char *still_running = recording_reader_fact(maker->model->reader, "still_running");
    if (still_running != NULL && strcmp(still_running, "0") != 0) {
        report_add_note(maker->document, REPORT_WARNING,
                        "%s descendants still run; their part is added when they end",
                        still_running);
    }
    run_add_hints(maker);
}

static void run_suggest(struct run_maker *maker, const char *name, const char *arguments,
                        const char *explanation)
{
    if (run_has_command(maker, name)) {
        report_add_command(maker->document,
                           region_format(maker->document->region, "memtrack %s %s%s", name,
                                         maker->model->selector.path, arguments),
                           explanation);
    }
}

/* The process with the largest peak, if that is another one. */
static void run_suggest_process(struct run_maker *maker)
{
    const struct model *model = maker->model;
    const struct model_process *largest = maker->process;
    for (size_t i = 0; i < model->process_count; i++) {
        if (model->processes[i].row.peak_bytes > largest->row.peak_bytes) {
            largest = &model->processes[i];
        }
    }
    if (largest != maker->process) {
        struct region *region = maker->document->region;
        run_suggest(maker, "report",
                    region_format(region, " --process '#%lld'", (long long)largest->index),
                    region_format(region, "the largest peak: %s in pid %lld",
                                  quantity_bytes(largest->row.peak_bytes).text,
                                  (long long)largest->row.pid));
    }
}

static void run_add_commands(struct run_maker *maker)
{
    report_add_section(maker->document, "Next", NULL);
    if (maker->model->snapshot_count > 2) {
        run_suggest(maker, "growth", "", "which sites keep growing");
    }
    if (maker->process->census != NULL) {
        run_suggest(maker, "leaks", "", "leaks by class, who holds the rest");
    }
    if (maker->summary->cpu->samples > 0) {
        run_suggest(maker, "cpu", "", "where CPU time went");
    }
    run_suggest_process(maker);
    if (maker->model->snapshot_count > 1 && !run_is_peak(maker)) {
        run_suggest(maker, "report", "@peak", "the same at the peak");
    }
    run_suggest(maker, "report", " --top 30 --wide", "more sites, whole stacks");
    run_suggest(maker, "report", " --format json", "everything, for programs");
}

struct report_document *run_report_make(const struct summary *summary,
                                        const struct run_report_options *options)
{
    struct run_maker maker = {
        .document = report_document_new(),
        .summary = summary,
        .model = summary->model,
        .process = summary->process,
        .options = options,
    };
    maker.numbers = region_alloc_array(maker.document->region, maker.model->stack_count + 1,
                                       sizeof(*maker.numbers));
    maker.has_stack = region_alloc_array(maker.document->region, maker.model->stack_count + 1,
                                         sizeof(*maker.has_stack));
    run_add_head(&maker);
    run_add_totals(&maker);
    run_add_timeline(&maker);
    run_add_ledger(&maker);
    run_add_defects(&maker);
    run_add_leaks(&maker);
    run_add_peak(&maker);
    run_add_live(&maker);
    run_add_allocated(&maker);
    run_add_temporary(&maker);
    run_add_lifetimes(&maker);
    run_add_cpu(&maker);
    run_add_processes(&maker);
    run_add_notes(&maker);
    run_add_commands(&maker);
    return maker.document;
}
