/*
 * long_run.c - a recording of a day, made by the recorder's own code with a fast clock.
 *
 * usage: long_run SITES HOURS FILE
 *
 * All sites allocate all the time (tests/unit/support/simulated_run.h), so every one of them has
 * changed in most snapshots. There are no stacks or names in it, which come once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "support/simulated_run.h"

#define SECOND_NS UINT64_C(1000000000)

int main(int count, char **arguments)
{
    struct simulated_run run;
    if (count != 4) {
        fprintf(stderr, "usage: long_run SITES HOURS FILE\n");
        return 64;
    }
    uint64_t end_ns = strtoull(arguments[2], NULL, 10) * 3600 * SECOND_NS;
    bool is_good = simulated_run_begin(&run, arguments[3], (uint32_t)atoi(arguments[1]))
                   && simulated_run_pass(&run, 60 * SECOND_NS, SECOND_NS / 20)
                   && simulated_run_pass(&run, end_ns, 5 * SECOND_NS);
    return simulated_run_finish(&run) && is_good ? 0 : 1;
}
