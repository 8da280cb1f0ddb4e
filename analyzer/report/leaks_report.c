#include "report/leaks_report.h"

#include "report/place.h"
#include "report/quantity.h"

#include <stdio.h>
#include <string.h>

#define PINNING_ROWS 5u
#define CHAINS_SHOWN 3u

static const char *const class_words[RECORDING_LEAK_CLASSES] = {
    "nothing points to them", "held by definite ones alone",
    "only pointers into the middle, or held by such blocks", "still pointed to",
    "the program asked to"};

/* ---- chains in words ------------------------------------------------------ */

static size_t text_add(char *text, size_t text_bytes, size_t used, const char *part)
{
    if (used < text_bytes) {
        int written = snprintf(text + used, text_bytes - used, "%s", part);
        used += written < 0 ? 0 : (size_t)written;
    }
    return used;
}

/* "session_new session.c:31" */
static void site_name(const struct model_stack *stack, char *text, size_t text_bytes)
{
    const struct model_frame *frame = stack->location;
    if (frame == NULL) {
        snprintf(text, text_bytes, "an unknown site");
        return;
    }
    const char *function = frame->function != NULL ? frame->function : "an unnamed function";
    const char *slash = frame->file != NULL ? strrchr(frame->file, '/') : NULL;
    if (frame->file != NULL && frame->line > 0) {
        snprintf(text, text_bytes, "%s %s:%lld", function, slash != NULL ? slash + 1 : frame->file,
                 (long long)frame->line);
    } else if (frame->module != NULL && frame->module->name[0] != '\0') {
        snprintf(text, text_bytes, "%s (%s)", function, frame->module->name);
    } else {
        snprintf(text, text_bytes, "%s", function);
    }
}

void leaks_report_chain(const struct leaks_held *held, const struct leaks_chain *chain, char *text,
                        size_t text_bytes)
{
    char name[512];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < chain->step_count; i++) {
        const struct leaks_holder *step = &chain->steps[i];
        if (step->kind == RECORDING_HOLDER_SITE && step->stack != NULL) {
            site_name(step->stack, name, sizeof(name));
        } else {
            snprintf(name, sizeof(name), "%s", step->text != NULL ? step->text : "a root");
        }
        used = text_add(text, text_bytes, used, name);
        used = text_add(text, text_bytes, used, " -> ");
    }
    site_name(held->site->stack, name, sizeof(name));
    (void)text_add(text, text_bytes, used, name);
}

/* ---- the document --------------------------------------------------------- */

struct maker {
    struct report_document *document;
    const struct leaks_result *result;
    size_t top;
};

static size_t rows_shown(const struct maker *maker, size_t count)
{
    return maker->top == 0 || count < maker->top ? count : maker->top;
}

static void set_site(const struct maker *maker, struct report_table *table, struct report_row *row,
                     const struct model_site *site, size_t column)
{
    const struct report_frame *place = place_location(maker->document, site->stack);
    report_set_integer(row, 0, (int64_t)table->row_count);
    if (place != NULL) {
        report_set_place(row, column, place);
        place_set_frames(maker->document, maker->result->model, site->stack, row);
    }
}

static void add_totals(const struct maker *maker)
{
    const struct leaks_result *result = maker->result;
    struct report_item *facts = report_add_facts(maker->document);
    for (size_t i = 0; i < RECORDING_LEAK_IGNORED; i++) {
        int64_t blocks = result->totals.blocks[i];
        bool is_leak = i == RECORDING_LEAK_DEFINITE || i == RECORDING_LEAK_INDIRECT;
        report_add_fact(maker->document, facts,
                        !is_leak     ? REPORT_PLAIN
                        : blocks > 0 ? REPORT_BAD
                                     : REPORT_GOOD,
                        leaks_class_name((enum recording_leak_class)i), "%s in %s %s (%s)",
                        quantity_bytes(result->totals.bytes[i]).text, quantity_count(blocks).text,
                        blocks == 1 ? "block" : "blocks", class_words[i]);
    }
    if (result->suppressed_blocks > 0) {
        report_add_fact(maker->document, facts, REPORT_FAINT, "suppressed",
                        "%s in %s %s", quantity_bytes(result->suppressed_bytes).text,
                        quantity_count(result->suppressed_blocks).text,
                        result->suppressed_blocks == 1 ? "block" : "blocks");
    }
}

static void add_lost(const struct maker *maker)
{
    static const struct report_column columns[] = {
        {"#", "number", REPORT_COUNT},       {"bytes", "bytes", REPORT_BYTES},
        {"blocks", "blocks", REPORT_COUNT},  {"leads to", "led_bytes", REPORT_BYTES},
        {"class", "class", REPORT_TEXT},     {"allocated by", "location", REPORT_PLACE}};
    const struct leaks_result *result = maker->result;
    if (result->item_count == 0) {
        return;
    }
    report_add_section(maker->document, "Lost", NULL);
    struct report_table *table = report_add_table(maker->document, columns, 6);
    size_t shown = rows_shown(maker, result->item_count);
    for (size_t i = 0; i < shown; i++) {
        const struct leaks_item *item = &result->items[i];
        struct report_row *row = report_add_row(maker->document, table);
        report_set_integer(row, 1, item->bytes);
        report_set_integer(row, 2, item->blocks);
        if (item->led_blocks > 0) {
            report_set_integer(row, 3, item->led_bytes);
        }
        report_set_text(row, 4, leaks_class_name(item->leak_class));
        set_site(maker, table, row, item->site, 5);
    }
    if (shown < result->item_count) {
        report_add_note(maker->document, REPORT_FAINT, "%zu more; --top N shows them",
                        result->item_count - shown);
    }
}

static void add_held(const struct maker *maker)
{
    const struct leaks_result *result = maker->result;
    char chain[1024];
    if (result->held_count == 0) {
        return;
    }
    report_add_section(maker->document, "Still held, and by whom", NULL);
    size_t shown = rows_shown(maker, result->held_count);
    for (size_t i = 0; i < shown; i++) {
        const struct leaks_held *held = &result->held[i];
        for (size_t j = 0; j < held->chain_count && j < CHAINS_SHOWN; j++) {
            double share = held->blocks == 0 ? 0
                           : held->bytes == 0
                               ? 100.0 * (double)held->chains[j].blocks / (double)held->blocks
                               : 100.0 * (double)held->chains[j].bytes / (double)held->bytes;
            leaks_report_chain(held, &held->chains[j], chain, sizeof(chain));
            report_add_paragraph(maker->document, "%s of %s in %s %s: %s",
                                 quantity_percent(share).text, quantity_bytes(held->bytes).text,
                                 quantity_count(held->blocks).text,
                                 held->blocks == 1 ? "block" : "blocks", chain);
        }
        if (held->retained_bytes != RECORDING_UNKNOWN && held->retained_bytes > held->bytes) {
            report_add_note(maker->document, REPORT_FAINT, "%s would go with these blocks",
                            quantity_bytes(held->retained_bytes).text);
        }
    }
    if (shown < result->held_count) {
        report_add_note(maker->document, REPORT_FAINT, "%zu more sites; --top N shows them",
                        result->held_count - shown);
    }
}

static void add_pinning(const struct maker *maker)
{
    static const struct report_column columns[] = {{"#", "number", REPORT_COUNT},
                                                   {"would return", "pinned_bytes", REPORT_BYTES},
                                                   {"live", "live_bytes", REPORT_BYTES},
                                                   {"allocated by", "location", REPORT_PLACE}};
    const struct leaks_result *result = maker->result;
    size_t worth = 0;
    while (worth < result->pinning_count && worth < PINNING_ROWS
           && result->pinning[worth].bytes >= 1 << 20) {
        worth++;
    }
    if (worth == 0) {
        return;
    }
    report_add_section(maker->document, "Mostly empty pages", "kept by few small blocks");
    struct report_table *table = report_add_table(maker->document, columns, 4);
    for (size_t i = 0; i < worth; i++) {
        struct report_row *row = report_add_row(maker->document, table);
        report_set_integer(row, 1, result->pinning[i].bytes);
        report_set_integer(row, 2, result->pinning[i].site->live_bytes);
        set_site(maker, table, row, result->pinning[i].site, 3);
    }
}

static void add_suppressions(const struct maker *maker, const struct suppressions *suppressions)
{
    for (size_t i = 0; suppressions != NULL && i < suppressions->count; i++) {
        const struct suppression *one = &suppressions->items[i];
        if (one->blocks == 0) {
            report_add_note(maker->document, REPORT_FAINT, "%s:%u: %s suppressed nothing",
                            one->origin, one->line, one->name);
        }
    }
}

static void add_other_processes(const struct maker *maker, struct suppressions *suppressions)
{
    const struct model *model = maker->result->model;
    for (size_t i = 0; i < model->process_count; i++) {
        const struct model_process *process = &model->processes[i];
        struct leaks_result other;
        if (process == maker->result->process
            || process->leaks.blocks[RECORDING_LEAK_DEFINITE] == 0) {
            continue;
        }
        leaks_analyze(maker->document->region, model, process, suppressions, &other);
        if (other.totals.blocks[RECORDING_LEAK_DEFINITE] > 0) {
            report_add_note(maker->document, REPORT_WARNING,
                            "process %lld leaked too, %s: --process %lld shows it",
                            (long long)process->row.pid,
                            quantity_bytes(other.totals.bytes[RECORDING_LEAK_DEFINITE]
                                           + other.totals.bytes[RECORDING_LEAK_INDIRECT])
                                .text,
                            (long long)process->row.pid);
        }
    }
}

struct report_document *leaks_report_make(const struct leaks_result *result,
                                          struct suppressions *suppressions,
                                          const struct leaks_report_options *options)
{
    struct maker maker = {
        .document = report_document_new(), .result = result, .top = options->top};
    const struct model_process *process = result->process;
    report_add_title(maker.document, "Leaks of %s", process->row.executable);
    if (process->census == NULL || strncmp(result->scan, "failed", 6) == 0) {
        report_add_note(maker.document, REPORT_WARNING, "scan: %s", result->scan);
        report_add_paragraph(maker.document, "%s in %s blocks were live at the end.",
                             quantity_bytes(process->totals.live_bytes).text,
                             quantity_count(process->totals.live_blocks).text);
        add_other_processes(&maker, suppressions);
        return maker.document;
    }
    add_totals(&maker);
    if (process->census->remark != NULL) {
        report_add_note(maker.document, REPORT_WARNING, "%s", process->census->remark);
    }
    add_lost(&maker);
    add_held(&maker);
    add_pinning(&maker);
    add_other_processes(&maker, suppressions); /* they may use some */
    add_suppressions(&maker, suppressions);
    return maker.document;
}

struct report_document *leaks_report_make_table(const struct leaks_result *result)
{
    static const struct report_column columns[] = {
        {"class", "class", REPORT_TEXT},          {"blocks", "blocks", REPORT_COUNT},
        {"bytes", "bytes", REPORT_BYTES},         {"led blocks", "led_blocks", REPORT_COUNT},
        {"led bytes", "led_bytes", REPORT_BYTES}, {"retained", "retained_bytes", REPORT_BYTES},
        {"allocated by", "location", REPORT_PLACE}};
    struct report_document *document = report_document_new();
    struct report_table *table = report_add_table(document, columns, 7);
    table->is_data = true;
    for (size_t i = 0; i < result->item_count + result->held_count; i++) {
        struct report_row *row = report_add_row(document, table);
        const struct leaks_item *item = i < result->item_count ? &result->items[i] : NULL;
        const struct leaks_held *held =
            item == NULL ? &result->held[i - result->item_count] : NULL;
        const struct model_site *site = item != NULL ? item->site : held->site;
        report_set_text(row, 0,
                        leaks_class_name(item != NULL ? item->leak_class
                                                      : RECORDING_LEAK_REACHABLE));
        report_set_integer(row, 1, item != NULL ? item->blocks : held->blocks);
        report_set_integer(row, 2, item != NULL ? item->bytes : held->bytes);
        report_set_integer(row, 3, item != NULL ? item->led_blocks : 0);
        report_set_integer(row, 4, item != NULL ? item->led_bytes : 0);
        if (site->retained_bytes != RECORDING_UNKNOWN) {
            report_set_integer(row, 5, site->retained_bytes);
        }
        const struct report_frame *place = place_location(document, site->stack);
        if (place != NULL) {
            report_set_place(row, 6, place);
        }
    }
    return document;
}

/* ---- for programs --------------------------------------------------------- */

static void write_class(struct report_tree *tree, const char *key, int64_t blocks, int64_t bytes)
{
    tree_object(tree, key);
    tree_integer(tree, "blocks", blocks);
    tree_integer(tree, "bytes", bytes);
    tree_end(tree);
}

static void write_or_null(struct report_tree *tree, const char *key, int64_t value)
{
    if (value == RECORDING_UNKNOWN) {
        tree_text(tree, key, NULL);
    } else {
        tree_integer(tree, key, value);
    }
}

static void write_lost(struct report_tree *tree, const struct leaks_result *result)
{
    tree_array(tree, "lost");
    for (size_t i = 0; i < result->item_count; i++) {
        const struct leaks_item *item = &result->items[i];
        tree_object(tree, NULL);
        tree_text(tree, "class", leaks_class_name(item->leak_class));
        tree_integer(tree, "blocks", item->blocks);
        tree_integer(tree, "bytes", item->bytes);
        write_class(tree, "leads_to", item->led_blocks, item->led_bytes);
        place_write_location(tree, "location", item->site->stack);
        place_write_stack(tree, "stack", result->model, item->site->stack);
        tree_end(tree);
    }
    tree_end(tree);
}

static void write_held(struct report_tree *tree, const struct leaks_result *result)
{
    char name[512];
    tree_array(tree, "held");
    for (size_t i = 0; i < result->held_count; i++) {
        const struct leaks_held *held = &result->held[i];
        tree_object(tree, NULL);
        tree_integer(tree, "blocks", held->blocks);
        tree_integer(tree, "bytes", held->bytes);
        write_or_null(tree, "retained_bytes", held->retained_bytes);
        place_write_location(tree, "location", held->site->stack);
        place_write_stack(tree, "stack", result->model, held->site->stack);
        tree_array(tree, "held_by");
        for (size_t j = 0; j < held->chain_count; j++) {
            const struct leaks_chain *chain = &held->chains[j];
            tree_object(tree, NULL);
            tree_integer(tree, "blocks", chain->blocks);
            tree_integer(tree, "bytes", chain->bytes);
            tree_array(tree, "chain");
            for (size_t k = 0; k < chain->step_count; k++) {
                const struct leaks_holder *step = &chain->steps[k];
                if (step->kind == RECORDING_HOLDER_SITE && step->stack != NULL) {
                    site_name(step->stack, name, sizeof(name));
                }
                tree_text(tree, NULL,
                          step->kind == RECORDING_HOLDER_SITE && step->stack != NULL ? name
                                                                                    : step->text);
            }
            tree_end(tree);
            tree_end(tree);
        }
        tree_end(tree);
        tree_end(tree);
    }
    tree_end(tree);
}

static void write_suppressions(struct report_tree *tree, const struct suppressions *suppressions)
{
    tree_array(tree, "suppressions");
    for (size_t i = 0; suppressions != NULL && i < suppressions->count; i++) {
        const struct suppression *one = &suppressions->items[i];
        tree_object(tree, NULL);
        tree_text(tree, "file", one->origin);
        tree_integer(tree, "line", one->line);
        tree_text(tree, "name", one->name);
        tree_integer(tree, "blocks", one->blocks);
        tree_integer(tree, "bytes", one->bytes);
        tree_end(tree);
    }
    tree_end(tree);
}

static void write_pinning(struct report_tree *tree, const struct leaks_result *result)
{
    tree_array(tree, "pinned_pages");
    for (size_t i = 0; i < result->pinning_count; i++) {
        tree_object(tree, NULL);
        tree_integer(tree, "bytes", result->pinning[i].bytes);
        place_write_location(tree, "location", result->pinning[i].site->stack);
        place_write_stack(tree, "stack", result->model, result->pinning[i].site->stack);
        tree_end(tree);
    }
    tree_end(tree);
}

void leaks_report_write(struct report_tree *tree, const struct leaks_result *result,
                        const struct suppressions *suppressions)
{
    const struct model_process *process = result->process;
    const struct recording_census *census = process->census;
    tree_object(tree, NULL);
    tree_integer(tree, "schema", 1);
    tree_integer(tree, "pid", process->row.pid);
    tree_text(tree, "program", process->row.executable);
    tree_object(tree, "leaks");
    for (size_t i = 0; i < RECORDING_LEAK_IGNORED; i++) {
        write_class(tree, leaks_class_name((enum recording_leak_class)i), result->totals.blocks[i],
                    result->totals.bytes[i]);
    }
    write_class(tree, "suppressed", result->suppressed_blocks, result->suppressed_bytes);
    tree_text(tree, "scan", result->scan);
    tree_end(tree);
    if (census != NULL) {
        tree_number(tree, "pause_seconds", (double)census->pause_ns / 1e9);
        tree_number(tree, "scan_seconds", (double)census->scan_ns / 1e9);
        tree_text(tree, "remark", census->remark);
    } else {
        tree_text(tree, "pause_seconds", NULL);
        tree_text(tree, "scan_seconds", NULL);
        tree_text(tree, "remark", NULL);
    }
    write_lost(tree, result);
    write_held(tree, result);
    write_pinning(tree, result);
    write_suppressions(tree, suppressions);
    tree_end(tree);
}
