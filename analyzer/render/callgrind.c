/* Source: Valgrind's manual, "Callgrind Format Specification". */
#include "foundation/region.h"
#include "recording/intern.h"
#include "render/export.h"
#include "render/line_text.h"

#include <stdlib.h>
#include <string.h>

/* Cost of a line, or of the calls of one function from it. */
struct callgrind_cost {
    uint32_t function;
    uint32_t callee; /* PROFILE_NONE: the line's own cost */
    int64_t line;
    size_t seen_at; /* number of the last sample that was added */
    int64_t values[PROFILE_CHOICES];
};

struct callgrind {
    FILE *out;
    const struct profile *profile;
    struct intern_texts keys;
    struct callgrind_cost *costs;
    size_t count;
    size_t capacity;
    size_t sample; /* number of the one under way */
    enum profile_metric events[PROFILE_CHOICES];
    size_t event_count;
    bool *is_named; /* by function */
};

static void add_cost(struct callgrind *grind, const struct profile_frame *frame, uint32_t callee,
                     const struct profile_sample *sample)
{
    struct {
        int64_t line;
        uint32_t function;
        uint32_t callee;
    } key = {.line = frame->line, .function = frame->function, .callee = callee};
    bool is_new;
    size_t index = (size_t)intern_texts_get(&grind->keys, &key, sizeof(key), &is_new) - 1;
    if (is_new) {
        grind->costs =
            mt_grow(grind->costs, &grind->capacity, index + 1, sizeof(*grind->costs));
        grind->costs[index] = (struct callgrind_cost){
            .function = frame->function, .callee = callee, .line = frame->line};
        grind->count = index + 1;
    }
    struct callgrind_cost *cost = &grind->costs[index];
    if (cost->seen_at == grind->sample) {
        return; /* recursion: a sample counts once for a call */
    }
    cost->seen_at = grind->sample;
    for (size_t i = 0; i < PROFILE_CHOICES; i++) {
        cost->values[i] += sample->values[i];
    }
}

static void add_sample(struct callgrind *grind, const struct profile_sample *sample)
{
    const struct profile_frame *below = NULL;
    grind->sample++;
    for (uint32_t i = 0; i < sample->location_count; i++) {
        const struct profile_location *location =
            &grind->profile->locations[sample->locations[i]];
        for (uint32_t k = 0; k < location->frame_count; k++) {
            const struct profile_frame *frame = &location->frames[k];
            add_cost(grind, frame, below != NULL ? below->function : PROFILE_NONE, sample);
            below = frame;
        }
    }
}

static int compare_costs(const void *left, const void *right)
{
    const struct callgrind_cost *a = left;
    const struct callgrind_cost *b = right;
    if (a->function != b->function) {
        return a->function < b->function ? -1 : 1;
    }
    if (a->line != b->line) {
        return a->line < b->line ? -1 : 1;
    }
    /* The line's own cost first. */
    uint32_t x = a->callee + 1;
    uint32_t y = b->callee + 1;
    return (x > y) - (x < y);
}

static void put_name(struct callgrind *grind, const char *file_key, const char *name_key,
                     uint32_t index)
{
    const struct profile_function *function = &grind->profile->functions[index];
    fprintf(grind->out, "%s=", file_key);
    line_text_put(grind->out, function->file[0] != '\0' ? function->file : "???", "", '?');
    fprintf(grind->out, "\n%s=(%u)", name_key, index + 1);
    if (!grind->is_named[index]) {
        grind->is_named[index] = true;
        fputc(' ', grind->out);
        line_text_put(grind->out, function->name, "", '?');
    }
    fputc('\n', grind->out);
}

static void put_values(struct callgrind *grind, const int64_t *values)
{
    for (size_t i = 0; i < grind->event_count; i++) {
        fprintf(grind->out, " %lld", (long long)values[grind->events[i]]);
    }
    fputc('\n', grind->out);
}

static void put_cost(struct callgrind *grind, const struct callgrind_cost *cost)
{
    if (cost->callee != PROFILE_NONE) {
        int64_t calls = cost->values[PROFILE_ALLOCATIONS];
        put_name(grind, "cfi", "cfn", cost->callee);
        fprintf(grind->out, "calls=%lld %lld\n", (long long)(calls > 0 ? calls : 1),
                (long long)grind->profile->functions[cost->callee].line);
    }
    fprintf(grind->out, "%lld", (long long)cost->line);
    put_values(grind, cost->values);
}

static void put_head(struct callgrind *grind, enum profile_metric metric)
{
    const struct profile *profile = grind->profile;
    grind->events[grind->event_count++] = metric;
    for (int i = 0; i < PROFILE_CHOICES; i++) {
        if (i != (int)metric && profile->has_metric[i]) {
            grind->events[grind->event_count++] = (enum profile_metric)i;
        }
    }
    fputs("# callgrind format\nversion: 1\ncreator: memtrack\ncmd: ", grind->out);
    line_text_put(grind->out, profile->command, "", '?');
    fprintf(grind->out, "\npid: %lld\npositions: line\nevents:", (long long)profile->pid);
    for (size_t i = 0; i < grind->event_count; i++) {
        fprintf(grind->out, " %s", profile_metric_name(grind->events[i]));
    }
    fputs("\nsummary:", grind->out);
    put_values(grind, profile->totals);
}

void render_callgrind(FILE *out, const struct profile *profile, enum profile_metric metric)
{
    struct callgrind grind = {.out = out, .profile = profile};
    intern_texts_init(&grind.keys);
    grind.is_named = calloc(profile->function_count + 1, sizeof(*grind.is_named));
    for (size_t i = 0; i < profile->sample_count; i++) {
        add_sample(&grind, &profile->samples[i]);
    }
    put_head(&grind, metric);
    if (grind.count > 0) {
        qsort(grind.costs, grind.count, sizeof(*grind.costs), compare_costs);
    }
    for (size_t i = 0; grind.is_named != NULL && i < grind.count; i++) {
        if (i == 0 || grind.costs[i].function != grind.costs[i - 1].function) {
            fputc('\n', out);
            put_name(&grind, "fl", "fn", grind.costs[i].function);
        }
        put_cost(&grind, &grind.costs[i]);
    }
    fputs("\ntotals:", out);
    put_values(&grind, profile->totals);
    intern_texts_deinit(&grind.keys);
    free(grind.costs);
    free(grind.is_named);
}
