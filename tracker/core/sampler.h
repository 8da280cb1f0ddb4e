/*
 * core/sampler.h - one allocation per so many bytes, without bias.
 *
 * Bytes are counted down; where the count crosses zero, that allocation is sampled and a
 * new gap is drawn from the exponential distribution, so that a block of s bytes is
 * sampled with p = 1 - exp(-s/R) whatever was allocated before it (a Poisson process over
 * the bytes, as in tcmalloc and jemalloc). It then stands for 1/p blocks.
 *
 * Context: inside the tracked program, async-signal-safe; no libm.
 * Threads: the state is the thread's own.
 */
#ifndef MEMTRACK_CORE_SAMPLER_H
#define MEMTRACK_CORE_SAMPLER_H

#include "core/thread.h"

/* What one sampled block of a certain size stands for. */
struct sampler_weight {
    int64_t blocks; /* in 1/ARENA_SAMPLE_SCALE */
    int64_t bytes;
    double count_variance;
    double bytes_variance;
};

/* Draws the first gap of a thread. */
void sampler_start(struct thread *thread);

/* Draws the next one; returns true: this allocation is sampled. */
bool sampler_cross(struct thread *thread);

struct sampler_weight sampler_weigh(uint64_t size_bytes, uint64_t sample_bytes);

/* Returns whether an allocation of this size is to be recorded. */
static inline bool sampler_take(struct thread *thread, size_t size_bytes)
{
    /* Sizes beyond the range of the countdown are always sampled: p is 1. */
    thread->sample_countdown -= size_bytes > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)size_bytes;
    if (__builtin_expect(thread->sample_countdown > 0, 1)) {
        thread->last_allocated = 0; /* an allocation all the same: no temporary before it */
        return false;
    }
    return sampler_cross(thread);
}

/* 1 - exp(-x) and -log(u), for 0 <= x and 0 < u <= 1; relative error below 1e-12. */
double sampler_one_minus_exp(double x);
double sampler_minus_log(double u);

#endif
