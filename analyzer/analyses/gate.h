/*
 * analyses/gate.h - limits on a run: which were kept, and what broke the others.
 *
 * All processes of a recording count. Leaks, allocations, temporaries and wrong releases
 * are summed over them; peak and live bytes are those of the largest process. A forked
 * child is not charged with lost blocks that it inherited: they are its parent's.
 *
 * What could not be seen is never taken for good: a process without the shim, dropped
 * events, a scan that failed, a process that still runs, or a sampled run each break the
 * limit "complete", with the reason. What the caller allows for is counted: processes ended
 * by certain signals, and programs that are left out.
 *
 * Context: analyzer. Memory: results live in the region given and borrow from the model.
 * Threads: one at a time.
 */
#ifndef MEMTRACK_ANALYSES_GATE_H
#define MEMTRACK_ANALYSES_GATE_H

#include "analyses/baseline.h"
#include "analyses/leaks.h"
#include "analyses/suppressions.h"
#include "model/model.h"

enum gate_limit {
    GATE_COMPLETE, /* always in force; has a verdict only when it is broken */
    GATE_MAX_LEAKED,
    GATE_MAX_LEAKED_BLOCKS,
    GATE_MAX_PEAK,
    GATE_MAX_LIVE_AT_EXIT,
    GATE_MAX_ALLOCATIONS,
    GATE_MAX_TEMPORARY,
    GATE_MAX_GROWTH, /* bytes per second of any one site */
    GATE_NO_ERRORS,
    GATE_BASELINE, /* sites that are new or worse */
    GATE_REPEAT,   /* bytes that a repetition adds */
    GATE_LIMITS
};

struct gate_options {
    bool is_set[GATE_LIMITS];
    int64_t most[GATE_LIMITS];
    unsigned leak_classes;             /* bits 1 << enum recording_leak_class */
    struct suppressions *suppressions; /* counted up; NULL: none */
    const struct baseline *baseline;   /* NULL: none */
    unsigned repetitions;              /* of main(), that were asked for; 0: none */
    unsigned still_running;            /* of its processes, when the program ended */
    bool accepts_findings;             /* leaks and errors break nothing: a baseline is written */
    uint64_t signals_allowed;          /* bit N: signal N may end a process before its scan */
    /* Globs; processes of programs whose name (or path, where a glob has a slash) matches one
     * are left out of everything. */
    const char *const *programs_ignored;
    size_t program_ignored_count;
};

struct gate_verdict {
    enum gate_limit limit;
    int64_t most;
    int64_t actual;
    bool is_met;
};

enum gate_kind {
    GATE_KIND_BLIND,   /* reason: what could not be seen */
    GATE_KIND_LEAK,    /* leak_class, led_* */
    GATE_KIND_ERROR,   /* a wrong release: defect */
    GATE_KIND_GROWTH,  /* bytes per second, or per repetition */
    GATE_KIND_CONSUMER /* one of the largest contributors to a limit that was exceeded */
};

struct gate_failure {
    enum gate_kind kind;
    enum gate_limit limit;               /* that it breaks */
    const char *reason;                  /* GATE_KIND_BLIND; else NULL */
    const struct model_process *process; /* NULL: the run */
    const struct model_stack *stack;     /* NULL: none */
    const char *signature;               /* NULL without stack */
    enum recording_leak_class leak_class;
    int64_t blocks; /* or times */
    int64_t bytes;
    int64_t led_blocks; /* indirect blocks that hang on definite ones */
    int64_t led_bytes;
    const struct model_defect *defect;     /* GATE_KIND_ERROR; NULL: beyond the table */
    const struct leaks_held *held;         /* who holds it; NULL: nobody, or not known */
    const struct baseline_entry *baseline; /* it was known, but smaller; NULL: new */
};

struct gate_result {
    const struct model *model; /* NULL: there was nothing to load */
    bool is_passed;
    struct gate_verdict verdicts[GATE_LIMITS];
    size_t verdict_count;
    struct gate_failure *failures;
    size_t failure_count;
    size_t failure_capacity;
    struct baseline found; /* all findings of this run that are not suppressed, sorted */
    struct baseline_entry *better; /* of the baseline: what has become less, by how much */
    size_t better_count;
    int64_t suppressed_blocks;
    int64_t suppressed_bytes;
    size_t ignored_processes;   /* left out by their program's name */
    size_t signalled_processes; /* ended by a signal that may: not scanned */
};

/* "max-leaked", ... as in the options and in JSON. */
const char *gate_limit_name(enum gate_limit limit);
/* "double-free", ... */
const char *gate_error_name(enum recording_error_kind kind);

/* Judges a recording. */
void gate_judge(struct region *region, const struct model *model,
                const struct gate_options *options, struct gate_result *result);
/* Judges a run of which there is no recording: it fails, for this reason. */
void gate_judge_nothing(struct region *region, const char *reason, struct gate_result *result);
void gate_result_deinit(struct gate_result *result);

/* Fills a baseline with the findings of a recording. */
void gate_collect(struct region *region, const struct model *model,
                  struct suppressions *suppressions, unsigned leak_classes,
                  struct baseline *baseline);

#endif
