/* Source: jemalloc's jeprof, ReadSymbols() and ReadThreadedHeapProfile(); the format of
 * dumps is in jemalloc's src/prof_data.c. */
#include "render/export.h"
#include "render/line_text.h"

#include <inttypes.h>

/* An address for each function: names are inside, and inlined functions have none. */
static uint64_t function_address(uint32_t function)
{
    return (function + UINT64_C(1)) * 0x100;
}

static void put_symbols(FILE *out, const struct profile *profile)
{
    fputs("--- symbol\nbinary=", out);
    line_text_put(out, profile->program, "", '?');
    fputc('\n', out);
    for (size_t i = 0; i < profile->function_count; i++) {
        fprintf(out, "0x%016" PRIx64 " ", function_address((uint32_t)i));
        line_text_put(out, profile->functions[i].name, "", '?');
        fputc('\n', out);
    }
    /* "/0": the counts are no raw samples and are not to be scaled. */
    fputs("---\n--- heap\nheap_v2/0\n", out);
}

static void put_counts(FILE *out, const int64_t values[PROFILE_METRICS])
{
    fprintf(out, "  t*: %lld: %lld [%lld: %lld]\n", (long long)values[PROFILE_BLOCKS],
            (long long)values[PROFILE_LIVE], (long long)values[PROFILE_ALLOCATIONS],
            (long long)values[PROFILE_ALLOCATED]);
}

static void put_stack(FILE *out, const struct profile *profile,
                      const struct profile_sample *sample)
{
    bool is_innermost = true;
    fputc('@', out);
    for (uint32_t i = 0; i < sample->location_count; i++) {
        const struct profile_location *location = &profile->locations[sample->locations[i]];
        for (uint32_t k = 0; k < location->frame_count; k++) {
            /* Readers take 1 from all but the innermost, as from return addresses. */
            fprintf(out, " 0x%" PRIx64,
                    function_address(location->frames[k].function) + (is_innermost ? 0 : 1));
            is_innermost = false;
        }
    }
    fputs(is_innermost ? " 0x1\n" : "\n", out);
}

void render_jeprof(FILE *out, const struct profile *profile, enum profile_metric metric)
{
    (void)metric; /* jeprof's options choose */
    put_symbols(out, profile);
    put_counts(out, profile->totals);
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct profile_sample *sample = &profile->samples[i];
        if (sample->thread == PROFILE_NONE
            && (sample->values[PROFILE_ALLOCATIONS] > 0 || sample->values[PROFILE_BLOCKS] > 0)) {
            put_stack(out, profile, sample);
            put_counts(out, sample->values);
        }
    }
    fputs("\nMAPPED_LIBRARIES:\n", out);
}
