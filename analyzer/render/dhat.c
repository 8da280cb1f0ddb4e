/* Source: Valgrind's dhat/dh_main.c, the comment on the file format (version 2), and
 * dh_view.js, which reads it. Frames are innermost first. */
#include "render/export.h"
#include "render/render.h"

#include <stdio.h>
#include <stdlib.h>

#define DHAT_FRAME_BYTES 8192u

struct dhat {
    struct report_tree *tree;
    const struct profile *profile;
    uint32_t *first; /* by location: index in ftbl of its first frame */
};

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void put_point(struct dhat *dhat, const struct profile_sample *sample)
{
    const int64_t *values = sample->values;
    struct report_tree *tree = dhat->tree;
    tree_object(tree, NULL);
    tree_integer(tree, "tb", values[PROFILE_ALLOCATED]);
    tree_integer(tree, "tbk", values[PROFILE_ALLOCATIONS]);
    tree_integer(tree, "tl", values[PROFILE_LIFETIMES]);
    /* A site's own maximum is at least what it held at these two moments. */
    tree_integer(tree, "mb", larger(values[PROFILE_PEAK], values[PROFILE_LIVE]));
    tree_integer(tree, "mbk", larger(values[PROFILE_PEAK_BLOCKS], values[PROFILE_BLOCKS]));
    tree_integer(tree, "gb", values[PROFILE_PEAK]);
    tree_integer(tree, "gbk", values[PROFILE_PEAK_BLOCKS]);
    tree_integer(tree, "eb", values[PROFILE_LIVE]);
    tree_integer(tree, "ebk", values[PROFILE_BLOCKS]);
    tree_array(tree, "fs");
    for (uint32_t i = 0; i < sample->location_count; i++) {
        uint32_t location = sample->locations[i];
        for (uint32_t k = 0; k < dhat->profile->locations[location].frame_count; k++) {
            tree_integer(tree, NULL, dhat->first[location] + k);
        }
    }
    tree_end(tree);
    tree_end(tree);
}

static void put_frames(struct dhat *dhat)
{
    const struct profile *profile = dhat->profile;
    char text[DHAT_FRAME_BYTES];
    tree_array(dhat->tree, "ftbl");
    tree_text(dhat->tree, NULL, "[root]");
    for (size_t i = 0; i < profile->location_count; i++) {
        const struct profile_location *location = &profile->locations[i];
        for (uint32_t k = 0; k < location->frame_count; k++) {
            const struct profile_frame *frame = &location->frames[k];
            const struct profile_function *function = &profile->functions[frame->function];
            const char *module = location->module != PROFILE_NONE
                                     ? profile->modules[location->module].path
                                     : "???";
            if (function->file[0] != '\0') {
                snprintf(text, sizeof(text), "0x%llX: %.4000s (%.4000s:%lld)",
                         (unsigned long long)location->offset, function->name, function->file,
                         (long long)frame->line);
            } else {
                snprintf(text, sizeof(text), "0x%llX: %.4000s (in %.4000s)",
                         (unsigned long long)location->offset, function->name, module);
            }
            tree_text(dhat->tree, NULL, text);
        }
    }
    tree_end(dhat->tree);
}

static void put_head(struct dhat *dhat)
{
    struct report_tree *tree = dhat->tree;
    const struct profile *profile = dhat->profile;
    tree_integer(tree, "dhatFileVersion", 2);
    tree_text(tree, "mode", "heap");
    tree_text(tree, "verb", "Allocated");
    tree_boolean(tree, "bklt", true);
    tree_boolean(tree, "bkacc", false);
    tree_text(tree, "tu", "us");
    tree_text(tree, "Mtu", "s");
    tree_integer(tree, "tuth", 10000); /* shorter than this is "short-lived": a tick */
    tree_text(tree, "cmd", profile->command);
    tree_integer(tree, "pid", profile->pid);
    tree_integer(tree, "tg", (int64_t)(profile->peak_seconds * 1e6));
    tree_integer(tree, "te", (int64_t)(profile->seconds * 1e6));
}

void render_dhat(FILE *out, const struct profile *profile, enum profile_metric metric)
{
    struct render_json *json = malloc(sizeof(*json));
    uint32_t *first = calloc(profile->location_count + 1, sizeof(*first));
    (void)metric; /* the viewer has all and lets one choose */
    if (json != NULL && first != NULL) {
        uint32_t next = 1;
        for (size_t i = 0; i < profile->location_count; i++) {
            first[i] = next;
            next += profile->locations[i].frame_count;
        }
        render_json_init(json, out);
        struct dhat dhat = {.tree = &json->tree, .profile = profile, .first = first};
        tree_object(dhat.tree, NULL);
        put_head(&dhat);
        tree_array(dhat.tree, "pps");
        for (size_t i = 0; i < profile->sample_count; i++) {
            const struct profile_sample *sample = &profile->samples[i];
            if (sample->thread == PROFILE_NONE) {
                put_point(&dhat, sample);
            }
        }
        tree_end(dhat.tree);
        put_frames(&dhat);
        tree_end(dhat.tree);
        render_json_finish(json);
    }
    free(first);
    free(json);
}
