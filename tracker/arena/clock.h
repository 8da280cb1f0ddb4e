/*
 * arena/clock.h - what the ticks of the arena's clock mean.
 *
 * A live block remembers its birth in 21 bits. Ticks of one length would either be too
 * long for short runs or run out in hours, so the ticks get longer as a run gets older:
 *
 *   tick          0 .. 2^19        length L = 10 ms       1 h 27 min
 *   then 12 segments of 2^17 ticks:       2L, 4L, ... 4096L    (44 min, 87 min, ... 62 days)
 *
 * which covers 124 days; then the clock stands still at CLOCK_TICKS_MAX. A tick is
 * always much shorter than a ten-thousandth of the run's age, from its first minutes on.
 *
 * Context: any; pure arithmetic. The recorder turns time into ticks, readers turn ticks
 * back into time.
 */
#ifndef MEMTRACK_ARENA_CLOCK_H
#define MEMTRACK_ARENA_CLOCK_H

#include <stdint.h>

#define CLOCK_TICK_NS 10000000u
#define CLOCK_TICKS_MAX ((1u << 21) - 1u)
#define CLOCK_FIRST_TICKS (1u << 19)
#define CLOCK_SEGMENT_TICKS (1u << 17)
#define CLOCK_SEGMENTS 12u

_Static_assert(CLOCK_FIRST_TICKS + CLOCK_SEGMENTS * CLOCK_SEGMENT_TICKS == CLOCK_TICKS_MAX + 1u,
               "the segments fill 21 bits");

/* Returns the time at which tick number `ticks` began, since the arena was made, for a
 * first tick length of tick_ns. Beyond CLOCK_TICKS_MAX: that of CLOCK_TICKS_MAX. */
static inline uint64_t clock_ticks_to_ns(uint32_t ticks, uint32_t tick_ns)
{
    if (ticks > CLOCK_TICKS_MAX) {
        ticks = CLOCK_TICKS_MAX;
    }
    if (ticks <= CLOCK_FIRST_TICKS) {
        return (uint64_t)ticks * tick_ns;
    }
    uint32_t beyond = ticks - CLOCK_FIRST_TICKS;
    uint32_t segment = beyond / CLOCK_SEGMENT_TICKS;
    uint64_t ns = (uint64_t)CLOCK_FIRST_TICKS * tick_ns;
    /* The whole segments before: 2L + 4L + ... + 2^segment L, for each of their ticks. */
    ns += (((uint64_t)2 << segment) - 2) * tick_ns * CLOCK_SEGMENT_TICKS;
    ns += ((uint64_t)2 << segment) * tick_ns * (beyond % CLOCK_SEGMENT_TICKS);
    return ns;
}

/* Returns the tick that is current `ns` after the arena was made: the greatest whose
 * beginning is at or before that, at most CLOCK_TICKS_MAX. */
static inline uint32_t clock_ns_to_ticks(uint64_t ns, uint32_t tick_ns)
{
    if (tick_ns == 0) {
        return 0;
    }
    uint64_t base_ns = (uint64_t)CLOCK_FIRST_TICKS * tick_ns;
    if (ns < base_ns) {
        return (uint32_t)(ns / tick_ns);
    }
    ns -= base_ns;
    for (uint32_t segment = 0; segment < CLOCK_SEGMENTS; segment++) {
        uint64_t length_ns = ((uint64_t)2 << segment) * tick_ns;
        if (ns < length_ns * CLOCK_SEGMENT_TICKS) {
            return CLOCK_FIRST_TICKS + segment * CLOCK_SEGMENT_TICKS + (uint32_t)(ns / length_ns);
        }
        ns -= length_ns * CLOCK_SEGMENT_TICKS;
    }
    return CLOCK_TICKS_MAX;
}

#endif
