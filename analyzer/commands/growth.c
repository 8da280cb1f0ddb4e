#include "commands/growth.h"

#include "commands/command.h"
#include "commands/opened.h"
#include "commands/quantity.h"
#include "commands/view.h"
#include "report/growth_report.h"

#include <string.h>

#define GROWTH_TOP_DEFAULT 10u
#define GROWTH_FRAMES_SHOWN 8u

enum growth_key { GROWTH_KEY_WARMUP = VIEW_KEY_OWN };

static const struct argp_option growth_own_options[] = {
    {"warmup", GROWTH_KEY_WARMUP, "TIME|label:NAME", 0,
     "leave out what is before TIME, or before the last snapshot labelled NAME (default: found "
     "automatically, within the first tenth)",
     0},
    {0},
};

static error_t parse_own(int key, char *value, const struct argp_state *state, void *context)
{
    struct growth_options *options = context;
    struct mt_error error = {0};
    uint64_t number = 0;
    if (key != GROWTH_KEY_WARMUP) {
        return 0;
    }
    if (strncmp(value, "label:", 6) == 0 && value[6] != '\0') {
        options->warmup_label = value + 6;
        return 0;
    }
    if (quantity_parse_time("--warmup", value, &number, &error) != 0) {
        return arguments_fail(state, "%s", error.text);
    }
    options->has_warmup = true;
    options->warmup_ns = number > INT64_MAX ? INT64_MAX : (int64_t)number;
    return 0;
}

static const struct view_command growth_command = {
    .name = "growth",
    .operands = "FILE[@STATE]",
    .operands_min = 1,
    .operands_max = 1,
    .doc = "Tells which sites keep growing, over all snapshots of a recording.\v"
           "Verdicts: leak (grows, and most of its blocks were found unreachable), growing, "
           "freed-at-exit, bounded (grew, then stopped), warm-up (grew before the warm-up's end "
           "only), steady. The rate is the Theil-Sen slope with its 95 % interval; the trend is a "
           "Mann-Kendall test, adjusted for the number of sites. STATE ends the analysis at that "
           "snapshot.",
    .takes = {{.option = VIEW_TOP},
              {.option = VIEW_PROCESS},
              {.option = VIEW_FORMAT},
              {.option = VIEW_OUTPUT},
              {.option = VIEW_LOOK}},
    .own = growth_own_options,
    .parse = parse_own,
};

struct growth_shown {
    const struct growth *growth;
    struct growth_report_options how;
};

static void write_json(struct report_tree *tree, const void *context)
{
    growth_report_write(tree, ((const struct growth_shown *)context)->growth);
}

static struct report_document *make_table(const void *context)
{
    return growth_report_make_table(((const struct growth_shown *)context)->growth);
}

static struct report_document *make_document(const void *context)
{
    const struct growth_shown *shown = context;
    return growth_report_make(shown->growth, &shown->how);
}

static int run(const struct view_options *options, const struct growth_options *request,
               struct mt_error *error)
{
    struct region *region = region_new();
    struct opened opened;
    struct growth_shown shown = {
        .how = {.top = options->top > 0 ? options->top : SIZE_MAX,
                .frames_max = options->is_wide ? 0 : GROWTH_FRAMES_SHOWN}};
    struct view_result result = {
        .write = write_json, .make_table = make_table, .make = make_document, .context = &shown};
    int code = opened_open(&opened, options->files[0], options->process, error);
    if (code == 0) {
        opened_tell_choice(&opened);
        code = growth_make(region, opened.model, opened.process, request, &shown.growth, error);
    }
    if (code == 0) {
        code = view_show(options, &result, opened.model->selector.path, error);
    }
    opened_close(&opened);
    region_free(region);
    return code;
}

int command_growth(int argc, char **argv)
{
    struct growth_options request = {0};
    struct view_options options = {.top = GROWTH_TOP_DEFAULT};
    struct mt_error error = {0};
    int code = view_options_parse(&growth_command, argc, argv, &options, &request, &error);
    if (code == 0) {
        code = run(&options, &request, &error);
    }
    view_options_deinit(&options);
    return code < 0 ? command_fail(&error) : MT_STATUS_OK;
}
