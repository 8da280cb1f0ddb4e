/* Source: speedscope's wiki, "Importing from custom sources", and file-format-spec.ts in the
 * npm package speedscope (SampledProfile: stacks outermost first). */
#include "render/export.h"
#include "render/render.h"

#include <stdlib.h>

struct speedscope {
    struct report_tree *tree;
    const struct profile *profile;
};

static void put_frames(struct speedscope *scope)
{
    const struct profile *profile = scope->profile;
    tree_object(scope->tree, "shared");
    tree_array(scope->tree, "frames");
    for (size_t i = 0; i < profile->function_count; i++) {
        const struct profile_function *function = &profile->functions[i];
        tree_object(scope->tree, NULL);
        tree_text(scope->tree, "name", function->name);
        if (function->file[0] != '\0') {
            tree_text(scope->tree, "file", function->file);
        }
        if (function->line > 0) {
            tree_integer(scope->tree, "line", function->line);
        }
        tree_end(scope->tree);
    }
    tree_end(scope->tree);
    tree_end(scope->tree);
}

static void put_stack(struct speedscope *scope, const struct profile_sample *sample)
{
    tree_array(scope->tree, NULL);
    for (uint32_t i = sample->location_count; i > 0; i--) {
        const struct profile_location *location =
            &scope->profile->locations[sample->locations[i - 1]];
        for (uint32_t k = location->frame_count; k > 0; k--) {
            tree_integer(scope->tree, NULL, location->frames[k - 1].function);
        }
    }
    tree_end(scope->tree);
}

static bool is_shown(const struct profile_sample *sample, enum profile_metric metric,
                     uint32_t thread)
{
    return sample->values[metric] > 0 && (thread == PROFILE_NONE || sample->thread == thread);
}

static int64_t put_weights(struct speedscope *scope, enum profile_metric metric, uint32_t thread)
{
    const struct profile *profile = scope->profile;
    int64_t total = 0;
    tree_array(scope->tree, "weights");
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct profile_sample *sample = &profile->samples[i];
        if (!is_shown(sample, metric, thread)) {
            continue;
        }
        total += sample->values[metric];
        if (metric == PROFILE_CPU && profile->cpu_hz > 0) {
            tree_number(scope->tree, NULL,
                        (double)sample->values[metric] / (double)profile->cpu_hz);
        } else {
            tree_integer(scope->tree, NULL, sample->values[metric]);
        }
    }
    tree_end(scope->tree);
    return total;
}

/* thread PROFILE_NONE: all. */
static void put_profile(struct speedscope *scope, enum profile_metric metric, uint32_t thread,
                        const char *name)
{
    const struct profile *profile = scope->profile;
    bool is_seconds = metric == PROFILE_CPU && profile->cpu_hz > 0;
    tree_object(scope->tree, NULL);
    tree_text(scope->tree, "type", "sampled");
    tree_text(scope->tree, "name", name);
    tree_text(scope->tree, "unit",
              is_seconds                        ? "seconds"
              : profile_metric_is_bytes(metric) ? "bytes"
                                                : "none");
    int64_t total = put_weights(scope, metric, thread);
    tree_integer(scope->tree, "startValue", 0);
    tree_number(scope->tree, "endValue",
                is_seconds ? (double)total / (double)profile->cpu_hz : (double)total);
    tree_array(scope->tree, "samples");
    for (size_t i = 0; i < profile->sample_count; i++) {
        if (is_shown(&profile->samples[i], metric, thread)) {
            put_stack(scope, &profile->samples[i]);
        }
    }
    tree_end(scope->tree);
    tree_end(scope->tree);
}

static void put_threads(struct speedscope *scope)
{
    const struct profile *profile = scope->profile;
    char name[128];
    for (size_t t = 0; profile->thread_count > 2 && t < profile->thread_count; t++) {
        bool is_used = false;
        for (size_t i = 0; i < profile->sample_count && !is_used; i++) {
            is_used = is_shown(&profile->samples[i], PROFILE_CPU, (uint32_t)t)
                      && profile->samples[i].thread == t;
        }
        if (is_used) {
            snprintf(name, sizeof(name), "cpu, thread %lld %.80s",
                     (long long)profile->threads[t].tid, profile->threads[t].name);
            put_profile(scope, PROFILE_CPU, (uint32_t)t, name);
        }
    }
}

void render_speedscope(FILE *out, const struct profile *profile, enum profile_metric metric)
{
    struct render_json *json = malloc(sizeof(*json));
    if (json == NULL) {
        return;
    }
    render_json_init(json, out);
    struct speedscope scope = {.tree = &json->tree, .profile = profile};
    int64_t active = 0;
    int64_t shown = 0;
    tree_object(scope.tree, NULL);
    tree_text(scope.tree, "$schema", "https://www.speedscope.app/file-format-schema.json");
    tree_text(scope.tree, "exporter", "memtrack " MEMTRACK_VERSION);
    tree_text(scope.tree, "name", profile->command);
    put_frames(&scope);
    tree_array(scope.tree, "profiles");
    for (int i = 0; i < PROFILE_CHOICES; i++) {
        if (!profile->has_metric[i]) {
            continue;
        }
        active = i == (int)metric ? shown : active;
        shown++;
        put_profile(&scope, (enum profile_metric)i, PROFILE_NONE,
                    profile_metric_name((enum profile_metric)i));
    }
    put_threads(&scope);
    tree_end(scope.tree);
    tree_integer(scope.tree, "activeProfileIndex", active);
    tree_end(scope.tree);
    render_json_finish(json);
    free(json);
}
