#include "report/run_parts.h"

#include <stdlib.h>
#include <string.h>

#include "analyses/ledger.h"
#include "report/quantity.h"

#define RUN_TREE_ROWS_MAX 40u

/* As one would type it: what is empty or has blanks is quoted. Writes at most four bytes for each
 * of the argument's, and two; returns the end. */
static char *run_put_argument(char *at, const char *argument)
{
    if (argument[0] != '\0' && argument[strcspn(argument, " \t\n'\"")] == '\0') {
        return stpcpy(at, argument);
    }
    *at++ = '\'';
    for (; *argument != '\0'; argument++) {
        if (*argument == '\'') {
            at = stpcpy(at, "'\\''");
        } else {
            *at++ = *argument;
        }
    }
    *at++ = '\'';
    return at;
}

const char *run_command_line(struct region *region, const struct model_process *process)
{
    if (process->argument_count == 0) {
        return process->row.executable;
    }
    size_t length = 1;
    for (size_t i = 0; i < process->argument_count; i++) {
        length += 4 * strlen(process->arguments[i]) + 3;
    }
    char *line = region_alloc(region, length);
    char *at = line;
    for (size_t i = 0; i < process->argument_count; i++) {
        at = run_put_argument(at, process->arguments[i]);
        if (i + 1 < process->argument_count) {
            *at++ = ' ';
        }
    }
    *at = '\0';
    return line;
}

/* ---- resident memory ------------------------------------------------------ */

static const char *run_ledger_label(const struct ledger *ledger, const char *item)
{
    bool has_figures = false;
    for (size_t i = 0; i < ledger->count; i++) {
        has_figures |= strcmp(ledger->entries[i].item, "allocator-free") == 0;
    }
    if (!has_figures && strcmp(item, "own-mappings") == 0) {
        return "the program's own mappings, and what the allocator holds beside the blocks";
    }
    return ledger_label(item);
}

void run_add_ledger(struct run_maker *maker)
{
    static const struct report_column columns[] = {{"bytes", "bytes", REPORT_BYTES},
                                                   {"share", "share", REPORT_PERCENT},
                                                   {"what", "item", REPORT_TEXT}};
    struct region *region = maker->document->region;
    const struct ledger *ledger = ledger_find(region, maker->model, maker->process);
    if (ledger == NULL) {
        return;
    }
    report_add_section(
        maker->document, "Where the resident memory was",
        region_format(region, "%s %s%s", quantity_bytes(ledger->rss_bytes).text,
                      ledger->snapshot != NULL ? "after " : "at the end",
                      ledger->snapshot != NULL
                          ? quantity_seconds((double)ledger->snapshot->time_ns / 1e9).text
                          : ""));
    struct report_table *table = report_add_table(maker->document, columns, 3);
    for (size_t i = 0; i < ledger->count; i++) {
        const struct ledger_entry *entry = &ledger->entries[i];
        struct report_row *row = report_add_row(maker->document, table);
        report_set_integer(row, 0, entry->bytes);
        if (entry->bytes > 0) {
            report_set_number(row, 1, run_share(entry->bytes, ledger->rss_bytes));
        }
        report_set_text(row, 2,
                        entry->bytes < 0 ? "asked for, but never touched: not resident"
                                         : run_ledger_label(ledger, entry->item));
    }
}

/* ---- processes ----------------------------------------------------------- */

static void run_add_tree_row(struct run_maker *maker, struct report_table *table,
                             const struct model_process *process, size_t depth)
{
    struct region *region = maker->document->region;
    struct report_row *row = report_add_row(maker->document, table);
    report_set_integer(row, 0, process->index);
    report_set_integer(row, 1, process->row.pid);
    report_set_integer(row, 2, process->totals.allocations);
    report_set_integer(row, 3, process->row.peak_bytes);
    report_set_integer(row, 4, process->totals.live_bytes);
    const char *slash = strrchr(process->row.executable, '/');
    bool is_fork = process->row.start == RECORDING_START_FORK;
    /* A fork's arguments are its parent's. */
    const char *what = is_fork ? region_format(region, "fork of %s",
                                               slash != NULL ? slash + 1 : process->row.executable)
                               : run_command_line(region, process);
    report_set_text(row, 5,
                    region_format(region, "%*s%s%s%s", (int)(2 * (depth < 16 ? depth : 16)), "",
                                  process == maker->process ? "-> " : "",
                                  process->row.start == RECORDING_START_ATTACH ? "attached: " : "",
                                  what));
    if (process == maker->process) {
        row->cells[5].tone = REPORT_STRONG;
    }
}

/* Children come after their parents in the model's order, so a walk by depth needs no
 * recursion: a stack of positions does. */
void run_add_processes(struct run_maker *maker)
{
    static const struct report_column columns[] = {{"#", "index", REPORT_ID},
                                                   {"pid", "pid", REPORT_ID},
                                                   {"allocations", "allocations", REPORT_COUNT},
                                                   {"peak", "peak_bytes", REPORT_BYTES},
                                                   {"live", "live_bytes", REPORT_BYTES},
                                                   {"program", "program", REPORT_TEXT}};
    const struct model *model = maker->model;
    if (model->process_count < 2) {
        return;
    }
    struct report_document *document = maker->document;
    report_add_section(document, "Processes",
                       region_format(document->region,
                                     "%zu; choose one with --process PID or #INDEX",
                                     model->process_count));
    struct report_table *table = report_add_table(document, columns, 6);
    size_t *next = calloc(model->process_count + 1, sizeof(*next));
    const struct model_process **path = calloc(model->process_count + 1, sizeof(*path));
    if (next == NULL || path == NULL) {
        free(next);
        free(path);
        return;
    }
    size_t depth = 0;
    size_t shown = 1;
    path[0] = &model->processes[0];
    run_add_tree_row(maker, table, path[0], 0);
    while (shown < RUN_TREE_ROWS_MAX) {
        const struct model_process *at = path[depth];
        if (next[at->index] < at->child_count) {
            path[depth + 1] = at->children[next[at->index]++];
            depth++;
            run_add_tree_row(maker, table, path[depth], depth);
            shown++;
        } else if (depth > 0) {
            depth--;
        } else {
            break;
        }
    }
    free(next);
    free(path);
    if (shown < model->process_count) {
        report_add_paragraph(document, "%zu more processes; --format json has all",
                             model->process_count - shown);
    }
}
