#include "report/lifetimes.h"

#include <stdio.h>
#include <string.h>

#define LIFETIMES_SHOWN 3

/* Classes of the recording, of which the first begins at a tick of 10 ms, that one here takes. */
#define LIFETIMES_BUCKETS_EACH 3u

static const char *const lifetimes_names[LIFETIMES_CLASSES] = {
    "<10ms", "<80ms", "<0.6s", "<5s", "<41s", "longer", "live"};

void lifetimes_add(struct lifetimes *lifetimes, const struct model_site *site)
{
    const size_t longest = LIFETIMES_CLASSES - 2;
    int64_t shortest = site->frees;
    for (size_t i = 0; i < RECORDING_LIFETIME_BUCKETS; i++) {
        size_t at = 1 + i / LIFETIMES_BUCKETS_EACH;
        lifetimes->blocks[at < longest ? at : longest] += model_site_lifetimes(site, i);
        shortest -= model_site_lifetimes(site, i);
    }
    /* What is read while the program runs may not add up by a few. */
    lifetimes->blocks[0] += shortest > 0 ? shortest : 0;
    lifetimes->blocks[LIFETIMES_CLASSES - 1] += site->live_blocks > 0 ? site->live_blocks : 0;
}

/* Whether less than LIFETIMES_SHOWN others are larger; of equal ones the earlier counts. */
static bool lifetimes_is_shown(const struct lifetimes *lifetimes, size_t at)
{
    int larger = 0;
    for (size_t i = 0; i < LIFETIMES_CLASSES; i++) {
        larger += lifetimes->blocks[i] > lifetimes->blocks[at]
                  || (i < at && lifetimes->blocks[i] == lifetimes->blocks[at]);
    }
    return lifetimes->blocks[at] > 0 && larger < LIFETIMES_SHOWN;
}

const char *lifetimes_text(struct region *region, const struct lifetimes *lifetimes)
{
    char text[128] = "";
    size_t used = 0;
    double all = 0;
    for (size_t i = 0; i < LIFETIMES_CLASSES; i++) {
        all += (double)lifetimes->blocks[i];
    }
    for (size_t i = 0; i < LIFETIMES_CLASSES; i++) {
        double percent = all > 0 ? 100 * (double)lifetimes->blocks[i] / all : 0;
        if (!lifetimes_is_shown(lifetimes, i)) {
            continue;
        }
        /* Neither all nor nothing where it is not. */
        bool is_nearly_all = percent > 99.5 && percent < 100;
        int written = snprintf(text + used, sizeof(text) - used,
                               percent < 0.5 ? "%s%s <1%%" : "%s%s %.0f%%",
                               used > 0 ? ", " : "", lifetimes_names[i],
                               is_nearly_all ? 99.0 : percent);
        used += written > 0 && (size_t)written < sizeof(text) - used ? (size_t)written : 0;
    }
    return region_copy_text(region, text);
}
