/* From a gate's typed result to findings that machines show beside the code. */
#include "report/gate_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analyses/signature.h"
#include "report/leaks_report.h"
#include "report/place.h"
#include "report/quantity.h"

#define FRAMES_MAX 1024u

static enum finding_rule rule_of(const struct gate_failure *failure)
{
    switch (failure->kind) {
    case GATE_KIND_BLIND:
        return FINDING_INCOMPLETE;
    case GATE_KIND_LEAK:
        return failure->leak_class == RECORDING_LEAK_DEFINITE   ? FINDING_LEAK_DEFINITE
               : failure->leak_class == RECORDING_LEAK_INDIRECT ? FINDING_LEAK_INDIRECT
               : failure->leak_class == RECORDING_LEAK_POSSIBLE ? FINDING_LEAK_POSSIBLE
                                                                : FINDING_LEAK_REACHABLE;
    case GATE_KIND_ERROR:
        if (failure->defect == NULL || failure->defect->kind == RECORDING_INVALID_FREE) {
            return FINDING_INVALID_FREE;
        }
        return failure->defect->kind == RECORDING_DOUBLE_FREE ? FINDING_DOUBLE_FREE
                                                              : FINDING_MISMATCHED_FREE;
    case GATE_KIND_GROWTH:
        return FINDING_GROWTH;
    case GATE_KIND_CONSUMER:
        return FINDING_LIMIT;
    }
    return FINDING_INCOMPLETE;
}

static const char *known_before(struct region *region, const struct gate_failure *failure)
{
    if (failure->baseline == NULL) {
        return "";
    }
    return region_format(region, " (known: %s in %" PRId64 ")",
                         quantity_bytes(failure->baseline->bytes).text, failure->baseline->blocks);
}

static const char *leak_message(struct region *region, const struct gate_failure *failure)
{
    const char *led = failure->led_blocks == 0
                          ? ""
                          : region_format(region, ", and %s in %" PRId64 " blocks that they lead to",
                                          quantity_bytes(failure->led_bytes).text,
                                          failure->led_blocks);
    return region_format(region, "%s in %" PRId64 " block%s %s%s%s",
                         quantity_bytes(failure->bytes).text, failure->blocks,
                         failure->blocks == 1 ? "" : "s",
                         failure->leak_class == RECORDING_LEAK_DEFINITE   ? "definitely lost"
                         : failure->leak_class == RECORDING_LEAK_INDIRECT ? "indirectly lost"
                         : failure->leak_class == RECORDING_LEAK_POSSIBLE ? "possibly lost"
                                                                          : "still reachable",
                         led, known_before(region, failure));
}

static const char *error_message(struct region *region, const struct gate_failure *failure)
{
    const struct model_defect *defect = failure->defect;
    const char *times = failure->blocks == 1
                            ? ""
                            : region_format(region, ", %" PRId64 " times", failure->blocks);
    if (defect == NULL) {
        return region_format(region, "wrong releases beyond those that were kept%s", times);
    }
    if (defect->kind == RECORDING_MISMATCHED_FREE && defect->allocated_as != NULL
        && defect->released_as != NULL) {
        return region_format(region, "allocated by %s, released by %s%s",
                             defect->allocated_as, defect->released_as, times);
    }
    return region_format(region, "%s%s",
                         defect->kind == RECORDING_DOUBLE_FREE
                             ? "a block was released that had been released before"
                             : "what was released had not been allocated",
                         times);
}

static const char *consumer_message(struct region *region, const struct gate_failure *failure)
{
    struct quantity bytes = quantity_bytes(failure->bytes);
    if (failure->limit == GATE_MAX_ALLOCATIONS) {
        return region_format(region, "%" PRId64 " allocations (%s)", failure->blocks, bytes.text);
    }
    if (failure->limit == GATE_MAX_TEMPORARY) {
        return region_format(region, "%" PRId64 " temporary allocations", failure->blocks);
    }
    return region_format(region, "%s in %" PRId64 " block%s %s", bytes.text, failure->blocks,
                         failure->blocks == 1 ? "" : "s",
                         failure->limit == GATE_MAX_PEAK ? "at the peak" : "live at the end");
}

static const char *message_of(struct region *region, const struct gate_failure *failure)
{
    switch (failure->kind) {
    case GATE_KIND_LEAK:
        return leak_message(region, failure);
    case GATE_KIND_ERROR:
        return error_message(region, failure);
    case GATE_KIND_GROWTH:
        if (failure->limit == GATE_REPEAT) {
            return region_format(region, "each repetition adds %s: %" PRId64 " blocks in the end",
                                 quantity_bytes(failure->bytes).text, failure->blocks);
        }
        return region_format(region, "grows by at least %s a second%s%s",
                             quantity_bytes(failure->bytes).text,
                             failure->reason != NULL ? ", held by " : "",
                             failure->reason != NULL ? failure->reason : "");
    case GATE_KIND_CONSUMER:
        return consumer_message(region, failure);
    case GATE_KIND_BLIND:
        break;
    }
    const struct model_process *process = failure->process;
    return process == NULL
               ? failure->reason
               : region_format(region, "process %" PRId64 " (%s): %s", process->row.pid,
                               process->row.executable, failure->reason);
}

static const char *held_by(struct region *region, const struct gate_failure *failure)
{
    char text[1024];
    if (failure->held == NULL || failure->held->chain_count == 0) {
        return NULL;
    }
    leaks_report_chain(failure->held, &failure->held->chains[0], text, sizeof(text));
    return region_copy_text(region, text);
}

static const struct report_frame *frames_of(struct region *region, const struct model *model,
                                            const struct model_stack *stack, size_t *count,
                                            const struct report_frame **place)
{
    const struct model_frame *frames[FRAMES_MAX];
    *count = 0;
    if (stack == NULL || model == NULL) {
        return NULL;
    }
    size_t known = model_stack_frames(model, stack, frames, FRAMES_MAX);
    struct report_frame *copies = region_alloc_array(region, known, sizeof(*copies));
    for (size_t i = 0; i < known; i++) {
        copies[i] = place_frame(frames[i]);
        if (place != NULL && frames[i] == stack->location) {
            *place = &copies[i];
        }
    }
    while (known > 0 && place_is_startup(&copies[known - 1])) {
        known--;
    }
    *count = known;
    return copies;
}

static struct finding finding_make(struct region *region, const struct gate_result *result,
                                   const struct gate_failure *failure)
{
    struct finding finding = {.rule = rule_of(failure),
                              .limit = gate_limit_name(failure->limit),
                              .message = message_of(region, failure),
                              .held_by = held_by(region, failure),
                              .blocks = failure->blocks,
                              .bytes = failure->bytes,
                              .led_blocks = failure->led_blocks,
                              .led_bytes = failure->led_bytes,
                              .signature = failure->signature != NULL ? failure->signature : ""};
    if (failure->process != NULL) {
        finding.program = failure->process->row.executable;
        finding.pid = failure->process->row.pid;
    }
    finding.frames =
        frames_of(region, result->model, failure->stack, &finding.frame_count, &finding.place);
    if (failure->defect != NULL) {
        finding.origin = frames_of(region, result->model, failure->defect->allocation,
                                   &finding.origin_count, NULL);
    }
    finding.fingerprint = signature_hash(
        finding_rule_name(finding.rule),
        failure->signature != NULL ? failure->signature : finding.message);
    return finding;
}

/* ---- checks --------------------------------------------------------------- */

static bool is_bytes(enum gate_limit limit)
{
    return limit == GATE_MAX_LEAKED || limit == GATE_MAX_PEAK || limit == GATE_MAX_LIVE_AT_EXIT
           || limit == GATE_MAX_GROWTH || limit == GATE_REPEAT;
}

static const char *check_text(struct region *region, const struct gate_verdict *verdict)
{
    static const char *const what[GATE_LIMITS] = {
        "",          "leaked",  "blocks leaked",      "at the peak", "live at exit", "allocations",
        "temporary allocations", "a second", "wrong releases", "sites that are new or worse",
        "added by each repetition"};
    if (verdict->limit == GATE_COMPLETE) {
        return verdict->is_met ? "all was seen"
                               : region_format(region, "%" PRId64 " thing%s could not be seen",
                                               verdict->actual, verdict->actual == 1 ? "" : "s");
    }
    if (is_bytes(verdict->limit)) {
        return region_format(region, "%s %s, at most %s allowed",
                             quantity_bytes(verdict->actual).text, what[verdict->limit],
                             quantity_bytes(verdict->most).text);
    }
    return region_format(region, "%s %s, at most %s allowed",
                         quantity_count(verdict->actual).text, what[verdict->limit],
                         quantity_count(verdict->most).text);
}

static const char *command_line(struct region *region, const struct model_process *process)
{
    size_t length = 1;
    for (size_t i = 0; i < process->argument_count; i++) {
        length += strlen(process->arguments[i]) + 1;
    }
    char *text = region_alloc(region, length);
    char *at = text;
    for (size_t i = 0; i < process->argument_count; i++) {
        at = stpcpy(at, i == 0 ? "" : " ");
        at = stpcpy(at, process->arguments[i]);
    }
    return text;
}

static const char *started(struct region *region, const struct model *model)
{
    time_t seconds = (time_t)(model->run->started_realtime_ns / 1000000000);
    struct tm parts;
    char text[64];
    if (seconds <= 0 || gmtime_r(&seconds, &parts) == NULL
        || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        return NULL;
    }
    return region_copy_text(region, text);
}

static void describe_run(struct region *region, const struct gate_result *result,
                         const struct gate_report_options *options, struct findings *findings)
{
    const struct model *model = result->model;
    findings->program = "";
    findings->arguments = "";
    if (model != NULL && model->process_count > 0) {
        const struct model_process *process = &model->processes[0];
        findings->program = process->row.executable;
        findings->arguments = command_line(region, process);
        findings->pid = process->row.pid;
        findings->parent_pid = process->row.parent_pid;
        findings->started = started(region, model);
        if (process->row.ended_ns != RECORDING_UNKNOWN) {
            findings->seconds = (double)(process->row.ended_ns - process->row.started_ns) / 1e9;
        }
    }
    const char *slash = strrchr(findings->program, '/');
    findings->name = options->name != NULL ? options->name
                     : slash != NULL       ? slash + 1
                                           : findings->program;
}

const struct findings *gate_report_findings(struct region *region, const struct gate_result *result,
                                            const struct gate_report_options *options)
{
    struct findings *findings = region_alloc(region, sizeof(*findings));
    struct finding_check *checks =
        region_alloc_array(region, result->verdict_count, sizeof(*checks));
    struct finding *items = region_alloc_array(region, result->failure_count, sizeof(*items));
    *findings = (struct findings){.recording = options->recording,
                                  .is_passed = result->is_passed,
                                  .checks = checks,
                                  .check_count = result->verdict_count,
                                  .items = items,
                                  .count = result->failure_count};
    describe_run(region, result, options, findings);
    for (size_t i = 0; i < result->verdict_count; i++) {
        const struct gate_verdict *verdict = &result->verdicts[i];
        checks[i] = (struct finding_check){.name = gate_limit_name(verdict->limit),
                                           .text = check_text(region, verdict),
                                           .is_met = verdict->is_met};
    }
    for (size_t i = 0; i < result->failure_count; i++) {
        items[i] = finding_make(region, result, &result->failures[i]);
    }
    return findings;
}
