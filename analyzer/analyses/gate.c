#include "analyses/gate.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyses/growth.h"
#include "analyses/signature.h"

#define GATE_CONSUMERS 3

const char *gate_limit_name(enum gate_limit limit)
{
    static const char *const names[GATE_LIMITS] = {
        "complete",       "max-leaked", "max-leaked-blocks", "max-peak", "max-live-at-exit",
        "max-allocations", "max-temporary", "max-growth", "no-errors", "baseline",
        "repeat"};
    return names[limit];
}

const char *gate_error_name(enum recording_error_kind kind)
{
    return kind == RECORDING_DOUBLE_FREE    ? "double-free"
           : kind == RECORDING_INVALID_FREE ? "invalid-free"
                                            : "mismatched-free";
}

struct judge {
    struct region *region;
    const struct model *model;
    const struct gate_options *options;
    struct gate_result *result;
};

static struct gate_failure *failure_add(struct gate_result *result)
{
    result->failures = mt_grow(result->failures, &result->failure_capacity,
                               result->failure_count + 1, sizeof(*result->failures));
    struct gate_failure *failure = &result->failures[result->failure_count++];
    *failure = (struct gate_failure){0};
    return failure;
}

static void verdict_add(struct judge *judge, enum gate_limit limit, int64_t actual)
{
    struct gate_result *result = judge->result;
    int64_t most = judge->options->most[limit];
    bool is_met = actual <= most;
    result->verdicts[result->verdict_count++] =
        (struct gate_verdict){.limit = limit, .most = most, .actual = actual, .is_met = is_met};
    result->is_passed = result->is_passed && is_met;
}

static bool is_limited(const struct judge *judge, enum gate_limit limit)
{
    return judge->options->is_set[limit];
}

static bool judges_leaks(const struct gate_options *options)
{
    return options->is_set[GATE_MAX_LEAKED] || options->is_set[GATE_MAX_LEAKED_BLOCKS]
           || options->is_set[GATE_BASELINE] || options->accepts_findings;
}

/* ---- processes ------------------------------------------------------------ */

static bool is_left_out(const struct judge *judge, const struct model_process *process)
{
    const char *path = process->row.executable;
    const char *slash = strrchr(path, '/');
    for (size_t i = 0; i < judge->options->program_ignored_count; i++) {
        const char *glob = judge->options->programs_ignored[i];
        bool is_path = strchr(glob, '/') != NULL;
        if (suppressions_glob(glob, is_path || slash == NULL ? path : slash + 1)) {
            return true;
        }
    }
    return false;
}

static bool was_signalled_as_allowed(const struct judge *judge, const struct model_process *process)
{
    int64_t signal = process->row.signal;
    return signal > 0 && signal < 64 && (judge->options->signals_allowed >> signal & 1u) != 0;
}

/* ---- what could not be seen ----------------------------------------------- */

static void blind_add(struct judge *judge, const struct model_process *process, const char *reason)
{
    struct gate_failure *failure = failure_add(judge->result);
    failure->kind = GATE_KIND_BLIND;
    failure->limit = GATE_COMPLETE;
    failure->process = process;
    failure->reason = reason;
}

static void look_for_blindness(struct judge *judge, const struct model_process *process)
{
    const struct recording_process *row = &process->row;
    if (row->untracked_reason != NULL) {
        blind_add(judge, process,
                  region_format(judge->region, "it was not tracked: %s", row->untracked_reason));
        return;
    }
    if (row->dropped_events > 0) {
        blind_add(judge, process,
                  region_format(judge->region, "%" PRId64 " events were dropped: its counts are"
                                               " too low",
                                row->dropped_events));
    }
    if (row->ended_ns == RECORDING_UNKNOWN) {
        blind_add(judge, process, "it still ran when the recording was judged");
        return;
    }
    const char *scan = leaks_scan(judge->model, process);
    bool is_failed = strncmp(scan, "failed", 6) == 0;
    if (is_failed && was_signalled_as_allowed(judge, process)) {
        judge->result->signalled_processes++;
    } else if (is_failed && judges_leaks(judge->options)) {
        const char *why = strchr(scan, ':');
        blind_add(judge, process,
                  region_format(judge->region, "no leak scan: %s",
                                why != NULL ? why + 1 + strspn(why + 1, " ") : scan));
    }
}

static void look_at_run(struct judge *judge)
{
    const struct model *model = judge->model;
    const struct recording_run *run = model->run;
    const struct gate_options *options = judge->options;
    if (options->still_running > 0) {
        blind_add(judge, NULL,
                  region_format(judge->region, "%u of its processes still ran when it ended: wait"
                                               " for them, or leave them out with --follow=none",
                                options->still_running));
    } else if (!model_is_complete(model)) {
        const char *damage = recording_reader_damage(model->reader);
        blind_add(judge, NULL,
                  damage != NULL ? region_format(judge->region, "the recording is damaged: %s", damage)
                                 : "the recording was not finished");
    }
    if (model->selector.state != MODEL_STATE_DEFAULT && model->selector.state != MODEL_STATE_EXIT) {
        blind_add(judge, NULL, "only the end of a run can be judged: name the recording without @");
    }
    if (run->sample_bytes > 0) {
        for (int i = GATE_MAX_LEAKED; i < GATE_LIMITS; i++) {
            if (options->is_set[i] && i != GATE_MAX_GROWTH) {
                blind_add(judge, NULL,
                          region_format(judge->region,
                                        "a sampled run has estimates only and cannot be judged by"
                                        " %s: record without --sample",
                                        gate_limit_name((enum gate_limit)i)));
            }
        }
    }
    if (judges_leaks(options) && run->leaks != NULL && strcmp(run->leaks, "full") != 0) {
        blind_add(judge, NULL,
                  region_format(judge->region,
                                "no leak scan was asked for (--leaks=%s): record with --leaks=full",
                                run->leaks));
    }
    for (size_t i = 0; i < model->process_count; i++) {
        if (is_left_out(judge, &model->processes[i])) {
            judge->result->ignored_processes++;
        } else {
            look_for_blindness(judge, &model->processes[i]);
        }
    }
    if (model->process_count == judge->result->ignored_processes) {
        blind_add(judge, NULL,
                  model->process_count == 0 ? "nothing was recorded"
                                            : "no process is left to judge: ignore fewer programs");
    }
}

/* ---- findings: leaks and wrong releases ----------------------------------- */

typedef void (*finding_visit)(void *context, struct gate_failure *finding);

/* A forked child is not charged with what it inherited; see the header. */
static void take_inherited_away(const struct leaks_item *item, struct gate_failure *finding)
{
    int64_t own = item->site->allocations;
    if (item->site->inherited_blocks > 0 && finding->blocks > own) {
        finding->bytes = own > 0 ? (int64_t)((double)finding->bytes / (double)finding->blocks
                                             * (double)own)
                                 : 0;
        finding->blocks = own;
        finding->led_blocks = 0;
        finding->led_bytes = 0;
    }
}

static void each_leak(const struct judge *judge, const struct model_process *process,
                      finding_visit visit, void *context)
{
    struct leaks_result leaks;
    leaks_analyze(judge->region, judge->model, process, judge->options->suppressions, &leaks);
    judge->result->suppressed_blocks += leaks.suppressed_blocks;
    judge->result->suppressed_bytes += leaks.suppressed_bytes;
    for (size_t i = 0; i < leaks.item_count + leaks.held_count; i++) {
        bool is_held = i >= leaks.item_count;
        struct leaks_item item;
        const struct leaks_held *held = NULL;
        if (is_held) {
            held = &leaks.held[i - leaks.item_count];
            item = (struct leaks_item){.site = held->site,
                                       .leak_class = RECORDING_LEAK_REACHABLE,
                                       .blocks = held->blocks,
                                       .bytes = held->bytes};
        } else {
            item = leaks.items[i];
        }
        if ((judge->options->leak_classes >> item.leak_class & 1u) == 0) {
            continue;
        }
        struct gate_failure finding = {
            .kind = GATE_KIND_LEAK,
            .limit = GATE_MAX_LEAKED,
            .process = process,
            .stack = item.site->stack,
            .signature = signature_make(judge->region, judge->model, item.site->stack),
            .leak_class = item.leak_class,
            .blocks = item.blocks,
            .bytes = item.bytes,
            .led_blocks = item.led_blocks,
            .led_bytes = item.led_bytes,
            .held = held};
        take_inherited_away(&item, &finding);
        if (finding.blocks > 0) {
            visit(context, &finding);
        }
    }
}

static void each_error(const struct judge *judge, const struct model_process *process,
                       finding_visit visit, void *context)
{
    for (size_t i = 0; i < process->defect_count; i++) {
        const struct model_defect *defect = &process->defects[i];
        struct gate_failure finding = {
            .kind = GATE_KIND_ERROR,
            .limit = GATE_NO_ERRORS,
            .process = process,
            .stack = defect->release,
            .signature = signature_make(judge->region, judge->model, defect->release),
            .blocks = defect->count,
            .defect = defect};
        visit(context, &finding);
    }
    if (process->row.errors_beyond_table > 0) {
        struct gate_failure finding = {.kind = GATE_KIND_ERROR,
                                       .limit = GATE_NO_ERRORS,
                                       .process = process,
                                       .signature = "(no stack)",
                                       .blocks = process->row.errors_beyond_table};
        visit(context, &finding);
    }
}

static const char *finding_kind(const struct gate_failure *finding)
{
    if (finding->kind == GATE_KIND_LEAK) {
        return leaks_class_name(finding->leak_class);
    }
    return finding->defect != NULL ? gate_error_name(finding->defect->kind) : "invalid-free";
}

/* All findings of the run, one by one in result->failures, and summed in result->found. */
static void keep_finding(void *context, struct gate_failure *finding)
{
    const struct judge *judge = context;
    *failure_add(judge->result) = *finding;
    baseline_add(&judge->result->found, finding_kind(finding), finding->signature, finding->blocks,
                 finding->bytes);
}

static void each_finding(struct judge *judge)
{
    for (size_t i = 0; i < judge->model->process_count; i++) {
        if (!is_left_out(judge, &judge->model->processes[i])) {
            each_leak(judge, &judge->model->processes[i], keep_finding, judge);
            each_error(judge, &judge->model->processes[i], keep_finding, judge);
        }
    }
    baseline_sort(&judge->result->found);
}

void gate_collect(struct region *region, const struct model *model,
                  struct suppressions *suppressions, unsigned leak_classes,
                  struct baseline *baseline)
{
    struct gate_options options = {.suppressions = suppressions, .leak_classes = leak_classes};
    struct gate_result result = {.model = model};
    struct judge judge = {region, model, &options, &result};
    baseline_init(&result.found, region, NULL);
    each_finding(&judge);
    for (size_t i = 0; i < result.found.count; i++) {
        const struct baseline_entry *entry = &result.found.entries[i];
        baseline_add(baseline, entry->kind, entry->signature, entry->blocks, entry->bytes);
    }
    baseline_sort(baseline);
    gate_result_deinit(&result);
}

/* ---- against the baseline ------------------------------------------------- */

struct sums {
    int64_t leaked_bytes;
    int64_t leaked_blocks;
    int64_t errors;
    int64_t worse; /* entries that are new or have grown */
};

static int64_t excess(int64_t found, int64_t known)
{
    return found > known ? found - known : 0;
}

/* Sums what is beyond the baseline, and remembers what has become less. */
static struct sums compare_with_baseline(struct judge *judge)
{
    struct gate_result *result = judge->result;
    const struct baseline *known = judge->options->baseline;
    struct sums sums = {0};
    for (size_t i = 0; i < result->found.count; i++) {
        const struct baseline_entry *found = &result->found.entries[i];
        const struct baseline_entry *entry =
            known != NULL ? baseline_find(known, found->kind, found->signature) : NULL;
        int64_t blocks = excess(found->blocks, entry != NULL ? entry->blocks : 0);
        int64_t bytes = excess(found->bytes, entry != NULL ? entry->bytes : 0);
        if (strstr(found->kind, "-free") != NULL) {
            sums.errors += blocks;
            sums.worse += blocks > 0 && is_limited(judge, GATE_NO_ERRORS);
        } else {
            sums.leaked_blocks += blocks;
            sums.leaked_bytes += bytes;
            sums.worse += blocks > 0 || bytes > 0;
        }
    }
    if (known == NULL) {
        return sums;
    }
    result->better = region_alloc_array(judge->region, known->count, sizeof(*result->better));
    for (size_t i = 0; i < known->count; i++) {
        struct baseline_entry entry = known->entries[i];
        const struct baseline_entry *found =
            baseline_find(&result->found, entry.kind, entry.signature);
        int64_t blocks = excess(entry.blocks, found != NULL ? found->blocks : 0);
        int64_t bytes = excess(entry.bytes, found != NULL ? found->bytes : 0);
        if (blocks > 0 || bytes > 0) {
            entry.blocks = blocks;
            entry.bytes = bytes;
            result->better[result->better_count++] = entry;
        }
    }
    return sums;
}

/* Findings become failures only where their limit was broken and the baseline does not
 * know them as they are. Keeps the order. */
static void drop_tolerated(struct judge *judge, bool leaks_fail, bool errors_fail)
{
    struct gate_result *result = judge->result;
    const struct baseline *known = judge->options->baseline;
    size_t kept = 0;
    for (size_t i = 0; i < result->failure_count; i++) {
        struct gate_failure *failure = &result->failures[i];
        bool is_leak = failure->kind == GATE_KIND_LEAK;
        bool is_error = failure->kind == GATE_KIND_ERROR;
        if ((is_leak && !leaks_fail) || (is_error && !errors_fail)) {
            continue;
        }
        if ((is_leak || is_error) && known != NULL) {
            const char *kind = finding_kind(failure);
            const struct baseline_entry *entry = baseline_find(known, kind, failure->signature);
            const struct baseline_entry *sum =
                baseline_find(&result->found, kind, failure->signature);
            if (entry != NULL && sum != NULL && sum->blocks <= entry->blocks
                && sum->bytes <= entry->bytes) {
                continue;
            }
            failure->baseline = entry;
        }
        result->failures[kept++] = *failure;
    }
    result->failure_count = kept;
}

/* ---- counts --------------------------------------------------------------- */

static int64_t process_amount(const struct model_process *process, enum gate_limit limit)
{
    if (limit == GATE_MAX_PEAK) {
        return process->row.peak_bytes;
    }
    if (limit == GATE_MAX_LIVE_AT_EXIT) {
        /* What exec took away did not live until an exit. */
        return process->row.was_replaced != 0 ? 0 : process->totals.live_bytes;
    }
    return limit == GATE_MAX_ALLOCATIONS ? process->totals.allocations
                                         : process->totals.temporaries;
}

static int64_t site_amount(const struct model_site *site, enum gate_limit limit, int64_t *blocks)
{
    if (limit == GATE_MAX_PEAK) {
        *blocks = site->peak_blocks;
        return site->peak_bytes;
    }
    if (limit == GATE_MAX_LIVE_AT_EXIT) {
        *blocks = site->live_blocks;
        return site->live_bytes;
    }
    *blocks = limit == GATE_MAX_ALLOCATIONS ? site->allocations : site->temporaries;
    return site->allocated_bytes;
}

/* Names the largest contributors, so that a person knows where to look. */
static void name_consumers(struct judge *judge, const struct model_process *process,
                           enum gate_limit limit)
{
    bool is_by_count = limit == GATE_MAX_ALLOCATIONS || limit == GATE_MAX_TEMPORARY;
    int64_t before = INT64_MAX;
    const struct model_site *last = NULL;
    for (int n = 0; n < GATE_CONSUMERS; n++) {
        const struct model_site *best = NULL;
        int64_t best_amount = 0;
        for (size_t i = 0; i < process->site_count; i++) {
            const struct model_site *site = &process->sites[i];
            int64_t blocks;
            int64_t bytes = site_amount(site, limit, &blocks);
            int64_t amount = is_by_count ? blocks : bytes;
            bool is_next = amount < before || (amount == before && site > last);
            if (is_next && amount > best_amount) {
                best = site;
                best_amount = amount;
            }
        }
        if (best == NULL) {
            return;
        }
        before = best_amount;
        last = best;
        struct gate_failure *failure = failure_add(judge->result);
        failure->kind = GATE_KIND_CONSUMER;
        failure->limit = limit;
        failure->process = process;
        failure->stack = best->stack;
        failure->signature = signature_make(judge->region, judge->model, best->stack);
        failure->bytes = site_amount(best, limit, &failure->blocks);
    }
}

static void judge_amount(struct judge *judge, enum gate_limit limit)
{
    const struct model *model = judge->model;
    bool is_sum = limit == GATE_MAX_ALLOCATIONS || limit == GATE_MAX_TEMPORARY;
    const struct model_process *largest = NULL;
    int64_t largest_amount = -1;
    int64_t sum = 0;
    if (!is_limited(judge, limit)) {
        return;
    }
    for (size_t i = 0; i < model->process_count; i++) {
        if (is_left_out(judge, &model->processes[i])) {
            continue;
        }
        int64_t amount = process_amount(&model->processes[i], limit);
        sum += amount;
        if (amount > largest_amount) {
            largest_amount = amount;
            largest = &model->processes[i];
        }
    }
    int64_t actual = is_sum ? sum : largest_amount > 0 ? largest_amount : 0;
    verdict_add(judge, limit, actual);
    if (largest != NULL && actual > judge->options->most[limit]) {
        name_consumers(judge, largest, limit);
    }
}

/* ---- growth --------------------------------------------------------------- */

static int64_t growth_of(struct judge *judge, const struct model_process *process,
                         const struct growth *growth)
{
    int64_t fastest = 0;
    for (size_t i = 0; i < growth->site_count; i++) {
        const struct growth_site *site = &growth->sites[i];
        bool grows = site->verdict == GROWTH_LEAK || site->verdict == GROWTH_GROWING
                     || site->verdict == GROWTH_FREED_AT_EXIT;
        if (!grows || !(site->low > 0)) {
            continue;
        }
        int64_t rate = site->low < 9e18 ? (int64_t)ceil(site->low) : INT64_MAX;
        fastest = rate > fastest ? rate : fastest;
        if (rate > judge->options->most[GATE_MAX_GROWTH]) {
            struct gate_failure *failure = failure_add(judge->result);
            failure->kind = GATE_KIND_GROWTH;
            failure->limit = GATE_MAX_GROWTH;
            failure->process = process;
            failure->stack = site->stack;
            failure->signature = signature_make(judge->region, judge->model, site->stack);
            failure->blocks = site->live_blocks;
            failure->bytes = rate;
            failure->reason = site->held_by_count > 0 ? site->held_by[0] : NULL;
        }
    }
    return fastest;
}

/* Processes that lived too shortly have no trend; at least one must have. */
static void judge_growth(struct judge *judge)
{
    const struct model *model = judge->model;
    const struct growth_options options = {0};
    struct mt_error why = {0};
    int64_t fastest = 0;
    bool was_judged = false;
    if (!is_limited(judge, GATE_MAX_GROWTH)) {
        return;
    }
    for (size_t i = 0; i < model->process_count; i++) {
        const struct growth *growth = NULL;
        if (!is_left_out(judge, &model->processes[i])
            && growth_make(judge->region, model, &model->processes[i], &options, &growth, &why) == 0) {
            int64_t rate = growth_of(judge, &model->processes[i], growth);
            fastest = rate > fastest ? rate : fastest;
            was_judged = true;
        }
    }
    verdict_add(judge, GATE_MAX_GROWTH, fastest);
    if (!was_judged) {
        blind_add(judge, NULL,
                  region_format(judge->region, "growth cannot be judged: %s", why.text));
    }
}

/* ---- repetitions ---------------------------------------------------------- */

#define REPETITIONS_WARM 2u /* in these a program may allocate what it then keeps */
#define REPETITIONS_MANY 10u

/* Live bytes of one site after each repetition. */
struct repeated_site {
    const struct model_stack *stack;
    int64_t *bytes;  /* [0..repetitions) */
    int64_t *blocks;
};

struct repeated {
    struct region *region;
    unsigned wanted;
    unsigned seen; /* repetitions that have a snapshot */
    struct repeated_site *sites;
    size_t count;
    size_t capacity;
};

/* The repetition whose snapshot this is, or the first that comes after it; from 0. */
static unsigned repetition_of(const struct model *model, const struct model_snapshot *snapshot,
                              unsigned wanted)
{
    for (size_t i = (size_t)snapshot->index; i < model->snapshot_count; i++) {
        const char *label = model->snapshots[i].label;
        unsigned number = 0;
        if (label != NULL && sscanf(label, "repetition %u", &number) == 1 && number >= 1
            && number <= wanted) {
            return number - 1;
        }
    }
    return wanted;
}

struct repeated_visit {
    struct repeated *repeated;
    const struct model *model;
};

static struct repeated_site *repeated_find(struct repeated *repeated,
                                           const struct model_stack *stack)
{
    for (size_t i = 0; i < repeated->count; i++) {
        if (repeated->sites[i].stack == stack) {
            return &repeated->sites[i];
        }
    }
    repeated->sites = mt_grow(repeated->sites, &repeated->capacity, repeated->count + 1,
                              sizeof(*repeated->sites));
    struct repeated_site *site = &repeated->sites[repeated->count++];
    *site = (struct repeated_site){
        .stack = stack,
        .bytes = region_alloc_array(repeated->region, repeated->wanted, sizeof(int64_t)),
        .blocks = region_alloc_array(repeated->region, repeated->wanted, sizeof(int64_t))};
    return site;
}

/* Rows come in order of time, for what changed: each holds from its repetition on. */
static int repeated_take(void *context, const struct model_snapshot *snapshot,
                         const struct model_stack *stack,
                         const struct recording_snapshot_site *row)
{
    struct repeated_visit *visit = context;
    struct repeated *repeated = visit->repeated;
    unsigned first = repetition_of(visit->model, snapshot, repeated->wanted);
    if (first == repeated->wanted) {
        return 0;
    }
    struct repeated_site *site = repeated_find(repeated, stack);
    for (unsigned i = first; i < repeated->wanted; i++) {
        site->bytes[i] = row->allocated_bytes - row->freed_bytes;
        site->blocks[i] = row->allocations - row->frees;
    }
    return 0;
}

/* Rises above all that was before with every repetition after the warm ones, or, where there
 * are enough to tell, with three of four: a leak beside a cache that varies. What doubles its
 * room now and then rises seldom. */
static bool grows_each_time(const struct repeated_site *site, unsigned count)
{
    unsigned judged = count - REPETITIONS_WARM;
    unsigned rises = 0;
    int64_t most = site->bytes[REPETITIONS_WARM - 1];
    for (unsigned i = REPETITIONS_WARM; i < count; i++) {
        rises += site->bytes[i] > most;
        most = site->bytes[i] > most ? site->bytes[i] : most;
    }
    return rises == judged || (judged >= REPETITIONS_MANY && 4 * rises >= 3 * judged);
}

static void judge_repetitions(struct judge *judge)
{
    const struct model *model = judge->model;
    unsigned wanted = judge->options->repetitions;
    struct repeated repeated = {.region = judge->region, .wanted = wanted};
    struct repeated_visit visit = {&repeated, model};
    int64_t sum = 0;
    if (!is_limited(judge, GATE_REPEAT) || wanted <= REPETITIONS_WARM || model->process_count == 0) {
        return;
    }
    for (size_t i = 0; i < model->snapshot_count; i++) {
        repeated.seen += model->snapshots[i].label != NULL
                         && strncmp(model->snapshots[i].label, "repetition ", 11) == 0;
    }
    model_each_snapshot_site(model, &model->processes[0], repeated_take, &visit);
    for (size_t i = 0; i < repeated.count && repeated.seen >= wanted; i++) {
        const struct repeated_site *site = &repeated.sites[i];
        if (!grows_each_time(site, wanted)) {
            continue;
        }
        int64_t each = (site->bytes[wanted - 1] - site->bytes[REPETITIONS_WARM - 1])
                       / (int64_t)(wanted - REPETITIONS_WARM);
        struct gate_failure *failure = failure_add(judge->result);
        failure->kind = GATE_KIND_GROWTH;
        failure->limit = GATE_REPEAT;
        failure->process = &model->processes[0];
        failure->stack = site->stack;
        failure->signature = signature_make(judge->region, model, site->stack);
        failure->blocks = site->blocks[wanted - 1];
        failure->bytes = each > 0 ? each : 1;
        sum += failure->bytes;
    }
    verdict_add(judge, GATE_REPEAT, sum);
    if (repeated.seen < wanted) {
        blind_add(judge, NULL,
                  region_format(judge->region,
                                "main() returned 0 in %u of %u repetitions: a program that"
                                " calls exit() or is a script cannot be repeated; use"
                                " memtrack_repeat() in it",
                                repeated.seen, wanted));
    }
    free(repeated.sites);
}

/* ---- the whole ------------------------------------------------------------ */

static int64_t count_blindness(const struct gate_result *result)
{
    int64_t count = 0;
    for (size_t i = 0; i < result->failure_count; i++) {
        count += result->failures[i].kind == GATE_KIND_BLIND;
    }
    return count;
}

static void judge_findings(struct judge *judge)
{
    const struct gate_options *options = judge->options;
    each_finding(judge);
    struct sums sums = compare_with_baseline(judge);
    if (options->accepts_findings) {
        drop_tolerated(judge, false, false);
        return;
    }
    bool leaks_fail = false;
    bool errors_fail =
        is_limited(judge, GATE_NO_ERRORS) && sums.errors > options->most[GATE_NO_ERRORS];
    if (is_limited(judge, GATE_MAX_LEAKED)) {
        verdict_add(judge, GATE_MAX_LEAKED, sums.leaked_bytes);
        leaks_fail = sums.leaked_bytes > options->most[GATE_MAX_LEAKED];
        /* Blocks of size 0 are lost like others. */
        if (options->most[GATE_MAX_LEAKED] == 0 && sums.leaked_blocks > 0) {
            leaks_fail = true;
            judge->result->verdicts[judge->result->verdict_count - 1].is_met = false;
            judge->result->is_passed = false;
        }
    }
    if (is_limited(judge, GATE_MAX_LEAKED_BLOCKS)) {
        verdict_add(judge, GATE_MAX_LEAKED_BLOCKS, sums.leaked_blocks);
        leaks_fail = leaks_fail || sums.leaked_blocks > options->most[GATE_MAX_LEAKED_BLOCKS];
    }
    if (is_limited(judge, GATE_NO_ERRORS)) {
        verdict_add(judge, GATE_NO_ERRORS, sums.errors);
    }
    if (is_limited(judge, GATE_BASELINE)) {
        verdict_add(judge, GATE_BASELINE, sums.worse);
        leaks_fail = leaks_fail || sums.worse > 0;
    }
    drop_tolerated(judge, leaks_fail, errors_fail);
}

void gate_judge(struct region *region, const struct model *model,
                const struct gate_options *options, struct gate_result *result)
{
    struct judge judge = {region, model, options, result};
    *result = (struct gate_result){.model = model, .is_passed = true};
    baseline_init(&result->found, region, NULL);
    look_at_run(&judge);
    judge_findings(&judge);
    judge_amount(&judge, GATE_MAX_PEAK);
    judge_amount(&judge, GATE_MAX_LIVE_AT_EXIT);
    judge_amount(&judge, GATE_MAX_ALLOCATIONS);
    judge_amount(&judge, GATE_MAX_TEMPORARY);
    judge_growth(&judge);
    judge_repetitions(&judge);
    int64_t unseen = count_blindness(result);
    if (unseen > 0) {
        verdict_add(&judge, GATE_COMPLETE, unseen);
    }
}

void gate_judge_nothing(struct region *region, const char *reason, struct gate_result *result)
{
    const struct gate_options options = {0};
    struct judge judge = {region, NULL, &options, result};
    *result = (struct gate_result){.is_passed = true};
    baseline_init(&result->found, region, NULL);
    blind_add(&judge, NULL, region_copy_text(region, reason));
    verdict_add(&judge, GATE_COMPLETE, 1);
}

void gate_result_deinit(struct gate_result *result)
{
    free(result->failures);
    result->failures = NULL;
    result->failure_count = 0;
    baseline_deinit(&result->found);
}
