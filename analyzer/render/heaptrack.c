/*
 * Source: heaptrack's src/analyze/accumulatedtracedata.cpp, which reads the format (version 3):
 * numbers are hexadecimal, tables count from 1, allocation infos from 0.
 *
 * The format is a log of events, which a recording does not have. A log is made up that has the
 * recording's counts: per site what was short-lived, then the peak, then what is live at the end.
 *
 *   before the peak   temporaries (+ -) and other short-lived blocks (+ + - -)
 *   the peak          each site's share
 *   after it          what did not live to the end goes, what was allocated later comes
 */
#include "foundation/region.h"
#include "recording/intern.h"
#include "render/export.h"
#include "render/line_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEAPTRACK_EVENTS_MAX 1000000.0

/* Blocks of one site with one fate; sizes differ by a byte at most. */
struct heaptrack_group {
    int64_t blocks;
    int64_t bytes;
    int64_t info; /* of the smaller; +1: of the larger; +2, +3: the same once more */
};

struct heaptrack_site {
    struct heaptrack_group brief;  /* neither at the peak nor at the end */
    struct heaptrack_group both;   /* at the peak and at the end */
    struct heaptrack_group peak;   /* at the peak alone */
    struct heaptrack_group late;   /* at the end alone */
    int64_t temporaries;           /* of brief */
    bool is_temporary_at_peak;     /* the last allocation before the peak's end is one */
};

struct heaptrack {
    FILE *out;
    const struct profile *profile;
    struct intern_texts strings;
    struct intern_texts traces;
    uint32_t *ip_of; /* by location; 0: not yet */
    uint32_t ip_count;
    int64_t info_count;
    int64_t held; /* the info of a block that waits for its end; -1: none */
};

/* ---- strings, frames, traces ------------------------------------------------------ */

static int64_t put_string(struct heaptrack *track, const char *text)
{
    bool is_new;
    int64_t id = intern_texts_get(&track->strings, text, strlen(text), &is_new);
    if (is_new) {
        char *clean = NULL;
        size_t bytes = 0;
        FILE *memory = open_memstream(&clean, &bytes);
        if (memory != NULL) {
            line_text_put(memory, text, "", '?');
            fclose(memory);
        }
        fprintf(track->out, "s %zx %s\n", bytes, clean != NULL ? clean : "");
        free(clean);
    }
    return id;
}

static uint32_t put_location(struct heaptrack *track, uint32_t index)
{
    const struct profile *profile = track->profile;
    const struct profile_location *location = &profile->locations[index];
    if (track->ip_of[index] != 0) {
        return track->ip_of[index];
    }
    for (uint32_t i = 0; i < location->frame_count; i++) {
        const struct profile_function *function =
            &profile->functions[location->frames[i].function];
        put_string(track, function->name);
        put_string(track, function->file[0] != '\0' ? function->file : "??");
    }
    int64_t module = location->module != PROFILE_NONE
                         ? put_string(track, profile->modules[location->module].path)
                         : 0;
    fprintf(track->out, "i %" PRIx64 " %" PRIx64, location->offset + 1, (uint64_t)module);
    for (uint32_t i = 0; i < location->frame_count; i++) {
        const struct profile_frame *frame = &location->frames[i];
        const struct profile_function *function = &profile->functions[frame->function];
        fprintf(track->out, " %" PRIx64 " %" PRIx64 " %" PRIx64,
                (uint64_t)put_string(track, function->name),
                (uint64_t)put_string(track, function->file[0] != '\0' ? function->file : "??"),
                (uint64_t)frame->line);
    }
    fputc('\n', track->out);
    track->ip_of[index] = ++track->ip_count;
    return track->ip_count;
}

static int64_t put_trace(struct heaptrack *track, const struct profile_sample *sample)
{
    int64_t parent = 0;
    for (uint32_t i = sample->location_count; i > 0; i--) {
        int64_t key[2] = {parent, put_location(track, sample->locations[i - 1])};
        bool is_new;
        int64_t trace = intern_texts_get(&track->traces, key, sizeof(key), &is_new);
        if (is_new) {
            fprintf(track->out, "t %" PRIx64 " %" PRIx64 "\n", (uint64_t)key[1],
                    (uint64_t)parent);
        }
        parent = trace;
    }
    return parent;
}

static void put_info(struct heaptrack *track, struct heaptrack_group *group, int64_t trace)
{
    int64_t size = group->blocks > 0 ? group->bytes / group->blocks : 0;
    if (group->blocks <= 0) {
        return;
    }
    group->info = track->info_count;
    for (int64_t i = 0; i < 4; i++) {
        fprintf(track->out, "a %" PRIx64 " %" PRIx64 "\n", (uint64_t)(size + i % 2),
                (uint64_t)trace);
    }
    track->info_count += 4;
}

/* ---- events ----------------------------------------------------------------------- */

static int64_t group_info(const struct heaptrack_group *group, int64_t block)
{
    return group->info + (block < group->bytes % group->blocks ? 1 : 0);
}

static void put_event(struct heaptrack *track, char what, int64_t info)
{
    fprintf(track->out, "%c %" PRIx64 "\n", what, (uint64_t)info);
    if (what == '+' && track->held >= 0) {
        int64_t held = track->held;
        track->held = -1;
        fprintf(track->out, "- %" PRIx64 "\n", (uint64_t)held);
    }
}

static void put_events(struct heaptrack *track, char what, const struct heaptrack_group *group)
{
    for (int64_t i = 0; i < group->blocks; i++) {
        put_event(track, what, group_info(group, i));
    }
}

/* A block that is freed right after it came counts as temporary. */
static void put_temporaries(struct heaptrack *track, const struct heaptrack_site *site)
{
    for (int64_t i = 0; i < site->temporaries; i++) {
        int64_t info = group_info(&site->brief, i);
        fprintf(track->out, "+ %" PRIx64 "\n- %" PRIx64 "\n", (uint64_t)info, (uint64_t)info);
    }
}

/* Others wait for the next allocation. Blocks are known by their info alone: two take turns,
 * so that none seems to be freed right after it came. */
static void put_brief(struct heaptrack *track, const struct heaptrack_site *site)
{
    for (int64_t i = site->temporaries; i < site->brief.blocks; i++) {
        int64_t info = group_info(&site->brief, i) + (i % 2 != 0 ? 2 : 0);
        put_event(track, '+', info);
        track->held = info;
    }
}

/* ---- sites ------------------------------------------------------------------------ */

static int64_t at_least_zero(int64_t value)
{
    return value > 0 ? value : 0;
}

static struct heaptrack_site plan_site(const int64_t values[PROFILE_METRICS])
{
    struct heaptrack_site site = {0};
    struct heaptrack_group peak = {values[PROFILE_PEAK_BLOCKS], values[PROFILE_PEAK], 0};
    struct heaptrack_group live = {values[PROFILE_BLOCKS], values[PROFILE_LIVE], 0};
    bool peak_fits = peak.blocks < live.blocks && peak.bytes <= live.bytes;
    bool live_fits = live.blocks < peak.blocks && live.bytes <= peak.bytes;
    bool is_equal = live.blocks == peak.blocks && live.bytes == peak.bytes;
    if (peak_fits) {
        site.both = peak;
    } else if (live_fits || is_equal) {
        site.both = live;
    }
    site.peak = (struct heaptrack_group){peak.blocks - site.both.blocks,
                                         peak.bytes - site.both.bytes, 0};
    site.late = (struct heaptrack_group){live.blocks - site.both.blocks,
                                         live.bytes - site.both.bytes, 0};
    int64_t blocks = site.both.blocks + site.peak.blocks + site.late.blocks;
    int64_t bytes = site.both.bytes + site.peak.bytes + site.late.bytes;
    site.brief.blocks = at_least_zero(values[PROFILE_ALLOCATIONS] - blocks);
    site.brief.bytes = at_least_zero(values[PROFILE_ALLOCATED] - bytes);
    int64_t temporaries = values[PROFILE_TEMPORARY];
    site.temporaries = temporaries < site.brief.blocks ? temporaries : site.brief.blocks;
    site.is_temporary_at_peak = temporaries > site.brief.blocks && site.peak.blocks > 0;
    return site;
}

static void put_peak(struct heaptrack *track, const struct heaptrack_site *sites, size_t count)
{
    const struct heaptrack_site *last = NULL;
    for (size_t i = 0; i < count; i++) {
        last = sites[i].is_temporary_at_peak ? &sites[i] : last;
    }
    for (size_t i = 0; i < count; i++) {
        put_events(track, '+', &sites[i].both);
        if (&sites[i] != last) {
            put_events(track, '+', &sites[i].peak);
        }
    }
    if (last != NULL) {
        /* Its last block is freed at once, and so the first. */
        put_events(track, '+', &last->peak);
        for (int64_t i = last->peak.blocks; i > 0; i--) {
            put_event(track, '-', group_info(&last->peak, i - 1));
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (&sites[i] != last) {
            put_events(track, '-', &sites[i].peak);
        }
    }
    for (size_t i = 0; i < count; i++) {
        put_events(track, '+', &sites[i].late);
    }
}

/* Fewer blocks of the same bytes. */
static int64_t merge_blocks(struct heaptrack_group *group, double keep)
{
    int64_t before = group->blocks;
    int64_t kept = (int64_t)((double)before * keep);
    group->blocks = kept > 0 || before <= 0 ? kept : 1;
    return before - group->blocks;
}

/* Where a log would be too long: leaves short-lived blocks out, evenly, and merges others. */
static int64_t shorten(struct heaptrack_site *sites, size_t count)
{
    double brief = 1;
    double kept = 1;
    int64_t missing = 0;
    for (size_t i = 0; i < count; i++) {
        brief += (double)sites[i].brief.blocks;
        kept += (double)sites[i].both.blocks + (double)sites[i].peak.blocks
                + (double)sites[i].late.blocks;
    }
    double keep_brief = brief > HEAPTRACK_EVENTS_MAX ? HEAPTRACK_EVENTS_MAX / brief : 1;
    double keep = kept > HEAPTRACK_EVENTS_MAX ? HEAPTRACK_EVENTS_MAX / kept : 1;
    for (size_t i = 0; i < count && keep_brief < 1; i++) {
        struct heaptrack_site *site = &sites[i];
        int64_t blocks = (int64_t)((double)site->brief.blocks * keep_brief);
        missing += site->brief.blocks - blocks;
        site->brief.bytes = (int64_t)((double)site->brief.bytes * keep_brief);
        site->temporaries = (int64_t)((double)site->temporaries * keep_brief);
        site->brief.blocks = blocks;
    }
    for (size_t i = 0; i < count && keep < 1; i++) {
        missing += merge_blocks(&sites[i].both, keep);
        missing += merge_blocks(&sites[i].peak, keep);
        missing += merge_blocks(&sites[i].late, keep);
    }
    return missing;
}

static void put_head(struct heaptrack *track)
{
    fputs("v 10400 3\nX ", track->out);
    line_text_put(track->out, track->profile->command, "", '?');
    fprintf(track->out, "\nI 1000 0\n");
    put_string(track, track->profile->program);
}

int64_t render_heaptrack(FILE *out, const struct profile *profile)
{
    struct heaptrack track = {.out = out, .profile = profile, .held = -1};
    struct heaptrack_site *sites = calloc(profile->sample_count + 1, sizeof(*sites));
    int64_t left_out = 0;
    size_t count = 0;
    track.ip_of = calloc(profile->location_count + 1, sizeof(*track.ip_of));
    intern_texts_init(&track.strings);
    intern_texts_init(&track.traces);
    put_head(&track);
    for (size_t i = 0; sites != NULL && track.ip_of != NULL && i < profile->sample_count; i++) {
        if (profile->samples[i].thread != PROFILE_NONE) {
            continue;
        }
        sites[count++] = plan_site(profile->samples[i].values);
    }
    left_out = shorten(sites, count);
    for (size_t i = 0, next = 0; next < count; i++) {
        if (profile->samples[i].thread != PROFILE_NONE) {
            continue;
        }
        struct heaptrack_site *site = &sites[next++];
        int64_t trace = put_trace(&track, &profile->samples[i]);
        put_info(&track, &site->brief, trace);
        put_info(&track, &site->both, trace);
        put_info(&track, &site->peak, trace);
        put_info(&track, &site->late, trace);
    }
    fputs("c 0\n", out);
    for (size_t i = 0; i < count; i++) {
        put_temporaries(&track, &sites[i]);
    }
    for (size_t i = 0; i < count; i++) {
        put_brief(&track, &sites[i]);
    }
    fprintf(out, "c %" PRIx64 "\n", (uint64_t)(profile->peak_seconds * 1e3));
    put_peak(&track, sites, count);
    fprintf(out, "c %" PRIx64 "\n", (uint64_t)(profile->seconds * 1e3));
    intern_texts_deinit(&track.strings);
    intern_texts_deinit(&track.traces);
    free(track.ip_of);
    free(sites);
    return left_out;
}
