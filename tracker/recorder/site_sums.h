/*
 * recorder/site_sums.h - a process's counters, summed over its threads.
 *
 * Reads the arena at any instant, also while the program writes to it, and after its
 * death: nothing is stopped, nothing in there is trusted.
 *
 * Context: recorder. Memory: one element for each stack id in use. Threads: one.
 */
#ifndef MEMTRACK_RECORDER_SITE_SUMS_H
#define MEMTRACK_RECORDER_SITE_SUMS_H

#include <stdbool.h>
#include <stddef.h>

#include "recorder/arena_file.h"

struct site_sum {
    uint64_t allocations;
    uint64_t allocated_bytes;
    uint64_t frees;
    uint64_t freed_bytes;
    uint64_t temporaries;
    int64_t peak_bytes; /* share at the process's peak */
    int64_t peak_blocks;
    uint64_t inherited_blocks;
    uint64_t inherited_bytes;
};

struct site_sums {
    struct site_sum *sites; /* [0..count), by stack id */
    size_t count;
    size_t capacity;
    /* Over all sites. */
    struct site_sum total;
    uint64_t cpu_samples_lost;
    uint32_t threads; /* tables, the inherited one not counted */
};

void site_sums_deinit(struct site_sums *sums);

/* Sums up the process whose record is at `process_offset`; what *sums held before is
 * replaced, its memory used again. Returns 0, -EFAULT (no such record) or -ENOMEM. */
int site_sums_read(const struct arena_file *file, uint64_t process_offset, struct site_sums *sums);

/* Lifetimes of a process's blocks, ARENA_LIFETIME_BUCKETS sums for each stack id.
 * Returns an array for ids [0..count) to be released with free(), or NULL. */
uint64_t *site_sums_read_lifetimes(const struct arena_file *file, uint64_t process_offset,
                                   size_t count);

/* What sampling adds: variances of the estimates (struct arena_sample_site), summed over
 * threads. Live: of the blocks that are live, inherited ones too. */
struct site_sample {
    uint64_t sampled_allocations;
    uint64_t sampled_frees;
    double allocated_count_variance;
    double allocated_bytes_variance;
    double live_count_variance;
    double live_bytes_variance;
};

/* Returns an array for ids [0..count) to be released with free(), or NULL. */
struct site_sample *site_sums_read_samples(const struct arena_file *file, uint64_t process_offset,
                                           size_t count);

/* A thread's table as seen by a visitor; what it points to is valid during the call. */
struct site_thread {
    uint32_t index; /* from 0 */
    const struct arena_thread *table;
};

/* Calls visit for each of the process's tables, the latest first. Ends early when visit
 * returns other than 0, and returns that. -EFAULT: no such record. */
int site_threads_visit(const struct arena_file *file, uint64_t process_offset,
                       int (*visit)(void *context, const struct site_thread *thread),
                       void *context);

#endif
