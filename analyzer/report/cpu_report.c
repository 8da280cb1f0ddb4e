/* `memtrack cpu` for people: findings, the table, what was missed. */
#include "report/cpu_report.h"

#include "report/place.h"
#include "report/quantity.h"

#include <string.h>

/* Where a higher rate is worth a hint. */
#define MORE_SAMPLES_HZ 500

/* ---- sentences ------------------------------------------------------------ */

static const char *place_text(struct region *region, const struct model_frame *frame)
{
    if (frame == NULL) {
        return "an unknown place";
    }
    const char *name = frame->function != NULL ? frame->function
                       : frame->module != NULL ? frame->module->name
                                               : "an unknown place";
    if (frame->file == NULL || frame->line <= 0) {
        return name;
    }
    const char *file = strrchr(frame->file, '/');
    return region_format(region, "%s (%s:%lld)", name, file != NULL ? file + 1 : frame->file,
                         (long long)frame->line);
}

static const char *percent_text(struct region *region, double share)
{
    return region_copy_text(region, quantity_percent(share).text);
}

static const char *self_sentence(struct region *region, const struct cpu_result *result,
                                 const struct cpu_finding *finding)
{
    double seconds = finding->share / 100 * cpu_seconds(result, result->samples);
    const char *line = "";
    if (finding->frame != NULL) {
        const char *file = strrchr(finding->frame->file, '/');
        line = region_format(
            region, ", %s of it at %s:%lld",
            finding->share > 0 ? percent_text(region, 100 * finding->part / finding->share) : "",
            file != NULL ? file + 1 : finding->frame->file, (long long)finding->frame->line);
    }
    return region_format(region, "%s itself takes %s of %s time (%s)%s.", finding->name,
                         percent_text(region, finding->share), result->is_wall ? "wall" : "CPU",
                         quantity_seconds(seconds).text, line);
}

const char *cpu_report_sentence(struct region *region, const struct cpu_result *result,
                                const struct cpu_finding *finding)
{
    const char *share = percent_text(region, finding->share);
    const char *part = percent_text(region, finding->part);
    switch (finding->kind) {
    case CPU_FINDING_SELF:
        return self_sentence(region, result, finding);
    case CPU_FINDING_BELOW:
        return region_format(region,
                             "%s is spent below %s, where it divides: %s has %s, and the rest is "
                             "elsewhere.",
                             share, finding->name, finding->other, part);
    case CPU_FINDING_FLAT:
        return region_format(region, "No function stands out: the first, %s, has %s.",
                             finding->name, share);
    case CPU_FINDING_NAMELESS:
        return region_format(region,
                             "%s is in functions of %s that have no names: %s.", share,
                             finding->frame->module->path,
                             finding->frame->module->hint != NULL
                                 ? finding->frame->module->hint
                                 : "install its debug symbols or build it with -g, then record "
                                   "again");
    case CPU_FINDING_ALLOCATOR:
        return region_format(region,
                             "malloc and free take %s (with memtrack's own work there), %s for "
                             "blocks allocated by %s.",
                             share, strcmp(share, part) == 0 ? "all" : part,
                             place_text(region, finding->stack->location));
    case CPU_FINDING_SYSTEM:
        return finding->name != NULL ? region_format(
                   region, "%s is in system calls, most in %s (%s).", share, finding->name, part)
                                     : region_format(region, "%s is in system calls.", share);
    case CPU_FINDING_KERNEL:
        return region_format(
            region,
            "%s more is the kernel's outside of system calls: page faults (%s "
            "minor, %s major) and interrupts. It shows in the code that was "
            "interrupted or touched the memory.",
            share,
            result->minor_faults == RECORDING_UNKNOWN
                ? "?"
                : region_copy_text(region, quantity_count(result->minor_faults).text),
            result->major_faults == RECORDING_UNKNOWN
                ? "?"
                : region_copy_text(region, quantity_count(result->major_faults).text));
    case CPU_FINDING_THREAD:
        return region_format(region, "One thread, \"%s\", does %s of the work.", finding->name,
                             share);
    case CPU_FINDING_WAITING:
        return region_format(region,
                             "It had a CPU for %s of the time that passed: otherwise it waited, or "
                             "others had the machine. `memtrack run --cpu-clock=wall` shows where "
                             "it waits.",
                             share);
    case CPU_FINDING_FEW:
        return region_format(
            region, "Only %s sample%s: percentages may be off by %.0f points either way.%s",
            quantity_count(result->samples).text, result->samples == 1 ? "" : "s", finding->share,
            result->hz < MORE_SAMPLES_HZ ? " `memtrack run --cpu 999` takes more." : "");
    case CPU_FINDING_LOST:
        return region_format(region,
                             "%s of CPU time has no known place: threads that ended between two "
                             "ticks of the kernel's clock, or that had blocked the signal.",
                             share);
    }
    return "";
}

/* ---- tables --------------------------------------------------------------- */

static const struct report_frame *entry_place(struct report_document *document,
                                              const struct cpu_entry *entry, bool has_line)
{
    struct report_frame *frame = region_alloc(document->region, sizeof(*frame));
    if (entry->frame != NULL) {
        *frame = place_frame(entry->frame);
    }
    frame->function = entry->name;
    if (!has_line) {
        frame->line = entry->frame != NULL ? entry->frame->function_line : 0;
        frame->source = NULL;
    }
    return frame;
}

static const char *thread_text(struct region *region, const struct cpu_entry *entry)
{
    const char *served = entry->threads_served > 1
                             ? region_format(region, ", %lld threads one after another",
                                             (long long)entry->threads_served)
                             : "";
    return region_format(region, "%s (process %lld, thread %lld%s)", entry->name,
                         (long long)entry->process->row.pid, (long long)entry->tid, served);
}

static const char *const by_titles[] = {[CPU_BY_FUNCTION] = "function",
                                        [CPU_BY_LINE] = "line",
                                        [CPU_BY_MODULE] = "module",
                                        [CPU_BY_THREAD] = "thread",
                                        [CPU_BY_STACK] = "stack"};

static void set_shares(struct report_row *row, const struct cpu_result *result, int64_t self,
                       int64_t total)
{
    report_set_number(row, 0, cpu_percent(result, self));
    report_set_number(row, 1, cpu_seconds(result, self));
    report_set_number(row, 2, cpu_percent(result, total));
    report_set_number(row, 3, cpu_seconds(result, total));
}

static void limit_frames(struct report_row *row, const struct cpu_report_options *options)
{
    if (options->frames_max > 0 && row->frame_count > options->frames_max) {
        row->frame_count = options->frames_max;
    }
}

static void add_entries(struct report_document *document, const struct cpu_result *result,
                        const struct cpu_report_options *options)
{
    static const struct report_column place_columns[] = {{"self", "self_percent", REPORT_PERCENT},
                                                         {"", "self_seconds", REPORT_SECONDS},
                                                         {"total", "total_percent", REPORT_PERCENT},
                                                         {"", "total_seconds", REPORT_SECONDS},
                                                         {"where", "place", REPORT_PLACE}};
    static const struct report_column text_columns[] = {{"self", "self_percent", REPORT_PERCENT},
                                                        {"", "self_seconds", REPORT_SECONDS},
                                                        {"total", "total_percent", REPORT_PERCENT},
                                                        {"", "total_seconds", REPORT_SECONDS},
                                                        {"where", "name", REPORT_TEXT}};
    bool is_place = result->by != CPU_BY_MODULE && result->by != CPU_BY_THREAD;
    report_add_section(document, region_format(document->region, "By %s", by_titles[result->by]),
                       result->by == CPU_BY_STACK ? "time spent with exactly this stack"
                                                  : "self: in it; total: in it or below it");
    struct report_table *table =
        report_add_table(document, is_place ? place_columns : text_columns, 5);
    for (size_t i = 0; i < result->list.count; i++) {
        const struct cpu_entry *entry = &result->list.entries[i];
        if (options->top > 0 && i >= options->top) {
            report_add_note(document, REPORT_FAINT, "%zu more: --top %zu shows them",
                            result->list.count - i, result->list.count);
            break;
        }
        struct report_row *row = report_add_row(document, table);
        set_shares(row, result, entry->self, entry->total);
        if (result->by == CPU_BY_THREAD) {
            report_set_text(row, 4, thread_text(document->region, entry));
        } else if (result->by == CPU_BY_MODULE) {
            report_set_text(row, 4, entry->name);
        } else {
            report_set_place(row, 4, entry_place(document, entry, result->by != CPU_BY_FUNCTION));
        }
        if (result->by == CPU_BY_STACK) {
            place_set_frames(document, result->model, entry->stack, row);
            limit_frames(row, options);
        }
    }
}

static void add_edges(struct report_document *document, const struct cpu_result *result,
                      const char *title, const struct cpu_list *list, int64_t self,
                      const char *self_name)
{
    static const struct report_column columns[] = {{"total", "percent", REPORT_PERCENT},
                                                   {"", "seconds", REPORT_SECONDS},
                                                   {"function", "place", REPORT_PLACE}};
    report_add_section(document, title, NULL);
    struct report_table *table = report_add_table(document, columns, 3);
    struct report_frame *own = region_alloc(document->region, sizeof(*own));
    own->function = self_name;
    for (size_t i = 0; i <= list->count; i++) {
        bool is_own = i == list->count;
        if (is_own && self == 0) {
            break;
        }
        int64_t samples = is_own ? self : list->entries[i].total;
        struct report_row *row = report_add_row(document, table);
        report_set_number(row, 0, cpu_percent(result, samples));
        report_set_number(row, 1, cpu_seconds(result, samples));
        report_set_place(row, 2, is_own ? own : entry_place(document, &list->entries[i], false));
    }
}

static void add_around(struct report_document *document, const struct cpu_result *result)
{
    const struct cpu_around *around = result->around;
    report_add_paragraph(document, "%s: %s itself, %s with all that it calls", around->name,
                         percent_text(document->region, cpu_percent(result, around->self)),
                         percent_text(document->region, cpu_percent(result, around->total)));
    add_edges(document, result, "Called by", &around->callers, around->from_nowhere,
              "[nothing: it is outermost]");
    add_edges(document, result, "Calls", &around->callees, around->self, "[itself]");
}

static void add_sites(struct report_document *document, const struct cpu_result *result,
                      const struct cpu_report_options *options)
{
    static const struct report_column columns[] = {
        {"self", "percent", REPORT_PERCENT},
        {"", "seconds", REPORT_SECONDS},
        {"for blocks allocated by", "place", REPORT_PLACE}};
    if (result->site_count == 0) {
        return;
    }
    report_add_section(
        document, "In malloc and free",
        region_format(document->region, "%s, with memtrack's own work there",
                      percent_text(document->region, cpu_percent(result, result->allocator))));
    struct report_table *table = report_add_table(document, columns, 3);
    for (size_t i = 0; i < result->site_count && (options->top == 0 || i < options->top); i++) {
        struct report_row *row = report_add_row(document, table);
        report_set_number(row, 0, cpu_percent(result, result->sites[i].samples));
        report_set_number(row, 1, cpu_seconds(result, result->sites[i].samples));
        report_set_place(row, 2, place_location(document, result->sites[i].stack));
    }
}

/* ---- the document --------------------------------------------------------- */

static void add_nothing(struct report_document *document, const struct cpu_result *result)
{
    const struct model_process *process =
        result->process != NULL ? result->process : &result->model->processes[0];
    const char *state = process->row.cpu_sampling;
    if (result->hz == 0) {
        report_add_note(document, REPORT_WARNING,
                        "This recording has no CPU samples: it was made with --no-cpu. Record "
                        "again without it.");
    } else if (result->threads_missed > 0) {
        report_add_note(document, REPORT_WARNING,
                        "No CPU samples: %s threads got no timer, because `ulimit -i` (pending "
                        "signals) is too low.",
                        quantity_count(result->threads_missed).text);
    } else if (state != NULL && strcmp(state, "on") != 0 && strcmp(state, "off") != 0) {
        report_add_note(document, REPORT_WARNING, "No CPU samples: %s", state);
    } else if (result->used_seconds * (double)result->hz > 10) {
        report_add_note(document, REPORT_WARNING,
                        "No CPU samples, although it used %s of CPU time: all of it before or "
                        "outside of what can be sampled.",
                        quantity_seconds(result->used_seconds).text);
    } else {
        report_add_note(document, REPORT_WARNING,
                        "No CPU samples: it used less CPU time than one sample stands for (%s). "
                        "`memtrack run --cpu 999` samples more often.",
                        quantity_seconds(1.0 / (double)result->hz).text);
    }
}

static void add_facts(struct report_document *document, const struct cpu_result *result)
{
    struct report_item *facts = report_add_facts(document);
    struct region *region = document->region;
    int64_t all = result->samples + result->lost;
    report_add_fact(
        document, facts, REPORT_PLAIN, "sampled", "%s in %s samples, %lld Hz of %s time",
        region_copy_text(region, quantity_seconds(cpu_seconds(result, all)).text),
        quantity_count(all).text, (long long)result->hz, result->is_wall ? "wall" : "CPU");
    if (result->used_seconds >= 0) {
        report_add_fact(document, facts, REPORT_PLAIN, "used",
                        "%s by the kernel's count, %s of it "
                        "in the kernel",
                        region_copy_text(region, quantity_seconds(result->used_seconds).text),
                        quantity_seconds(result->kernel_seconds).text);
    }
    for (size_t i = 0; i < result->model->process_count; i++) {
        const struct model_process *process = &result->model->processes[i];
        const char *state = process->row.cpu_sampling;
        if ((result->process == NULL || process == result->process) && state != NULL
            && (strncmp(state, "ended", 5) == 0 || strncmp(state, "failed", 6) == 0)) {
            report_add_fact(document, facts, REPORT_WARNING, "missed", "process %lld: sampling %s",
                            (long long)process->row.pid, state);
        }
    }
    if (result->threads_missed > 0) {
        report_add_fact(document, facts, REPORT_WARNING, "missed",
                        "%s threads got no timer: `ulimit -i` (pending signals) is too low",
                        quantity_count(result->threads_missed).text);
    }
}

struct report_document *cpu_report_make(const struct cpu_result *result,
                                        const struct cpu_report_options *options)
{
    struct report_document *document = report_document_new();
    const struct model *model = result->model;
    if (result->process != NULL) {
        report_add_title(document, "CPU time of %s (process %lld)", result->process->row.executable,
                         (long long)result->process->row.pid);
    } else if (model->process_count > 1) {
        report_add_title(document, "CPU time of %s and %zu descendants",
                         model->processes[0].row.executable, model->process_count - 1);
    } else {
        report_add_title(document, "CPU time of %s", model->processes[0].row.executable);
    }
    if (result->samples == 0) {
        add_nothing(document, result);
        return document;
    }
    add_facts(document, result);
    if (result->around != NULL) {
        add_around(document, result);
        return document;
    }
    for (size_t i = 0; i < result->finding_count; i++) {
        report_add_paragraph(document, "%s",
                             cpu_report_sentence(document->region, result, &result->findings[i]));
    }
    add_entries(document, result, options);
    add_sites(document, result, options);
    return document;
}
