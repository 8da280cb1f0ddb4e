/*
 * model/model.h - a recording in memory, as analyses want it: processes, their sites in
 * one state, stacks with inlined frames and locations.
 *
 *   model --- processes (a tree) --- sites --- stack --- addresses --- frames
 *                  |                  |                     |   (an inline chain each)
 *                  |                  leaks, CPU            module
 *                  timeline, snapshots, defects, census
 *
 * Stacks are equal when their addresses (module and offset) are; sites of a process with
 * equal stacks are one site, whatever ids the tracker gave them. A stack begins at the
 * function that called the allocator.
 *
 * Context: analyzer.
 * Memory:  everything lives in the model's region until model_free().
 * Threads: one at a time.
 */
#ifndef MEMTRACK_MODEL_MODEL_H
#define MEMTRACK_MODEL_MODEL_H

#include "foundation/error.h"
#include "foundation/region.h"
#include "model/selector.h"
#include "recording/reader.h"

struct model_module {
    int64_t id;
    const char *path; /* "" if unknown */
    const char *name; /* last part of path */
    const uint8_t *build_id;
    size_t build_id_bytes;
    enum recording_module_kind kind;
    const char *debug_info; /* "full", "symbols", "none", NULL */
    const char *hint;       /* NULL */
    int64_t addresses;      /* distinct ones met in it */
    int64_t nameless;       /* of those, without a function name */
};

struct model_frame {
    const char *function;              /* NULL: unknown */
    const char *linkage_name;          /* NULL */
    const char *file;                  /* NULL */
    int64_t line;                      /* 0: unknown */
    int64_t function_line;             /* 0: unknown */
    const char *source;                /* the line's text, NULL: not recorded */
    const struct model_module *module; /* NULL: unknown */
    uint64_t module_offset;
    bool is_inlined;
    bool is_runtime; /* C library, C++ runtime or allocator: not where a user would look */
    bool is_allocator;
};

/* A return address and the frames it stands for, innermost first; at least one. */
struct model_address {
    const struct model_frame *frames;
    uint32_t frame_count;
};

struct model_stack {
    uint32_t id; /* from 1 */
    uint32_t address_count;
    const uint32_t *addresses; /* indices for model_address_at(), innermost first */
    uint32_t frame_count;      /* with inlined ones */
    bool is_cut;
    bool is_approximate;
    const struct model_frame *location; /* NULL: no frames */
};

struct model_leaks {
    int64_t blocks[RECORDING_LEAK_CLASSES];
    int64_t bytes[RECORDING_LEAK_CLASSES];
};

/* Of estimates in a run that samples; all zero in others, and for states before the end. */
struct model_variance {
    int64_t sampled_allocations; /* what the estimates rest on */
    double allocations;
    double allocated_bytes;
    double live_blocks;
    double live_bytes;
};

struct model_site {
    const struct model_stack *stack;
    int64_t allocations;
    int64_t allocated_bytes;
    int64_t frees;
    int64_t freed_bytes;
    int64_t temporaries;
    int64_t inherited_blocks;
    int64_t inherited_bytes;
    int64_t live_blocks; /* in the state that was selected */
    int64_t live_bytes;
    int64_t peak_blocks; /* share at the process's peak */
    int64_t peak_bytes;
    int64_t *lifetimes; /* [0..RECORDING_LIFETIME_BUCKETS); NULL: all 0, or not loaded */
    struct model_variance variance;
    struct model_leaks leaks;
    int64_t led_blocks;
    int64_t led_bytes;
    int64_t oldest_ns;      /* RECORDING_UNKNOWN */
    int64_t retained_bytes; /* RECORDING_UNKNOWN */
    int64_t pinned_bytes;   /* RECORDING_UNKNOWN */
    int64_t cpu_samples;
    int64_t allocator_samples;
};

/* Blocks that lived [2^bucket, 2^(bucket+1)) ticks. */
static inline int64_t model_site_lifetimes(const struct model_site *site, size_t bucket)
{
    return site->lifetimes != NULL ? site->lifetimes[bucket] : 0;
}

struct model_defect {
    enum recording_error_kind kind;
    int64_t count;
    const struct model_stack *release;    /* never NULL */
    const struct model_stack *allocation; /* NULL: unknown */
    const char *allocated_as;
    const char *released_as;
    uint64_t address;
};

/* A snapshot as people number it. */
struct model_snapshot {
    int64_t index;    /* position, from 0 */
    int64_t snapshot; /* its id in the recording */
    int64_t time_ns;
    const char *label;
    const char *cause;
};

struct model_process_snapshot {
    const struct model_snapshot *snapshot;
    int64_t live_bytes;
    int64_t live_blocks;
    int64_t allocations;
    int64_t rss_bytes; /* RECORDING_UNKNOWN */
};

struct model_cpu {
    int64_t thread;
    const struct model_stack *stack;
    int64_t samples;
    int64_t system_samples;           /* of these, in system calls */
    int64_t allocator_samples;        /* in malloc and free, for blocks of this stack */
    int64_t allocator_system_samples; /* of these, in system calls */
};

struct model_totals {
    int64_t allocations;
    int64_t allocated_bytes;
    int64_t frees;
    int64_t freed_bytes;
    int64_t temporaries;
    int64_t inherited_blocks;
    int64_t inherited_bytes;
    int64_t live_blocks;
    int64_t live_bytes;
};

struct model_process {
    struct recording_process row; /* texts are never NULL here except untracked_reason, cpu_sampling, scan */
    const char *const *arguments;
    size_t argument_count;
    struct model_process *parent; /* NULL: the run's first process */
    struct model_process **children;
    size_t child_count;
    int64_t index; /* position in model.processes */

    const struct model_site *sites; /* by stack id */
    size_t site_count;
    struct model_totals totals; /* in the state that was selected */
    struct model_variance variance; /* of the totals */

    const struct recording_point *points;
    size_t point_count;
    const struct model_process_snapshot *snapshots;
    size_t snapshot_count;
    const struct model_defect *defects;
    size_t defect_count;
    const struct model_cpu *cpu;
    size_t cpu_count;
    const struct recording_thread *threads;
    size_t thread_count;

    const struct recording_census *census; /* the one `leaks` of sites come from; NULL: none */
    struct model_leaks leaks;
};

struct model {
    struct region *region;
    struct recording_reader *reader;
    const struct recording_run *run;
    struct model_selector selector;
    const struct model_snapshot *state_snapshot; /* NULL: the end, or the peak */
    double state_seconds;

    struct model_process *processes; /* in order of time */
    size_t process_count;

    struct model_snapshot *snapshots;
    size_t snapshot_count;
    struct model_module *modules; /* [0] is "unknown" */
    size_t module_count;
    size_t stack_count;
    struct model_tables *tables; /* addresses and stacks; model/tables.h */
    struct model *base;          /* that this one shares all but sites with; NULL: none */
};

/* Loads a recording in the state that `selector` names. Errors as the reader's, and
 * MT_STATUS_USAGE for a state that the recording does not have. */
int model_load(const struct model_selector *selector, struct model **model, struct mt_error *error);
/* Another state of the recording that `base` was loaded from; selector->path is not looked
 * at. What does not depend on the state is shared: reader, modules, addresses, stacks (equal
 * stacks are the same object), points, snapshots. `base` must be freed after it. */
int model_load_state(struct model *base, const struct model_selector *selector,
                     struct model **model, struct mt_error *error);
void model_free(struct model *model); /* NULL is fine */

/* Nothing is missing as far as can be known. */
bool model_is_complete(const struct model *model);

const struct model_address *model_address_at(const struct model *model, uint32_t index);
/* Indices of addresses are below it. */
size_t model_address_count(const struct model *model);

/* Frames of a stack, innermost first, into frames[0..capacity); returns how many. */
size_t model_stack_frames(const struct model *model, const struct model_stack *stack,
                          const struct model_frame **frames, size_t capacity);

/* The stack that the tracker knew as `stack` of the process's image; never NULL (stack 0
 * and unknown ids give the empty stack). */
const struct model_stack *model_find_stack(const struct model *model,
                                           const struct model_process *process, int64_t stack);

/* The process that a person names by pid or by "#INDEX" / index; NULL: none. A pid with
 * several images gives the last of them. */
const struct model_process *model_find_process(const struct model *model, const char *name);

/* The file's name of its executable; never NULL. */
const char *model_program_name(const struct model_process *process);

/* The process to show where nobody named one: the first, or where that is small beside another,
 * as a shell, `env` or `make` is beside what it starts, the one with the largest peak. */
const struct model_process *model_main_process(const struct model *model);

/* Walks a process's snapshots of sites in order of time: visit gets the snapshot and the
 * cumulative counters of each site that changed. Returns 0, or what visit returned. */
int model_each_snapshot_site(const struct model *model, const struct model_process *process,
                             int (*visit)(void *context, const struct model_snapshot *snapshot,
                                          const struct model_stack *stack,
                                          const struct recording_snapshot_site *row),
                             void *context);

#endif
