/* What a person would say who looks at the numbers. */
#include "analyses/cpu_parts.h"

#include <math.h>
#include <string.h>

/* A function stands out from here on, in percent. */
#define SELF_SHARE_MIN 15.0
#define SELF_FINDINGS_MAX 3u
#define BELOW_SHARE_MIN 40.0
/* A path goes on where one callee has this much of its caller's time. */
#define PATH_PART_MIN 0.7
#define PATH_STEPS_MAX 64u
#define ALLOCATOR_SHARE_MIN 3.0
#define SYSTEM_SHARE_MIN 5.0
#define THREAD_SHARE_MIN 80.0
#define BUSY_SHARE_MAX 50.0
#define LOST_SHARE_MIN 1.0
#define FEW_SAMPLES 400

struct findings {
    struct cpu_work *work;
    struct cpu_finding *list;
    size_t count;
};

static struct cpu_finding *add(struct findings *findings, enum cpu_finding_kind kind, double share)
{
    static struct cpu_finding beyond;
    struct cpu_finding *finding =
        findings->count < CPU_FINDINGS_MAX ? &findings->list[findings->count++] : &beyond;
    *finding = (struct cpu_finding){.kind = kind, .share = share};
    return finding;
}

/* ---- one function's hottest line ------------------------------------------ */

struct lines_work {
    struct cpu_work *work;
    const struct cpu_entry *function;
    struct cpu_tally tally;
};

static bool is_same_function(struct region *region, const struct cpu_entry *entry,
                             const struct model_frame *frame)
{
    const char *file = entry->frame->file;
    return strcmp(cpu_frame_name(region, frame), entry->name) == 0
           && (file == NULL ? frame->file == NULL
                            : frame->file != NULL && strcmp(file, frame->file) == 0);
}

static void lines_count(void *context, const struct model_process *process,
                        const struct model_cpu *row)
{
    (void)process;
    struct lines_work *state = context;
    struct cpu_work *work = state->work;
    if (model_stack_frames(work->result->model, row->stack, work->frames, 1) == 1
        && is_same_function(work->region, state->function, work->frames[0])) {
        size_t index = cpu_tally_line(&state->tally, work->region, work->frames[0]);
        state->tally.entries[index].self += row->samples;
    }
}

static void add_self(struct findings *findings, const struct cpu_entry *entry)
{
    struct cpu_result *result = findings->work->result;
    struct cpu_finding *finding =
        add(findings, CPU_FINDING_SELF, cpu_percent(result, entry->self));
    finding->name = entry->name;
    struct lines_work lines = {.work = findings->work, .function = entry};
    cpu_tally_init(&lines.tally);
    cpu_each_row(result, lines_count, &lines);
    struct cpu_list list = cpu_tally_take(&lines.tally, findings->work->region);
    cpu_tally_deinit(&lines.tally);
    if (list.count > 0 && list.entries[0].frame->file != NULL && list.entries[0].frame->line > 0) {
        finding->frame = list.entries[0].frame;
        finding->part = cpu_percent(result, list.entries[0].self);
    }
}

static void find_self(struct findings *findings)
{
    const struct cpu_list *list = &findings->work->function_list;
    struct cpu_result *result = findings->work->result;
    size_t found = 0;
    bool has_nameless = false;
    const struct cpu_entry *first = NULL;
    for (size_t i = 0; i < list->count && found < SELF_FINDINGS_MAX; i++) {
        const struct cpu_entry *entry = &list->entries[i];
        if (entry->frame == NULL) {
            continue;
        }
        if (entry->frame->function == NULL) {
            if (cpu_percent(result, entry->self) >= SELF_SHARE_MIN && entry->frame->module != NULL) {
                add(findings, CPU_FINDING_NAMELESS, cpu_percent(result, entry->self))->frame =
                    entry->frame;
                has_nameless = true;
            }
            continue;
        }
        first = first == NULL ? entry : first;
        if (cpu_percent(result, entry->self) < SELF_SHARE_MIN) {
            break;
        }
        add_self(findings, entry);
        found++;
    }
    /* What stands out among the few that have names is no answer. */
    if (found == 0 && first != NULL && !has_nameless
        && cpu_percent(result, result->allocator) < SELF_SHARE_MIN) {
        add(findings, CPU_FINDING_FLAT, cpu_percent(result, first->self))->name = first->name;
    }
}

/* ---- where the time fans out ---------------------------------------------- */

static bool is_named(const char *function, const char *name)
{
    return strcmp(function, name) == 0;
}

static const struct cpu_entry *most_total(const struct cpu_list *list)
{
    const struct cpu_entry *most = NULL;
    for (size_t i = 0; i < list->count; i++) {
        if (most == NULL || list->entries[i].total > most->total) {
            most = &list->entries[i];
        }
    }
    return most;
}

/* Follows the heaviest path inwards until it divides, or ends in a function that does the
 * work itself (which find_self() tells). */
static void find_below(struct findings *findings)
{
    struct cpu_work *work = findings->work;
    const struct cpu_entry *at = most_total(&work->function_list);
    for (size_t step = 0; at != NULL && step < PATH_STEPS_MAX; step++) {
        /* Frames without names are many functions under one: nothing can be said of them. */
        if (at->frame == NULL || at->frame->function == NULL
            || cpu_percent(work->result, at->total) < BELOW_SHARE_MIN) {
            return;
        }
        const struct cpu_around *around = cpu_make_around(work, at->name, is_named);
        const struct cpu_entry *next = most_total(&around->callees);
        if (next == NULL || around->self * 2 > around->total) {
            return;
        }
        if ((double)next->total < PATH_PART_MIN * (double)around->total) {
            struct cpu_finding *finding =
                add(findings, CPU_FINDING_BELOW, cpu_percent(work->result, around->total));
            finding->name = at->name;
            finding->other = next->name;
            finding->part = cpu_percent(work->result, next->total);
            return;
        }
        at = next;
    }
}

/* ---- the rest ------------------------------------------------------------- */

static void find_allocator(struct findings *findings)
{
    const struct cpu_result *result = findings->work->result;
    double share = cpu_percent(result, result->allocator);
    if (share < ALLOCATOR_SHARE_MIN || result->site_count == 0) {
        return;
    }
    struct cpu_finding *finding = add(findings, CPU_FINDING_ALLOCATOR, share);
    finding->stack = result->sites[0].stack;
    finding->part = cpu_percent(result, result->sites[0].samples);
    /* One function allocates on many stacks: what counts is its sum. */
    struct cpu_tally places;
    cpu_tally_init(&places);
    for (size_t i = 0; i < result->site_count; i++) {
        if (result->sites[i].stack->location != NULL) {
            size_t at = cpu_tally_function(&places, findings->work->region,
                                           result->sites[i].stack->location);
            places.entries[at].self += result->sites[i].samples;
        }
    }
    struct cpu_list list = cpu_tally_take(&places, findings->work->region);
    cpu_tally_deinit(&places);
    for (size_t i = 0; list.count > 0 && i < result->site_count; i++) {
        const struct model_frame *location = result->sites[i].stack->location;
        if (location != NULL && is_same_function(findings->work->region, &list.entries[0], location)) {
            finding->stack = result->sites[i].stack;
            finding->part = cpu_percent(result, list.entries[0].self);
            return;
        }
    }
}

static void find_kernel(struct findings *findings)
{
    const struct cpu_result *result = findings->work->result;
    double share = cpu_percent(result, result->system);
    if (share >= SYSTEM_SHARE_MIN) {
        struct cpu_finding *finding = add(findings, CPU_FINDING_SYSTEM, share);
        const struct cpu_list *list = &findings->work->function_list;
        const struct cpu_entry *most = NULL;
        for (size_t i = 0; i < list->count; i++) {
            if (most == NULL || list->entries[i].system > most->system) {
                most = &list->entries[i];
            }
        }
        if (most != NULL && most->system > 0) {
            finding->name = most->name;
            finding->part = cpu_percent(result, most->system);
        }
    }
    double beyond_seconds = result->kernel_seconds - cpu_seconds(result, result->system);
    if (!result->is_wall && result->used_seconds > 0
        && beyond_seconds >= result->used_seconds * SYSTEM_SHARE_MIN / 100) {
        add(findings, CPU_FINDING_KERNEL, 100 * beyond_seconds / result->used_seconds);
    }
}

static void find_threads(struct findings *findings)
{
    const struct cpu_result *result = findings->work->result;
    const struct cpu_list *list = &findings->work->thread_list;
    if (list->count > 1 && cpu_percent(result, list->entries[0].self) >= THREAD_SHARE_MIN) {
        add(findings, CPU_FINDING_THREAD, cpu_percent(result, list->entries[0].self))->name =
            list->entries[0].name;
    }
    double busy =
        result->wall_seconds > 0 ? 100 * result->used_seconds / result->wall_seconds : 100;
    if (!result->is_wall && result->used_seconds >= 0 && busy < BUSY_SHARE_MAX) {
        add(findings, CPU_FINDING_WAITING, busy);
    }
}

void cpu_find_findings(struct cpu_work *work)
{
    struct cpu_result *result = work->result;
    struct findings findings = {
        .work = work,
        .list = region_alloc_array(work->region, CPU_FINDINGS_MAX, sizeof(struct cpu_finding))};
    if (result->samples > 0) {
        find_self(&findings);
        find_below(&findings);
        find_allocator(&findings);
        find_kernel(&findings);
        find_threads(&findings);
        if (result->samples < FEW_SAMPLES) {
            /* Half the width of a 95 % interval of a share of one half: the widest there is.
             * Source: normal approximation of the binomial distribution. */
            add(&findings, CPU_FINDING_FEW, 100 * 1.96 * sqrt(0.25 / (double)result->samples));
        }
        double lost =
            100 * (double)result->lost / ((double)result->lost + (double)result->samples);
        if (lost >= LOST_SHARE_MIN) {
            add(&findings, CPU_FINDING_LOST, lost);
        }
    }
    result->findings = findings.list;
    result->finding_count = findings.count;
}
