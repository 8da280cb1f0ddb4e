#include "commands/timeline.h"

#include "commands/command.h"
#include "commands/opened.h"
#include "commands/view.h"
#include "report/timeline_report.h"

static const struct view_command timeline_command = {
    .name = "timeline",
    .operands = "FILE",
    .operands_min = 1,
    .operands_max = 1,
    .doc = "Draws a process's timeline: live bytes, resident bytes, allocations per second.\v"
           "With --format csv or json: all points, each with the true minimum and maximum of its "
           "interval, CPU seconds, and the allocator's own figures where it tells them.",
    .takes = {{.option = VIEW_PROCESS},
              {.option = VIEW_FORMAT},
              {.option = VIEW_OUTPUT},
              {.option = VIEW_LOOK}},
};

static void write_json(struct report_tree *tree, const void *context)
{
    timeline_report_write(tree, ((const struct opened *)context)->process);
}

static struct report_document *make_table(const void *context)
{
    return timeline_report_make_table(((const struct opened *)context)->process);
}

static struct report_document *make_document(const void *context)
{
    const struct opened *opened = context;
    return timeline_report_make(opened->model, opened->process);
}

static int run(const struct view_options *options, struct mt_error *error)
{
    struct opened opened;
    struct view_result result = {
        .write = write_json, .make_table = make_table, .make = make_document, .context = &opened};
    int code = opened_open(&opened, options->files[0], options->process, error);
    if (code == 0) {
        opened_tell_choice(&opened);
        code = view_show(options, &result, opened.model->selector.path, error);
    }
    opened_close(&opened);
    return code;
}

int command_timeline(int argc, char **argv)
{
    struct view_options options = {0};
    struct mt_error error = {0};
    int code = view_options_parse(&timeline_command, argc, argv, &options, NULL, &error);
    if (code == 0) {
        code = run(&options, &error);
    }
    view_options_deinit(&options);
    return code < 0 ? command_fail(&error) : MT_STATUS_OK;
}
