/*
 * analyses/leaks.h - what a process had lost at its end (or in the selected state), by
 * class and site; who holds what it had not; which sites keep mostly empty pages.
 *
 * Context: analyzer. Memory: results live in the region given. Threads: one at a time.
 */
#ifndef MEMTRACK_ANALYSES_LEAKS_H
#define MEMTRACK_ANALYSES_LEAKS_H

#include "analyses/suppressions.h"
#include "model/model.h"

/* Blocks of one site in one class. */
struct leaks_item {
    const struct model_site *site;
    enum recording_leak_class leak_class;
    int64_t blocks;
    int64_t bytes;
    int64_t led_blocks; /* definite: indirect blocks that hang on them */
    int64_t led_bytes;
    const struct suppression *suppression; /* NULL: to be reported */
};

/* One step of a chain from a root down. */
struct leaks_holder {
    enum recording_holder_kind kind;
    const char *text;                /* "g_sessions (server)", "the stack of thread 17
                                      * 'worker', in serve server.c:88"; NULL for sites */
    const struct model_stack *stack; /* of the holding blocks, RECORDING_HOLDER_SITE; else NULL */
    int64_t address;                 /* recording_address of a stack frame; 0: none */
};

struct leaks_chain {
    const struct leaks_holder *steps; /* [0..step_count), the root first */
    size_t step_count;
    int64_t blocks; /* of the site, that come through this chain */
    int64_t bytes;
};

/* A site with blocks that are still reachable. */
struct leaks_held {
    const struct model_site *site;
    int64_t blocks;
    int64_t bytes;
    int64_t retained_bytes; /* RECORDING_UNKNOWN */
    const struct leaks_chain *chains; /* heaviest first */
    size_t chain_count;
};

/* A site that keeps mostly empty pages in memory. */
struct leaks_pinning {
    const struct model_site *site;
    int64_t pages;          /* estimated from the bytes */
    int64_t bytes;          /* that would be returned */
};

struct leaks_result {
    const struct model *model;
    const struct model_process *process;
    const char *scan; /* "full", "counts", "off", "failed: WHY" */
    struct model_leaks totals;     /* without what is suppressed */
    int64_t suppressed_blocks;     /* ignored ones included */
    int64_t suppressed_bytes;
    struct leaks_item *items; /* lost ones (definite, possible, indirect), largest first */
    size_t item_count;
    struct leaks_held *held; /* largest first */
    size_t held_count;
    struct leaks_pinning *pinning; /* largest first */
    size_t pinning_count;
};

/* suppressions may be NULL. */
void leaks_analyze(struct region *region, const struct model *model,
                   const struct model_process *process, struct suppressions *suppressions,
                   struct leaks_result *result);

/* Adds the suppressions that were given with the run. Returns 0 or -EINVAL and *error. */
int leaks_add_recorded_suppressions(const struct model *model, struct suppressions *suppressions,
                                    struct mt_error *error);

/*
 * Moves what the run's own suppressions name to the class "ignored", in every site and
 * process, so that whatever is made of the model leaves it out. Not for those who want to
 * know which suppression was used: leaks_analyze() is. Returns 0 or -EINVAL and *error.
 */
int leaks_settle(struct model *model, struct mt_error *error);

/* What became of a process's scan: "full", "counts", "off" or "failed: WHY". */
const char *leaks_scan(const struct model *model, const struct model_process *process);

/* "definite", "indirect", ... */
const char *leaks_class_name(enum recording_leak_class leak_class);

#endif
