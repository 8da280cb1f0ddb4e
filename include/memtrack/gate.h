/*
 * memtrack/gate.h - memory limits for one test, or any stretch of a program.
 *
 *   struct memtrack_gate gate;
 *   memtrack_gate_begin(&gate, "parse", &(struct memtrack_budget){
 *       .peak_bytes = MEMTRACK_AT_MOST(64 * 1024)});
 *   parse(document);
 *   if (!memtrack_gate_end(&gate)) { ... gate.message says which limit, by how much ... }
 *
 * What a budget does not name is not limited, except blocks that are left over: none may
 * be, unless may_keep is set. Blocks that are meant to stay are excused with
 * memtrack_ignore().
 *
 * Ready for cmocka, GoogleTest and Catch2: memtrack/cmocka.h, googletest.h, catch2.h.
 *
 * Without memtrack, gates are inactive: they pass and say so once on standard error; with
 * MEMTRACK_REQUIRED=1 in the environment they fail.
 *
 * Threads: a gate counts what the whole process allocates; use one at a time.
 * Memory:  nothing is allocated.
 */
#ifndef MEMTRACK_GATE_H
#define MEMTRACK_GATE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memtrack/memtrack.h>

#ifdef __cplusplus
extern "C" {
#endif

struct memtrack_limit {
    bool is_set;
    int64_t most;
};
#ifdef __cplusplus
#define MEMTRACK_AT_MOST(n) memtrack_limit{true, (n)}
#else
#define MEMTRACK_AT_MOST(n) {true, (n)}
#endif

struct memtrack_budget {
    struct memtrack_limit live_blocks; /* left over at the end; default: at most 0 */
    struct memtrack_limit live_bytes;
    struct memtrack_limit peak_bytes; /* the most that live bytes rose above the start */
    struct memtrack_limit allocations;
    struct memtrack_limit temporaries; /* released before the thread allocated again */
    bool may_keep;                     /* blocks may be left over */
};

struct memtrack_gate {
    struct memtrack_mark mark;
    struct memtrack_budget budget;
    struct memtrack_usage usage; /* after memtrack_gate_end() */
    const char *name;
    char message[256]; /* after memtrack_gate_end(): what was exceeded, or "" */
};

/* Whether gates can see anything; says once, on standard error, when they cannot. */
static inline bool memtrack_gate_is_active(void)
{
    static bool was_said;
    if (memtrack_is_tracking()) {
        return true;
    }
    if (!was_said) {
        was_said = true;
        fputs("memtrack: memory gates are inactive: this process is not tracked: run it under"
              " memtrack check\n",
              stderr);
    }
    return false;
}

/* `budget` may be NULL: no block may be left over. Strings are borrowed. */
static inline void memtrack_gate_begin(struct memtrack_gate *gate, const char *name,
                                       const struct memtrack_budget *budget)
{
    memset(gate, 0, sizeof *gate);
    gate->name = name;
    if (budget != NULL) {
        gate->budget = *budget;
    }
    if (!gate->budget.may_keep && !gate->budget.live_blocks.is_set
        && !gate->budget.live_bytes.is_set) {
        gate->budget.live_blocks.is_set = true;
    }
    if (memtrack_gate_is_active()) {
        gate->mark = memtrack_mark_now();
    }
}

static inline bool memtrack_gate_check(struct memtrack_gate *gate, const char *what,
                                       const struct memtrack_limit *limit, int64_t actual)
{
    if (!limit->is_set || actual <= limit->most) {
        return true;
    }
    size_t used = strlen(gate->message);
    snprintf(gate->message + used, sizeof gate->message - used, "%s%s: %lld, at most %lld allowed",
             used == 0 ? "" : "; ", what, (long long)actual, (long long)limit->most);
    return false;
}

/* Returns whether the budget was kept. If blocks are left over that should not be, they are
 * printed with their stacks. */
static inline bool memtrack_gate_end(struct memtrack_gate *gate)
{
    gate->message[0] = '\0';
    if (!gate->mark.is_valid) {
        const char *required = getenv("MEMTRACK_REQUIRED");
        bool is_required = required != NULL && strcmp(required, "1") == 0;
        if (is_required) {
            snprintf(gate->message, sizeof gate->message,
                     "MEMTRACK_REQUIRED is set, but this process is not tracked: run it under"
                     " memtrack check");
        }
        return !is_required;
    }
    struct memtrack_budget *budget = &gate->budget;
    if (budget->may_keep && budget->live_blocks.most == 0) {
        budget->live_blocks.is_set = false; /* said after the gate had begun */
    }
    gate->usage = memtrack_usage_since(&gate->mark);
    const struct memtrack_usage *usage = &gate->usage;
    bool is_clean =
        memtrack_gate_check(gate, "blocks left over", &budget->live_blocks,
                            (int64_t)usage->live_blocks)
        & memtrack_gate_check(gate, "bytes left over", &budget->live_bytes,
                              (int64_t)usage->live_bytes);
    bool is_within =
        memtrack_gate_check(gate, "peak bytes", &budget->peak_bytes, usage->peak_bytes)
        & memtrack_gate_check(gate, "allocations", &budget->allocations,
                              (int64_t)usage->allocations)
        & memtrack_gate_check(gate, "temporary allocations", &budget->temporaries,
                              (int64_t)usage->temporary_allocations);
    if (!is_clean) {
        char title[120];
        snprintf(title, sizeof title, "%.80s: left over", gate->name == NULL ? "" : gate->name);
        fflush(NULL); /* what the test printed comes first */
        memtrack_print_since(&gate->mark, title);
    }
    return is_clean && is_within;
}

/*
 * Calls function(argument) `repetitions` times (at least 4). What grows with every
 * repetition is a leak, reachable or not; what is allocated once, in the first two, is not.
 * Returns the bytes that each repetition adds, 0 when it does not grow or without memtrack;
 * prints what has grown.
 */
static inline int64_t memtrack_repeat(const char *name, void (*function)(void *argument),
                                      void *argument, unsigned repetitions)
{
    if (repetitions < 4) {
        repetitions = 4;
    }
    struct memtrack_mark second = memtrack_mark_now();
    int64_t before = 0;
    int64_t first = 0;
    int64_t last = 0;
    bool is_growing = memtrack_gate_is_active();
    for (unsigned i = 0; i < repetitions; i++) {
        function(argument);
        struct memtrack_totals totals = memtrack_totals_now();
        if (i == 1) {
            second = memtrack_mark_now();
            first = totals.live_bytes;
        } else if (i > 1) {
            is_growing = is_growing && totals.live_bytes > before;
        }
        before = totals.live_bytes;
        last = totals.live_bytes;
    }
    if (!is_growing) {
        return 0;
    }
    char title[120];
    snprintf(title, sizeof title, "%.80s: grows with every repetition", name);
    fflush(NULL);
    memtrack_print_since(&second, title);
    int64_t each = (last - first) / (int64_t)(repetitions - 2);
    return each > 0 ? each : 1;
}

#ifdef __cplusplus
}
#endif

#endif
