/*
 * report/findings.h - what a gate found, for machines that show findings beside the code:
 * JUnit, SARIF, annotations, Valgrind's readers. Renderers know this and no analysis.
 *
 * Context: analyzer. Memory: texts and frames are borrowed and must outlive the use.
 */
#ifndef MEMTRACK_REPORT_FINDINGS_H
#define MEMTRACK_REPORT_FINDINGS_H

#include "report/document.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum finding_rule {
    FINDING_LEAK_DEFINITE,
    FINDING_LEAK_INDIRECT,
    FINDING_LEAK_POSSIBLE,
    FINDING_LEAK_REACHABLE,
    FINDING_DOUBLE_FREE,
    FINDING_INVALID_FREE,
    FINDING_MISMATCHED_FREE,
    FINDING_GROWTH,
    FINDING_LIMIT,     /* a count above its limit */
    FINDING_INCOMPLETE /* something could not be seen */
};
#define FINDING_RULES (FINDING_INCOMPLETE + 1)

struct finding {
    enum finding_rule rule;
    const char *limit;   /* "max-leaked" */
    const char *message; /* one line */
    const char *held_by; /* chain to who holds it; NULL */
    const char *program; /* path; NULL */
    int64_t pid;         /* 0: unknown */
    int64_t blocks;      /* or times */
    int64_t bytes;
    int64_t led_blocks; /* indirect ones that hang on definite ones */
    int64_t led_bytes;
    const struct report_frame *frames; /* innermost first: where blocks were allocated, or released */
    size_t frame_count;
    const struct report_frame *origin; /* wrong releases: where the block came from */
    size_t origin_count;
    const struct report_frame *place; /* where the user would look; NULL: unknown */
    const char *signature;            /* stack in words */
    uint64_t fingerprint;             /* of rule and signature: the same in the next build */
};

struct finding_check {
    const char *name; /* "max-leaked" */
    const char *text; /* "48 B leaked, at most 0 B allowed" */
    bool is_met;
};

struct findings {
    const char *name; /* of the test or program that was judged */
    const char *program;
    const char *arguments; /* command line, for display */
    const char *recording; /* file; NULL: not kept */
    const char *started;   /* ISO 8601, UTC; NULL */
    int64_t pid;
    int64_t parent_pid;
    double seconds;
    bool is_passed;
    const struct finding_check *checks;
    size_t check_count;
    const struct finding *items;
    size_t count;
};

/* "definite-leak", "double-free", "growth", ... */
const char *finding_rule_name(enum finding_rule rule);
/* One sentence on what the rule means. */
const char *finding_rule_text(enum finding_rule rule);

#endif
