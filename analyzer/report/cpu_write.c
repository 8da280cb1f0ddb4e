/* `memtrack cpu` for programs: JSON, and the table for CSV. */
#include "report/cpu_report.h"

#include "report/place.h"

static const char *const by_names[] = {[CPU_BY_FUNCTION] = "function",
                                       [CPU_BY_LINE] = "line",
                                       [CPU_BY_MODULE] = "module",
                                       [CPU_BY_THREAD] = "thread",
                                       [CPU_BY_STACK] = "stack"};

static const char *const finding_names[] = {[CPU_FINDING_FEW] = "few-samples",
                                            [CPU_FINDING_SELF] = "self",
                                            [CPU_FINDING_BELOW] = "below",
                                            [CPU_FINDING_FLAT] = "flat",
                                            [CPU_FINDING_NAMELESS] = "no-names",
                                            [CPU_FINDING_ALLOCATOR] = "allocator",
                                            [CPU_FINDING_SYSTEM] = "system-calls",
                                            [CPU_FINDING_KERNEL] = "kernel",
                                            [CPU_FINDING_THREAD] = "one-thread",
                                            [CPU_FINDING_WAITING] = "waiting",
                                            [CPU_FINDING_LOST] = "lost"};

static void write_seconds(struct report_tree *tree, const char *key, double seconds)
{
    if (seconds < 0) {
        tree_text(tree, key, NULL);
    } else {
        tree_number(tree, key, seconds);
    }
}

static void write_count(struct report_tree *tree, const char *key, int64_t count)
{
    if (count == RECORDING_UNKNOWN) {
        tree_text(tree, key, NULL);
    } else {
        tree_integer(tree, key, count);
    }
}

/* "module" is the path; a line is unknown (null) where entries are not lines. */
static void write_entry(struct report_tree *tree, const struct cpu_result *result, enum cpu_by by,
                        const struct cpu_entry *entry)
{
    const struct model_frame *frame = entry->frame;
    bool has_function = by != CPU_BY_MODULE && by != CPU_BY_THREAD;
    tree_object(tree, NULL);
    if (has_function) {
        tree_text(tree, "function", entry->name);
        tree_text(tree, "file", frame != NULL ? frame->file : NULL);
        int64_t line = frame == NULL           ? 0
                       : by == CPU_BY_FUNCTION ? frame->function_line
                                               : frame->line;
        write_count(tree, "line", line > 0 ? line : RECORDING_UNKNOWN);
        tree_text(tree, "module",
                  frame != NULL && frame->module != NULL ? frame->module->path : NULL);
    } else if (by == CPU_BY_MODULE) {
        tree_text(tree, "module", entry->name);
    } else {
        tree_text(tree, "thread", entry->name);
        tree_integer(tree, "pid", entry->process->row.pid);
        tree_integer(tree, "tid", entry->tid);
        tree_integer(tree, "threads_served", entry->threads_served);
    }
    tree_integer(tree, "self", entry->self);
    tree_integer(tree, "total", entry->total);
    tree_number(tree, "self_seconds", cpu_seconds(result, entry->self));
    tree_number(tree, "total_seconds", cpu_seconds(result, entry->total));
    tree_number(tree, "self_percent", cpu_percent(result, entry->self));
    tree_number(tree, "total_percent", cpu_percent(result, entry->total));
    tree_integer(tree, "system", entry->system);
    if (by == CPU_BY_STACK) {
        place_write_stack(tree, "stack", result->model, entry->stack);
    }
    tree_end(tree);
}

static void write_list(struct report_tree *tree, const char *key, const struct cpu_result *result,
                       enum cpu_by by, const struct cpu_list *list)
{
    tree_array(tree, key);
    for (size_t i = 0; i < list->count; i++) {
        write_entry(tree, result, by, &list->entries[i]);
    }
    tree_end(tree);
}

static void write_allocator(struct report_tree *tree, const struct cpu_result *result)
{
    tree_object(tree, "allocator");
    tree_integer(tree, "samples", result->allocator);
    tree_integer(tree, "system", result->allocator_system);
    tree_number(tree, "percent", cpu_percent(result, result->allocator));
    tree_array(tree, "sites");
    for (size_t i = 0; i < result->site_count; i++) {
        const struct cpu_site *site = &result->sites[i];
        tree_object(tree, NULL);
        tree_integer(tree, "id", site->stack->id);
        tree_integer(tree, "samples", site->samples);
        tree_number(tree, "seconds", cpu_seconds(result, site->samples));
        tree_number(tree, "percent", cpu_percent(result, site->samples));
        place_write_location(tree, "location", site->stack);
        tree_end(tree);
    }
    tree_end(tree);
    tree_end(tree);
}

static void write_findings(struct report_tree *tree, const struct cpu_result *result)
{
    struct region *region = region_new();
    tree_array(tree, "findings");
    for (size_t i = 0; i < result->finding_count; i++) {
        const struct cpu_finding *finding = &result->findings[i];
        tree_object(tree, NULL);
        tree_text(tree, "kind", finding_names[finding->kind]);
        tree_number(tree, "percent", finding->share);
        tree_text(tree, "text", cpu_report_sentence(region, result, finding));
        tree_end(tree);
    }
    tree_end(tree);
    region_free(region);
}

static void write_facts(struct report_tree *tree, const struct cpu_result *result)
{
    tree_integer(tree, "samples", result->samples);
    tree_integer(tree, "lost_samples", result->lost);
    tree_integer(tree, "system_samples", result->system);
    tree_integer(tree, "allocator_samples", result->allocator);
    tree_integer(tree, "hz", result->hz);
    tree_text(tree, "clock", result->is_wall ? "wall" : "cpu");
    tree_number(tree, "seconds", cpu_seconds(result, result->samples + result->lost));
    write_seconds(tree, "used_seconds", result->used_seconds);
    write_seconds(tree, "kernel_seconds", result->kernel_seconds);
    write_count(tree, "minor_faults", result->minor_faults);
    write_count(tree, "major_faults", result->major_faults);
    tree_integer(tree, "threads_missed", result->threads_missed);
}

void cpu_report_write_members(struct report_tree *tree, const struct cpu_result *result)
{
    write_facts(tree, result);
    write_allocator(tree, result);
    write_findings(tree, result);
    write_list(tree, "functions", result, CPU_BY_FUNCTION, &result->list);
}

void cpu_report_write(struct report_tree *tree, const struct cpu_result *result)
{
    tree_object(tree, NULL);
    tree_integer(tree, "schema", 1);
    write_facts(tree, result);
    write_allocator(tree, result);
    write_findings(tree, result);
    tree_text(tree, "by", by_names[result->by]);
    write_list(tree, "entries", result, result->by, &result->list);
    if (result->around != NULL) {
        tree_object(tree, "of");
        tree_text(tree, "function", result->around->name);
        tree_integer(tree, "self", result->around->self);
        tree_integer(tree, "total", result->around->total);
        tree_integer(tree, "outermost", result->around->from_nowhere);
        write_list(tree, "callers", result, CPU_BY_FUNCTION, &result->around->callers);
        write_list(tree, "callees", result, CPU_BY_FUNCTION, &result->around->callees);
        tree_end(tree);
    } else {
        tree_text(tree, "of", NULL);
    }
    tree_end(tree);
}

/* ---- the table ------------------------------------------------------------ */

static void add_row(struct report_document *document, struct report_table *table,
                    const struct cpu_result *result, const char *relation,
                    const struct cpu_entry *entry)
{
    const struct model_frame *frame = entry->frame;
    struct report_row *row = report_add_row(document, table);
    report_set_text(row, 0, relation);
    report_set_text(row, 1, entry->name);
    report_set_text(row, 2, frame != NULL ? frame->file : NULL);
    int64_t line = frame == NULL                                          ? 0
                   : result->by == CPU_BY_FUNCTION || result->around != NULL ? frame->function_line
                                                                          : frame->line;
    if (line > 0) {
        report_set_integer(row, 3, line);
    }
    report_set_text(row, 4,
                    frame != NULL && frame->module != NULL ? frame->module->path : NULL);
    if (entry->process != NULL) {
        report_set_integer(row, 5, entry->process->row.pid);
        report_set_integer(row, 6, entry->tid);
    }
    report_set_integer(row, 7, entry->self);
    report_set_integer(row, 8, entry->total);
    report_set_number(row, 9, cpu_seconds(result, entry->self));
    report_set_number(row, 10, cpu_seconds(result, entry->total));
    report_set_integer(row, 11, entry->system);
}

static void add_rows(struct report_document *document, struct report_table *table,
                     const struct cpu_result *result, const char *relation,
                     const struct cpu_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        add_row(document, table, result, relation, &list->entries[i]);
    }
}

struct report_document *cpu_report_make_table(const struct cpu_result *result)
{
    static const struct report_column columns[] = {
        {"kind", "kind", REPORT_TEXT},
        {"name", "name", REPORT_TEXT},
        {"file", "file", REPORT_TEXT},
        {"line", "line", REPORT_COUNT},
        {"module", "module", REPORT_TEXT},
        {"pid", "pid", REPORT_COUNT},
        {"tid", "tid", REPORT_COUNT},
        {"self", "self_samples", REPORT_COUNT},
        {"total", "total_samples", REPORT_COUNT},
        {"self", "self_seconds", REPORT_SECONDS},
        {"total", "total_seconds", REPORT_SECONDS},
        {"system", "system_samples", REPORT_COUNT}};
    struct report_document *document = report_document_new();
    struct report_table *table =
        report_add_table(document, columns, sizeof(columns) / sizeof(columns[0]));
    table->is_data = true;
    if (result->around != NULL) {
        add_rows(document, table, result, "caller", &result->around->callers);
        add_rows(document, table, result, "callee", &result->around->callees);
    } else {
        add_rows(document, table, result, by_names[result->by], &result->list);
    }
    return document;
}
