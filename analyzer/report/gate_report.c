/* A gate's result for people, spreadsheets and programs. */
#include "report/gate_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "report/live_chart.h"
#include "report/place.h"
#include "report/quantity.h"

/* ---- for people ----------------------------------------------------------- */

struct maker {
    struct report_document *document;
    const struct gate_result *result;
    const struct gate_report_options *options;
    const struct findings *findings;
};

static void add_checks(const struct maker *maker)
{
    struct report_item *facts = report_add_facts(maker->document);
    for (size_t i = 0; i < maker->findings->check_count; i++) {
        const struct finding_check *check = &maker->findings->checks[i];
        report_add_fact(maker->document, facts, check->is_met ? REPORT_GOOD : REPORT_BAD,
                        check->name, "%s%s", check->is_met ? "" : "FAILED: ", check->text);
    }
}

static void add_frames(const struct maker *maker, const struct finding *finding)
{
    static const struct report_column columns[] = {{"#", "number", REPORT_COUNT},
                                                   {"bytes", "bytes", REPORT_BYTES},
                                                   {"blocks", "blocks", REPORT_COUNT},
                                                   {"where", "location", REPORT_PLACE}};
    struct report_table *table = report_add_table(maker->document, columns, 4);
    struct report_row *row = report_add_row(maker->document, table);
    size_t shown = finding->frame_count;
    if (maker->options->frames_max > 0 && shown > maker->options->frames_max) {
        shown = maker->options->frames_max;
    }
    report_set_integer(row, 0, finding - maker->findings->items + 1);
    report_set_integer(row, 1, finding->bytes);
    report_set_integer(row, 2, finding->blocks);
    if (finding->place != NULL) {
        report_set_place(row, 3, finding->place);
    }
    row->frames = finding->frames;
    row->frame_count = shown;
}

static void add_finding(const struct maker *maker, const struct finding *finding)
{
    enum report_tone tone = finding->rule == FINDING_LIMIT ? REPORT_WARNING : REPORT_BAD;
    report_add_note(maker->document, tone, "%s: %s", finding_rule_name(finding->rule),
                    finding->message);
    if (finding->frame_count > 0) {
        add_frames(maker, finding);
    }
    if (finding->origin_count > 0) {
        const struct report_frame *from = finding->origin;
        report_add_paragraph(maker->document, "    the block was allocated by %s%s%s",
                             from->function != NULL ? from->function : "an unknown function",
                             from->file != NULL ? " at " : "", from->file != NULL ? from->file : "");
    }
    if (finding->held_by != NULL) {
        report_add_paragraph(maker->document, "    held by: %s", finding->held_by);
    }
}

/* The findings in one table: rows of it are what a comment shows best. */
static void add_findings_table(const struct maker *maker, size_t shown)
{
    static const struct report_column columns[] = {{"#", "number", REPORT_COUNT},
                                                   {"finding", "message", REPORT_TEXT},
                                                   {"bytes", "bytes", REPORT_BYTES},
                                                   {"blocks", "blocks", REPORT_COUNT},
                                                   {"where", "location", REPORT_PLACE},
                                                   {"held by", "held_by", REPORT_TEXT}};
    struct report_table *table = report_add_table(maker->document, columns, 6);
    for (size_t i = 0; i < shown; i++) {
        const struct finding *finding = &maker->findings->items[i];
        struct report_row *row = report_add_row(maker->document, table);
        report_set_integer(row, 0, (int64_t)i + 1);
        report_set_text(row, 1,
                        region_format(maker->document->region, "%s: %s",
                                      finding_rule_name(finding->rule), finding->message));
        if (finding->frame_count > 0) {
            report_set_integer(row, 2, finding->bytes);
            report_set_integer(row, 3, finding->blocks);
        }
        report_set_place(row, 4, finding->place);
        report_set_text(row, 5, finding->held_by);
        row->frames = finding->frames;
        row->frame_count = finding->frame_count;
    }
}

static void add_better(const struct maker *maker)
{
    const struct gate_result *result = maker->result;
    for (size_t i = 0; i < result->better_count; i++) {
        const struct baseline_entry *better = &result->better[i];
        report_add_note(maker->document, REPORT_GOOD,
                        "better than the baseline by %" PRId64 " (%s): %s %s", better->blocks,
                        quantity_bytes(better->bytes).text, better->kind, better->signature);
    }
    if (result->better_count > 0 && maker->options->baseline != NULL) {
        report_add_paragraph(maker->document,
                             "Lower the baseline, so that it stays better: --write-baseline %s",
                             maker->options->baseline);
    }
}

static void add_suppressions(const struct maker *maker)
{
    const struct suppressions *all = maker->options->suppressions;
    if (maker->result->suppressed_blocks > 0) {
        report_add_note(maker->document, REPORT_FAINT, "%s in %" PRId64 " blocks are suppressed",
                        quantity_bytes(maker->result->suppressed_bytes).text,
                        maker->result->suppressed_blocks);
    }
    for (size_t i = 0; all != NULL && i < all->count; i++) {
        if (all->items[i].blocks == 0) {
            report_add_note(maker->document, REPORT_FAINT, "%s:%u: this suppression was not used: %s",
                            all->items[i].origin, all->items[i].line, all->items[i].name);
        }
    }
}

static void add_left_out(const struct maker *maker)
{
    size_t ignored = maker->result->ignored_processes;
    size_t signalled = maker->result->signalled_processes;
    if (ignored > 0) {
        report_add_note(maker->document, REPORT_FAINT,
                        "%zu process%s left out, as --ignore-program asks", ignored,
                        ignored == 1 ? " was" : "es were");
    }
    if (signalled > 0) {
        report_add_note(maker->document, REPORT_FAINT,
                        "%zu process%s ended by a signal, as --allow-signals allows: what %s had"
                        " lost is not known",
                        signalled, signalled == 1 ? " was" : "es were",
                        signalled == 1 ? "it" : "they");
    }
}

static void add_commands(const struct maker *maker)
{
    const struct gate_report_options *options = maker->options;
    bool has_leaks = false;
    char command[1024];
    if (options->recording == NULL) {
        return;
    }
    for (size_t i = 0; i < maker->findings->count; i++) {
        has_leaks = has_leaks || maker->findings->items[i].rule <= FINDING_LEAK_REACHABLE;
    }
    snprintf(command, sizeof(command), "memtrack %s %s", has_leaks ? "leaks" : "report",
             options->recording);
    report_add_command(maker->document, command,
                       has_leaks ? "all of it, and who holds what is left"
                                 : "who allocates, who holds the peak");
}

struct report_document *gate_report_make(const struct gate_result *result,
                                         const struct gate_report_options *options)
{
    struct report_document *document = report_document_new();
    const struct findings *findings = gate_report_findings(document->region, result, options);
    struct maker maker = {document, result, options, findings};
    size_t shown =
        options->top > 0 && findings->count > options->top ? options->top : findings->count;
    report_add_title(document, "check %s: %s", findings->name,
                     findings->is_passed ? "passed" : "FAILED");
    add_checks(&maker);
    if (options->is_comment) {
        if (result->model != NULL) {
            struct report_chart *chart =
                live_chart_add(document, &result->model->processes[0], "live bytes");
            if (chart != NULL) {
                live_chart_compare(chart, chart);
            }
        }
        add_findings_table(&maker, shown);
    }
    for (size_t i = 0; i < shown && !options->is_comment; i++) {
        add_finding(&maker, &findings->items[i]);
    }
    if (shown < findings->count) {
        report_add_note(document, REPORT_FAINT, "%zu more findings; --top 0 shows them",
                        findings->count - shown);
    }
    add_better(&maker);
    add_suppressions(&maker);
    add_left_out(&maker);
    if (!findings->is_passed) {
        add_commands(&maker);
    }
    return document;
}

/* ---- for spreadsheets ----------------------------------------------------- */

struct report_document *gate_report_make_table(const struct gate_result *result,
                                               const struct gate_report_options *options)
{
    static const struct report_column columns[] = {
        {"finding", "finding", REPORT_TEXT}, {"limit", "limit", REPORT_TEXT},
        {"blocks", "blocks", REPORT_COUNT},  {"bytes", "bytes", REPORT_BYTES},
        {"where", "location", REPORT_PLACE}, {"message", "message", REPORT_TEXT},
        {"stack in words", "signature", REPORT_TEXT}};
    struct report_document *document = report_document_new();
    const struct findings *findings = gate_report_findings(document->region, result, options);
    struct report_table *table = report_add_table(document, columns, 7);
    table->is_data = true;
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        struct report_row *row = report_add_row(document, table);
        report_set_text(row, 0, finding_rule_name(finding->rule));
        report_set_text(row, 1, finding->limit);
        report_set_integer(row, 2, finding->blocks);
        report_set_integer(row, 3, finding->bytes);
        if (finding->place != NULL) {
            report_set_place(row, 4, finding->place);
        }
        report_set_text(row, 5, finding->message);
        report_set_text(row, 6, finding->signature);
    }
    return document;
}

/* ---- for programs --------------------------------------------------------- */

static const char *kind_name(enum gate_kind kind)
{
    switch (kind) {
    case GATE_KIND_LEAK:
        return "leak";
    case GATE_KIND_ERROR:
        return "error";
    case GATE_KIND_GROWTH:
        return "growth";
    case GATE_KIND_CONSUMER:
        return "limit";
    case GATE_KIND_BLIND:
        break;
    }
    return "incomplete";
}

static const char *class_name(const struct gate_failure *failure)
{
    if (failure->kind == GATE_KIND_LEAK) {
        return leaks_class_name(failure->leak_class);
    }
    return failure->kind == GATE_KIND_ERROR && failure->defect != NULL
               ? gate_error_name(failure->defect->kind)
               : NULL;
}

static void write_failure(struct report_tree *tree, const struct gate_result *result,
                          const struct gate_failure *failure, const struct finding *finding)
{
    tree_object(tree, NULL);
    tree_text(tree, "kind", kind_name(failure->kind));
    tree_text(tree, "class", class_name(failure));
    tree_text(tree, "limit", finding->limit);
    tree_integer(tree, "blocks", failure->blocks);
    tree_integer(tree, "bytes", failure->bytes);
    tree_text(tree, "message", finding->message);
    if (failure->process != NULL) {
        tree_integer(tree, "pid", failure->process->row.pid);
    } else {
        tree_text(tree, "pid", NULL);
    }
    place_write_location(tree, "location", failure->stack);
    place_write_stack(tree, "stack", result->model, failure->stack);
    if (failure->kind == GATE_KIND_ERROR) {
        place_write_stack(tree, "allocation_stack", result->model,
                          failure->defect != NULL ? failure->defect->allocation : NULL);
    }
    tree_text(tree, "held_by", finding->held_by);
    tree_end(tree);
}

void gate_report_write(struct report_tree *tree, const struct gate_result *result,
                       const struct gate_report_options *options)
{
    struct region *region = region_new();
    const struct findings *findings = gate_report_findings(region, result, options);
    tree_object(tree, NULL);
    tree_integer(tree, "schema", 1);
    tree_boolean(tree, "passed", result->is_passed);
    tree_text(tree, "name", findings->name);
    tree_text(tree, "recording", options->recording);
    tree_array(tree, "limits");
    for (size_t i = 0; i < result->verdict_count; i++) {
        const struct gate_verdict *verdict = &result->verdicts[i];
        tree_object(tree, NULL);
        tree_text(tree, "name", gate_limit_name(verdict->limit));
        tree_integer(tree, "limit", verdict->most);
        tree_integer(tree, "actual", verdict->actual);
        tree_boolean(tree, "passed", verdict->is_met);
        tree_end(tree);
    }
    tree_end(tree);
    tree_array(tree, "failures");
    for (size_t i = 0; i < result->failure_count; i++) {
        write_failure(tree, result, &result->failures[i], &findings->items[i]);
    }
    tree_end(tree);
    tree_array(tree, "better");
    for (size_t i = 0; i < result->better_count; i++) {
        tree_object(tree, NULL);
        tree_text(tree, "class", result->better[i].kind);
        tree_text(tree, "stack", result->better[i].signature);
        tree_integer(tree, "blocks", result->better[i].blocks);
        tree_integer(tree, "bytes", result->better[i].bytes);
        tree_end(tree);
    }
    tree_end(tree);
    tree_integer(tree, "ignored_processes", (int64_t)result->ignored_processes);
    tree_integer(tree, "signalled_processes", (int64_t)result->signalled_processes);
    tree_object(tree, "suppressed");
    tree_integer(tree, "blocks", result->suppressed_blocks);
    tree_integer(tree, "bytes", result->suppressed_bytes);
    tree_end(tree);
    tree_end(tree);
    region_free(region);
}
