#include "report/profile.h"

#include <string.h>

static const char *const names[PROFILE_METRICS] = {
    [PROFILE_ALLOCATED] = "allocated",
    [PROFILE_ALLOCATIONS] = "allocations",
    [PROFILE_LIVE] = "live",
    [PROFILE_BLOCKS] = "blocks",
    [PROFILE_PEAK] = "peak",
    [PROFILE_TEMPORARY] = "temporary",
    [PROFILE_LEAKED] = "leaked",
    [PROFILE_CPU] = "cpu",
    [PROFILE_PEAK_BLOCKS] = "peak blocks",
    [PROFILE_LEAKED_BLOCKS] = "leaked blocks",
    [PROFILE_LIFETIMES] = "lifetimes",
};

enum profile_metric profile_metric_find(const char *name)
{
    for (int i = 0; i < PROFILE_CHOICES; i++) {
        if (strcmp(name, names[i]) == 0) {
            return (enum profile_metric)i;
        }
    }
    return PROFILE_METRICS;
}

const char *profile_metric_name(enum profile_metric metric)
{
    return names[metric];
}

bool profile_metric_is_bytes(enum profile_metric metric)
{
    return metric == PROFILE_ALLOCATED || metric == PROFILE_LIVE || metric == PROFILE_PEAK
           || metric == PROFILE_LEAKED;
}

const char *profile_metric_unit(enum profile_metric metric)
{
    if (profile_metric_is_bytes(metric)) {
        return "bytes";
    }
    return metric == PROFILE_CPU                                           ? "samples"
           : metric == PROFILE_ALLOCATIONS || metric == PROFILE_TEMPORARY ? "allocations"
                                                                           : "blocks";
}
