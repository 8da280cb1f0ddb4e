/* What analyses found, for the HTML page: leaks and holders, growth, CPU, the ledger, defects. */
#include "analyses/growth.h"
#include "analyses/leaks.h"
#include "analyses/ledger.h"
#include "report/cpu_report.h"
#include "report/page_parts.h"

#include <math.h>
#include <string.h>

/* Rows of a list beyond these are left out: nobody scrolls so far, and sites are all there. */
#define PAGE_CHAINS_MAX 5u
#define PAGE_HELD_MAX 1000u
#define PAGE_GROWTH_MAX 2000u

static void page_number_or_null(struct report_tree *tree, const char *key, double value)
{
    if (isfinite(value)) {
        tree_number(tree, key, value);
    } else {
        tree_text(tree, key, NULL);
    }
}

/* ---- leaks --------------------------------------------------------------- */

static void page_write_chain(struct page_writer *writer, const struct leaks_chain *chain)
{
    struct report_tree *tree = writer->tree;
    tree_object(tree, NULL);
    tree_integer(tree, "blocks", chain->blocks);
    tree_integer(tree, "bytes", chain->bytes);
    tree_array(tree, "steps");
    for (size_t i = 0; i < chain->step_count; i++) {
        const struct leaks_holder *step = &chain->steps[i];
        tree_object(tree, NULL);
        tree_text(tree, "text", step->text);
        tree_integer(tree, "leaf", page_stacks_leaf(&writer->stacks, step->stack));
        tree_integer(tree, "site", page_site_position(writer, step->stack));
        tree_end(tree);
    }
    tree_end(tree);
    tree_end(tree);
}

static void page_write_held(struct page_writer *writer, const struct leaks_result *leaks)
{
    struct report_tree *tree = writer->tree;
    tree_array(tree, "held");
    for (size_t i = 0; i < leaks->held_count && i < PAGE_HELD_MAX; i++) {
        const struct leaks_held *held = &leaks->held[i];
        tree_object(tree, NULL);
        tree_integer(tree, "site", page_site_position(writer, held->site->stack));
        tree_integer(tree, "blocks", held->blocks);
        tree_integer(tree, "bytes", held->bytes);
        page_write_known(tree, "retained_bytes", held->retained_bytes);
        tree_array(tree, "chains");
        for (size_t k = 0; k < held->chain_count && k < PAGE_CHAINS_MAX; k++) {
            page_write_chain(writer, &held->chains[k]);
        }
        tree_end(tree);
        tree_end(tree);
    }
    tree_end(tree);
}

static void page_write_leaks(struct page_writer *writer)
{
    struct report_tree *tree = writer->tree;
    struct region *region = region_new();
    struct leaks_result leaks;
    leaks_analyze(region, writer->model, writer->process, NULL, &leaks);
    tree_object(tree, "leaks");
    tree_text(tree, "scan", leaks.scan);
    for (int i = 0; i < RECORDING_LEAK_IGNORED; i++) {
        tree_object(tree, leaks_class_name((enum recording_leak_class)i));
        tree_integer(tree, "blocks", leaks.totals.blocks[i]);
        tree_integer(tree, "bytes", leaks.totals.bytes[i]);
        tree_end(tree);
    }
    tree_object(tree, "suppressed");
    tree_integer(tree, "blocks", leaks.suppressed_blocks);
    tree_integer(tree, "bytes", leaks.suppressed_bytes);
    tree_end(tree);
    tree_array(tree, "items");
    for (size_t i = 0; i < leaks.item_count; i++) {
        const struct leaks_item *item = &leaks.items[i];
        tree_object(tree, NULL);
        tree_integer(tree, "site", page_site_position(writer, item->site->stack));
        tree_text(tree, "class", leaks_class_name(item->leak_class));
        tree_integer(tree, "blocks", item->blocks);
        tree_integer(tree, "bytes", item->bytes);
        tree_integer(tree, "led_blocks", item->led_blocks);
        tree_integer(tree, "led_bytes", item->led_bytes);
        tree_end(tree);
    }
    tree_end(tree);
    page_write_held(writer, &leaks);
    tree_end(tree);
    region_free(region);
}

/* ---- growth -------------------------------------------------------------- */

static const char *page_verdict_name(enum growth_verdict verdict)
{
    static const char *const names[GROWTH_VERDICTS] = {
        [GROWTH_LEAK] = "leak",           [GROWTH_GROWING] = "growing",
        [GROWTH_FREED_AT_EXIT] = "freed-at-exit", [GROWTH_BOUNDED] = "bounded",
        [GROWTH_WARM_UP] = "warm-up",     [GROWTH_STEADY] = "steady"};
    return names[verdict];
}

static void page_write_growth_site(struct page_writer *writer, const struct growth_site *site)
{
    struct report_tree *tree = writer->tree;
    tree_object(tree, NULL);
    tree_integer(tree, "site", page_site_position(writer, site->stack));
    tree_text(tree, "verdict", page_verdict_name(site->verdict));
    page_number_or_null(tree, "bytes_per_second", site->bytes_per_second);
    page_number_or_null(tree, "low", site->low);
    page_number_or_null(tree, "high", site->high);
    page_number_or_null(tree, "confidence", site->confidence);
    tree_integer(tree, "grown_bytes", site->grown_bytes);
    tree_integer(tree, "live_bytes", site->live_bytes);
    page_number_or_null(tree, "oldest_seconds", site->oldest_seconds);
    tree_array(tree, "held_by");
    for (size_t i = 0; i < site->held_by_count; i++) {
        tree_text(tree, NULL, site->held_by[i]);
    }
    tree_end(tree);
    tree_end(tree);
}

static void page_write_growth(struct page_writer *writer)
{
    struct report_tree *tree = writer->tree;
    struct region *region = region_new();
    const struct growth *growth = NULL;
    struct growth_options options = {0};
    struct mt_error error = {0};
    int code =
        growth_make(region, writer->model, writer->process, &options, &growth, &error);
    tree_object(tree, "growth");
    tree_text(tree, "problem", code != 0 ? error.text : NULL);
    if (code == 0) {
        tree_integer(tree, "snapshots_used", (int64_t)growth->snapshots_used);
        tree_number(tree, "warmup_seconds", growth->warmup_seconds);
        tree_number(tree, "bytes_per_second", growth->bytes_per_second);
        page_number_or_null(tree, "exhausted_seconds", growth->exhausted_seconds);
        tree_integer(tree, "tested", (int64_t)growth->tested_count);
        tree_object(tree, "counts");
        for (int i = 0; i < GROWTH_VERDICTS; i++) {
            tree_integer(tree, page_verdict_name((enum growth_verdict)i),
                         (int64_t)growth->counts[i]);
        }
        tree_end(tree);
        tree_array(tree, "sites");
        for (size_t i = 0, rows = 0; i < growth->site_count && rows < PAGE_GROWTH_MAX; i++) {
            if (growth->sites[i].verdict != GROWTH_STEADY) {
                page_write_growth_site(writer, &growth->sites[i]);
                rows++;
            }
        }
        tree_end(tree);
    }
    tree_end(tree);
    region_free(region);
}

/* ---- CPU ----------------------------------------------------------------- */

static void page_write_functions(struct page_writer *writer, const struct cpu_result *cpu)
{
    struct report_tree *tree = writer->tree;
    tree_array(tree, "functions");
    for (size_t i = 0; i < cpu->list.count; i++) {
        const struct cpu_entry *entry = &cpu->list.entries[i];
        const struct model_frame *frame = entry->frame;
        tree_object(tree, NULL);
        tree_text(tree, "function", entry->name);
        tree_text(tree, "file", frame != NULL ? frame->file : NULL);
        tree_integer(tree, "line", frame != NULL ? frame->function_line : 0);
        tree_text(tree, "module",
                  frame != NULL && frame->module != NULL ? frame->module->path : NULL);
        tree_integer(tree, "self", entry->self);
        tree_integer(tree, "total", entry->total);
        tree_integer(tree, "system", entry->system);
        tree_end(tree);
    }
    tree_end(tree);
}

static void page_write_cpu_rows(struct page_writer *writer)
{
    struct report_tree *tree = writer->tree;
    const struct model_process *process = writer->process;
    tree_object(tree, "stacks");
    tree_array(tree, "leaf");
    for (size_t i = 0; i < process->cpu_count; i++) {
        tree_integer(tree, NULL, page_stacks_leaf(&writer->stacks, process->cpu[i].stack));
    }
    tree_end(tree);
    tree_array(tree, "samples");
    for (size_t i = 0; i < process->cpu_count; i++) {
        tree_integer(tree, NULL, process->cpu[i].samples);
    }
    tree_end(tree);
    tree_array(tree, "allocator_samples");
    for (size_t i = 0; i < process->cpu_count; i++) {
        tree_integer(tree, NULL, process->cpu[i].allocator_samples);
    }
    tree_end(tree);
    tree_end(tree);
}

static void page_write_cpu(struct page_writer *writer)
{
    struct report_tree *tree = writer->tree;
    const struct cpu_result *cpu = NULL;
    struct mt_error error = {0};
    struct cpu_request request = {.process = writer->process, .by = CPU_BY_FUNCTION};
    tree_object(tree, "cpu");
    tree_text(tree, "sampling", writer->process->row.cpu_sampling);
    if (cpu_analyze(writer->region, writer->model, &request, &cpu, &error) == 0) {
        tree_integer(tree, "samples", cpu->samples);
        tree_integer(tree, "lost", cpu->lost);
        tree_integer(tree, "system", cpu->system);
        tree_integer(tree, "allocator", cpu->allocator);
        tree_integer(tree, "hz", cpu->hz);
        tree_boolean(tree, "wall", cpu->is_wall);
        tree_array(tree, "findings");
        for (size_t i = 0; i < cpu->finding_count; i++) {
            tree_text(tree, NULL, cpu_report_sentence(writer->region, cpu, &cpu->findings[i]));
        }
        tree_end(tree);
        page_write_functions(writer, cpu);
        page_write_cpu_rows(writer);
    }
    tree_end(tree);
}

/* ---- ledger and defects -------------------------------------------------- */

static int page_visit_ledger(void *context, const void *row)
{
    struct page_writer *writer = context;
    const struct recording_ledger *ledger = row;
    const struct model_process *process = writer->process;
    size_t position = 0;
    while (position < process->snapshot_count
           && process->snapshots[position].snapshot->snapshot != ledger->snapshot) {
        position++;
    }
    if (position == process->snapshot_count && ledger->snapshot != RECORDING_LEDGER_AT_END) {
        return 0;
    }
    /* That of the end comes behind all snapshots. */
    tree_object(writer->tree, NULL);
    tree_integer(writer->tree, "snapshot", (int64_t)position);
    tree_text(writer->tree, "item", ledger->item);
    tree_text(writer->tree, "label", ledger_label(ledger->item));
    tree_integer(writer->tree, "bytes", ledger->bytes);
    tree_end(writer->tree);
    return 0;
}

static void page_write_errors(struct page_writer *writer)
{
    static const char *const names[] = {[RECORDING_DOUBLE_FREE] = "double-free",
                                        [RECORDING_INVALID_FREE] = "invalid-free",
                                        [RECORDING_MISMATCHED_FREE] = "mismatched-free"};
    struct report_tree *tree = writer->tree;
    const struct model_process *process = writer->process;
    tree_array(tree, "errors");
    for (size_t i = 0; i < process->defect_count; i++) {
        const struct model_defect *defect = &process->defects[i];
        tree_object(tree, NULL);
        tree_text(tree, "kind", names[defect->kind]);
        tree_integer(tree, "count", defect->count);
        tree_text(tree, "allocated_as", defect->allocated_as);
        tree_text(tree, "released_as", defect->released_as);
        tree_integer(tree, "leaf", page_stacks_leaf(&writer->stacks, defect->release));
        tree_integer(tree, "location",
                     page_stacks_location(&writer->stacks, defect->release));
        tree_integer(tree, "allocation_leaf",
                     page_stacks_leaf(&writer->stacks, defect->allocation));
        tree_end(tree);
    }
    tree_end(tree);
}

void page_write_findings(struct page_writer *writer)
{
    page_write_leaks(writer);
    page_write_growth(writer);
    page_write_cpu(writer);
    tree_array(writer->tree, "ledger");
    recording_reader_each(writer->model->reader, RECORDING_TABLE_LEDGER, writer->process->row.id,
                          page_visit_ledger, writer);
    tree_end(writer->tree);
    page_write_errors(writer);
}
