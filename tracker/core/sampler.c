#include "core/sampler.h"

#include <time.h>

#include "core/raw_syscall.h"

#define LN2 0.693147180559945309417232121458

double sampler_one_minus_exp(double x)
{
    if (x > 60.0) {
        return 1.0;
    }
    /* exp(-x) = 2^-k exp(-r), |r| <= ln2/2; the series of 1 - exp(-r) keeps small x exact. */
    int k = (int)(x / LN2 + 0.5);
    double r = x - k * LN2;
    double term = r;
    double sum = r;
    for (int i = 2; i < 20; i++) {
        term *= -r / i;
        sum += term;
    }
    double scale = 1.0;
    for (int i = 0; i < k; i++) {
        scale *= 0.5;
    }
    /* 1 - 2^-k (1 - sum) */
    return (1.0 - scale) + scale * sum;
}

double sampler_minus_log(double u)
{
    int exponent = 0;
    while (u < 0.70710678118654752440) {
        u *= 2.0;
        exponent++;
    }
    /* log(u) = 2 artanh(z), z = (u-1)/(u+1), |z| <= 0.172 */
    double z = (u - 1.0) / (u + 1.0);
    double square = z * z;
    double power = z;
    double sum = 0.0;
    for (int i = 1; i < 30; i += 2) {
        sum += power / i;
        power *= square;
    }
    return exponent * LN2 - 2.0 * sum;
}

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators,
 * scrambled" (2016). Returns a number in (0, 1]. */
static double draw_uniform(struct thread *thread)
{
    uint64_t state = thread->sample_random;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    thread->sample_random = state;
    return (double)(((state * UINT64_C(0x2545f4914f6cdd1d)) >> 11) + 1) * 0x1p-53;
}

static int64_t draw_gap(struct thread *thread)
{
    double gap = sampler_minus_log(draw_uniform(thread)) * (double)process_hot.sample_bytes;
    return gap > 0x1p60 ? INT64_C(1) << 60 : (int64_t)gap + 1;
}

void sampler_start(struct thread *thread)
{
    uint64_t seed = process_cold.arena.header->config.sample_seed;
    if (seed == 0) {
        struct timespec now = {0};
        raw_syscall3(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0);
        seed = (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 30 ^ (uint64_t)thread->tid << 44;
    } else {
        seed += (uint64_t)thread->index << 32;
    }
    /* splitmix64's finaliser spreads neighbouring seeds. */
    seed += UINT64_C(0x9e3779b97f4a7c15);
    seed = (seed ^ seed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    seed = (seed ^ seed >> 27) * UINT64_C(0x94d049bb133111eb);
    thread->sample_random = (seed ^ seed >> 31) | 1;
    thread->sample_countdown = draw_gap(thread);
}

bool sampler_cross(struct thread *thread)
{
    thread->sample_countdown = draw_gap(thread);
    return true;
}

struct sampler_weight sampler_weigh(uint64_t size_bytes, uint64_t sample_bytes)
{
    /* malloc(0) never moves the count: it is never sampled, and weighs nothing. */
    double size = (double)size_bytes;
    double p = size_bytes == 0 ? 1.0 : sampler_one_minus_exp(size / (double)sample_bytes);
    double variance = (1.0 - p) / (p * p);
    return (struct sampler_weight){
        .blocks = (int64_t)(ARENA_SAMPLE_SCALE / p + 0.5),
        .bytes = (int64_t)(size / p + 0.5),
        .count_variance = variance,
        .bytes_variance = size * size * variance,
    };
}
