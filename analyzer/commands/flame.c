#include "commands/flame.h"

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/output.h"
#include "commands/profiled.h"
#include "render/flame.h"
#include "report/quantity.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLAME_MIN_PERCENT_DEFAULT 0.02

struct flame_arguments {
    struct profiled_request request;
    const char *before; /* A of "A B"; NULL: one recording */
    const char *output;
    const char *title;
    struct flame_request tree;
    struct flame_options options;
    bool overwrite;
};

enum flame_key {
    FLAME_KEY_METRIC = 256,
    FLAME_KEY_PROCESS,
    FLAME_KEY_ALL,
    FLAME_KEY_INVERTED,
    FLAME_KEY_REVERSE,
    FLAME_KEY_THREAD,
    FLAME_KEY_TITLE,
    FLAME_KEY_WIDTH
};

static const struct argp_option flame_option_table[] = {
    {"output", 'o', "OUT.svg", 0, "the picture (default: stdout)", 0},
    {"force", 'f', NULL, 0, "overwrite OUT.svg if it exists", 0},
    {"metric", FLAME_KEY_METRIC, "METRIC", 0,
     "allocated, allocations, live, blocks, peak, temporary, leaked or cpu (default live)", 0},
    {"inverted", FLAME_KEY_INVERTED, NULL, 0, "icicle: the root on top", 0},
    {"reverse", FLAME_KEY_REVERSE, NULL, 0,
     "begin at the innermost function: who calls it, on top of it", 0},
    {"by-thread", FLAME_KEY_THREAD, NULL, 0, "cpu: each thread by itself", 0},
    {"process", FLAME_KEY_PROCESS, "PID|#INDEX", 0,
     "one process, as the report lists them (default: the first)", 0},
    {"all-processes", FLAME_KEY_ALL, NULL, 0, "all processes of the run, merged", 0},
    {"min-width", FLAME_KEY_WIDTH, "PERCENT", 0,
     "leave out narrower frames (default 0.02; 0: none)", 0},
    {"title", FLAME_KEY_TITLE, "TEXT", 0, "the headline", 0},
    {0},
};

static error_t parse_metric(struct argp_state *state, const char *value,
                            struct flame_arguments *arguments)
{
    arguments->tree.metric = profile_metric_find(value);
    return arguments->tree.metric != PROFILE_METRICS
               ? 0
               : arguments_fail(state,
                                "--metric=%s: unknown, choose allocated, allocations, live, "
                                "blocks, peak, temporary, leaked or cpu",
                                value);
}

static error_t parse_width(struct argp_state *state, const char *value,
                           struct flame_arguments *arguments)
{
    char *end;
    double percent = strtod(value, &end);
    if (end == value || *end != '\0' || !isfinite(percent) || percent < 0 || percent > 100) {
        return arguments_fail(state, "--min-width=%s: not a percentage, write for example 0.1",
                              value);
    }
    arguments->options.min_percent = percent;
    return 0;
}

static error_t parse_file(struct argp_state *state, const char *value,
                          struct flame_arguments *arguments)
{
    if (arguments->before != NULL) {
        return arguments_fail(state, "flame: \"%s\" is one file too many, name one recording, or "
                                     "two to compare",
                              value);
    }
    arguments->before = arguments->request.file;
    arguments->request.file = value;
    return 0;
}

static error_t parse_end(struct argp_state *state, const struct flame_arguments *arguments)
{
    if (arguments->request.file == NULL) {
        return arguments_fail(
            state, "flame: no recording was named, write `memtrack flame FILE -o OUT.svg`");
    }
    if (arguments->tree.by_thread && arguments->tree.metric != PROFILE_CPU) {
        return arguments_fail(state, "--by-thread: memory is counted by site, not by thread; use "
                                     "it with --metric cpu");
    }
    return 0;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct flame_arguments *arguments = state->input;
    switch (key) {
    case FLAME_KEY_METRIC:
        return parse_metric(state, value, arguments);
    case FLAME_KEY_WIDTH:
        return parse_width(state, value, arguments);
    case FLAME_KEY_PROCESS:
        arguments->request.process = value;
        return 0;
    case FLAME_KEY_ALL:
        arguments->request.all_processes = true;
        return 0;
    case FLAME_KEY_INVERTED:
        arguments->options.is_icicle = true;
        return 0;
    case FLAME_KEY_REVERSE:
        arguments->tree.is_reversed = true;
        return 0;
    case FLAME_KEY_THREAD:
        arguments->tree.by_thread = true;
        return 0;
    case FLAME_KEY_TITLE:
        arguments->title = value;
        return 0;
    case 'o':
        arguments->output = value;
        return 0;
    case 'f':
        arguments->overwrite = true;
        return 0;
    case ARGP_KEY_ARG:
        return parse_file(state, value, arguments);
    case ARGP_KEY_END:
        return parse_end(state, arguments);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the picture ------------------------------------------------------------- */

static const char *metric_title(enum profile_metric metric)
{
    static const char *const titles[PROFILE_CHOICES] = {
        [PROFILE_ALLOCATED] = "Allocated bytes", [PROFILE_ALLOCATIONS] = "Allocations",
        [PROFILE_LIVE] = "Live bytes",           [PROFILE_BLOCKS] = "Live blocks",
        [PROFILE_PEAK] = "Bytes at the peak",    [PROFILE_TEMPORARY] = "Temporary allocations",
        [PROFILE_LEAKED] = "Leaked bytes",       [PROFILE_CPU] = "CPU time",
    };
    return titles[metric];
}

static const char *format_total(struct region *region, const struct profile *profile,
                                enum profile_metric metric)
{
    int64_t total = profile->totals[metric];
    if (profile_metric_is_bytes(metric)) {
        return region_copy_text(region, quantity_bytes(total).text);
    }
    if (metric == PROFILE_CPU) {
        double hz = profile->cpu_hz > 0 ? (double)profile->cpu_hz : 1;
        return region_format(region, "%s, %s samples", quantity_seconds((double)total / hz).text,
                             quantity_count(total).text);
    }
    return region_format(region, "%s %s", quantity_count(total).text, profile_metric_unit(metric));
}

static void draw(FILE *out, const struct flame_arguments *arguments,
                 const struct profiled *profiled, const struct profiled *before)
{
    struct region *region = profiled->region;
    const struct profile *profile = profiled->profile;
    enum profile_metric metric = arguments->tree.metric;
    const struct profile *baseline = before != NULL ? before->profile : NULL;
    struct flame_options options = arguments->options;
    options.title = arguments->title != NULL
                        ? arguments->title
                        : region_format(region, "%s%s", metric_title(metric),
                                        baseline != NULL ? ": what changed" : "");
    options.subtitle =
        baseline == NULL
            ? region_format(region, "%s   %s", format_total(region, profile, metric),
                            profile->command)
            : region_format(region, "%s, before %s   red grew, blue shrank   %s",
                            format_total(region, profile, metric),
                            format_total(region, baseline, metric), profile->command);
    render_flame(out, flame_tree_make(region, profile, baseline, &arguments->tree), &options);
}

/* Loads A, if there is one, and B, and checks that they have the metric. */
static int load(const struct flame_arguments *arguments, struct profiled *profiled,
                struct profiled *before, struct mt_error *error)
{
    int code = profiled_open(profiled, &arguments->request, error);
    if (code == 0) {
        code = profiled_need(profiled, arguments->tree.metric, error);
    }
    if (code == 0 && arguments->before != NULL) {
        struct profiled_request request = arguments->request;
        request.file = arguments->before;
        code = profiled_open(before, &request, error);
        if (code == 0) {
            code = profiled_need(before, arguments->tree.metric, error);
        }
    }
    return code;
}

int command_flame(int argc, char **argv)
{
    static const struct argp parser = {
        .options = flame_option_table,
        .parser = parse_option,
        .args_doc = "FILE[@STATE]\nA B",
        .doc = "Draws a flame graph: one SVG file that needs nothing else.\v"
               "With two recordings, or two states of one, the picture shows what changed from A "
               "to B: red grew, blue shrank.\n\n"
               "In a browser: click or Enter zooms, Esc zooms out, arrows move, / searches by a "
               "regular expression.",
    };
    struct flame_arguments arguments = {
        .tree = {.metric = PROFILE_LIVE},
        .options = {.min_percent = FLAME_MIN_PERCENT_DEFAULT},
    };
    struct mt_error error = {0};
    int code = arguments_parse(&parser, argc, argv, &arguments, &error);
    if (code != 0) {
        return code > 0 ? MT_STATUS_OK : command_fail(&error);
    }
    struct profiled profiled = {0};
    struct profiled before = {0};
    code = load(&arguments, &profiled, &before, &error);
    if (code == 0) {
        struct output output;
        profiled_tell_nameless(&profiled);
        code = output_create(&output, arguments.output, profiled.opened.model->selector.path,
                             arguments.overwrite, &error);
        if (code == 0) {
            draw(output.file, &arguments, &profiled, arguments.before != NULL ? &before : NULL);
            code = output_close(&output, &error);
        }
    }
    profiled_close(&before);
    profiled_close(&profiled);
    return code != 0 ? command_fail(&error) : MT_STATUS_OK;
}
