/*
 * analyses/cpu_parts.h - what the files of the CPU analysis share.
 *
 * Context: analyzer.
 * Memory:  a tally owns its arrays until cpu_tally_deinit(); what cpu_tally_take() gives is the
 *          region's.
 */
#ifndef MEMTRACK_ANALYSES_CPU_PARTS_H
#define MEMTRACK_ANALYSES_CPU_PARTS_H

#include "analyses/cpu.h"
#include "recording/intern.h"

#define CPU_FRAMES_MAX 8192u
#define CPU_KEY_BYTES 8192u

struct cpu_tally {
    struct intern_texts keys;
    struct cpu_entry *entries;
    size_t count;
    size_t capacity;
    size_t *seen_at; /* number of the last row that was added to an entry's total */
    size_t seen_capacity;
};

/* A computation under way. */
struct cpu_work {
    struct region *region;
    struct cpu_result *result;
    struct cpu_tally tally; /* by line, module or stack, if that was asked for */
    struct cpu_tally functions;
    struct cpu_tally threads;
    struct cpu_tally sites;
    struct cpu_list function_list;
    struct cpu_list thread_list;
    size_t row; /* rows counted so far */
    const struct model_frame *frames[CPU_FRAMES_MAX];
};

void cpu_tally_init(struct cpu_tally *tally);
void cpu_tally_deinit(struct cpu_tally *tally);
size_t cpu_tally_index(struct cpu_tally *tally, const void *key, size_t bytes, bool *is_new);
size_t cpu_tally_function(struct cpu_tally *tally, struct region *region,
                          const struct model_frame *frame);
size_t cpu_tally_line(struct cpu_tally *tally, struct region *region,
                      const struct model_frame *frame);
size_t cpu_tally_allocator(struct cpu_tally *tally);
/* Adds to an entry's total, unless row number `row` has done so. */
void cpu_tally_total(struct cpu_tally *tally, size_t index, size_t row, int64_t samples);
struct cpu_list cpu_tally_take(struct cpu_tally *tally, struct region *region);

/* The function, or "[in libx.so]". */
const char *cpu_frame_name(struct region *region, const struct model_frame *frame);

/* Calls visit for each row of the processes that the result is about. */
void cpu_each_row(const struct cpu_result *result,
                  void (*visit)(void *context, const struct model_process *process,
                                const struct model_cpu *row),
                  void *context);

/* Callers and callees of the functions that is_wanted names (by position in function_list). */
const struct cpu_around *cpu_make_around(struct cpu_work *work, const char *name,
                                         bool (*is_wanted)(const char *function, const char *name));

/* Sets result->around. Returns 0, or -ENOENT and *error. */
int cpu_find_around(struct cpu_work *work, const char *name, struct mt_error *error);

/* Sets result->findings. */
void cpu_find_findings(struct cpu_work *work);

#endif
