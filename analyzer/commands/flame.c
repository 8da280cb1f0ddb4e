#include "commands/flame.h"

#include "commands/command.h"
#include "commands/profiled.h"
#include "commands/view_options.h"
#include "render/flame.h"
#include "report/quantity.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define FLAME_MIN_PERCENT_DEFAULT 0.02

struct flame_arguments {
    struct view_options view;
    const char *title;
    struct flame_options options;
};

enum flame_key { FLAME_KEY_INVERTED = VIEW_KEY_OWN, FLAME_KEY_TITLE, FLAME_KEY_WIDTH };

static const struct argp_option flame_own_options[] = {
    {"inverted", FLAME_KEY_INVERTED, NULL, 0, "icicle: the root on top", 0},
    {"min-width", FLAME_KEY_WIDTH, "PERCENT", 0,
     "leave out narrower frames (default 0.02; 0: none)", 0},
    {"title", FLAME_KEY_TITLE, "TEXT", 0, "the headline", 0},
    {0},
};

static error_t parse_own(int key, char *value, const struct argp_state *state, void *context)
{
    struct flame_arguments *arguments = context;
    char *end;
    switch (key) {
    case FLAME_KEY_INVERTED:
        arguments->options.is_icicle = true;
        return 0;
    case FLAME_KEY_TITLE:
        arguments->title = value;
        return 0;
    case FLAME_KEY_WIDTH:
        arguments->options.min_percent = strtod(value, &end);
        return end != value && *end == '\0' && isfinite(arguments->options.min_percent)
                       && arguments->options.min_percent >= 0
                       && arguments->options.min_percent <= 100
                   ? 0
                   : arguments_fail(
                       state, "--min-width=%s: not a percentage, write for example 0.1", value);
    default:
        return 0;
    }
}

static const struct view_command flame_command = {
    .name = "flame",
    .operands = "FILE[@STATE]\nA B",
    .operands_min = 1,
    .operands_max = 2,
    .example = "FILE -o OUT.svg",
    .one_more = "one file too many, name one recording, or two to compare",
    .doc = "Draws a flame graph: one SVG file that needs nothing else.\v"
           "With two recordings, or two states of one, the picture shows what changed from A to "
           "B: red grew, blue shrank.\n\n"
           "In a browser: click or Enter zooms, Esc zooms out, arrows move, / searches by a "
           "regular expression.",
    .takes = {{.option = VIEW_OUTPUT, .value = "OUT.svg", .help = "the picture (default: stdout)"},
              {.option = VIEW_FORCE},
              {.option = VIEW_METRIC},
              {.option = VIEW_REVERSE,
               .help = "begin at the innermost function: who calls it, on top of it"},
              {.option = VIEW_BY_THREAD},
              {.option = VIEW_PROCESS},
              {.option = VIEW_ALL_PROCESSES}},
    .own = flame_own_options,
    .parse = parse_own,
};

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
    const struct view_options *view = &arguments->view;
    struct region *region = profiled->region;
    const struct profile *profile = profiled->profile;
    enum profile_metric metric = view->metric;
    const struct profile *baseline = before != NULL ? before->profile : NULL;
    const struct flame_request request = {
        .metric = metric, .is_reversed = view->is_reversed, .by_thread = view->by_thread};
    struct flame_options options = arguments->options;
    options.title = arguments->title != NULL
                        ? arguments->title
                        : region_format(region, "%s%s", metric_title(metric),
                                        baseline != NULL ? ": what changed" : "");
    options.subtitle =
        baseline == NULL ? region_format(region, "%s   %s", format_total(region, profile, metric),
                                         profile->command)
                         : region_format(region, "%s, before %s   red grew, blue shrank   %s",
                                         format_total(region, profile, metric),
                                         format_total(region, baseline, metric), profile->command);
    render_flame(out, flame_tree_make(region, profile, baseline, &request), &options);
}

static int open_one(const struct view_options *view, const char *file, struct profiled *profiled,
                    struct mt_error *error)
{
    const struct profiled_request request = {
        .file = file, .process = view->process, .all_processes = view->all_processes};
    int code = profiled_open(profiled, &request, error);
    return code == 0 ? profiled_need(profiled, view->metric, error) : code;
}

static int run(const struct flame_arguments *arguments, struct mt_error *error)
{
    const struct view_options *view = &arguments->view;
    struct profiled profiled = {0};
    struct profiled before = {0};
    struct output output;
    bool is_difference = view->file_count == 2;
    int code = open_one(view, view->files[view->file_count - 1], &profiled, error);
    if (code == 0 && is_difference) {
        code = open_one(view, view->files[0], &before, error);
    }
    if (code == 0) {
        profiled_tell_nameless(&profiled);
        code = output_create(&output, view->output, profiled.opened.model->selector.path,
                             view->overwrite, error);
    }
    if (code == 0) {
        draw(output.file, arguments, &profiled, is_difference ? &before : NULL);
        code = output_close(&output, error);
    }
    profiled_close(&before);
    profiled_close(&profiled);
    return code;
}

int command_flame(int argc, char **argv)
{
    struct flame_arguments arguments = {
        .view = {.metric = PROFILE_LIVE},
        .options = {.min_percent = FLAME_MIN_PERCENT_DEFAULT},
    };
    struct mt_error error = {0};
    int code = view_options_parse(&flame_command, argc, argv, &arguments.view, &arguments, &error);
    if (code == 0) {
        code = run(&arguments, &error);
    }
    view_options_deinit(&arguments.view);
    return code < 0 ? command_fail(&error) : MT_STATUS_OK;
}
