#include "commands/annotate.h"

#include "commands/command.h"
#include "commands/opened.h"
#include "commands/quantity.h"
#include "commands/view.h"
#include "render/listing.h"
#include "report/annotate_report.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ANNOTATE_FILES_DEFAULT 5u
#define ANNOTATE_CONTEXT_DEFAULT 2

enum annotate_format { ANNOTATE_TEXT, ANNOTATE_HTML, ANNOTATE_JSON };
static const char *const annotate_format_names[] = {"text", "html", "json", NULL};

struct annotate_arguments {
    struct view_options view; /* its files: the recording, then sources */
    struct annotate_report_options options;
};

enum annotate_key { ANNOTATE_KEY_CONTEXT = VIEW_KEY_OWN, ANNOTATE_KEY_LINES };

static const struct argp_option annotate_own_options[] = {
    {"context", ANNOTATE_KEY_CONTEXT, "N", 0, "lines shown around each (default 2)", 0},
    {"all-lines", ANNOTATE_KEY_LINES, NULL, 0, "whole files", 0},
    {0},
};

static error_t parse_own(int key, char *value, const struct argp_state *state, void *context)
{
    struct annotate_arguments *arguments = context;
    struct mt_error error = {0};
    uint64_t number = 0;
    switch (key) {
    case ANNOTATE_KEY_CONTEXT:
        if (quantity_parse_number("--context", value, 0, 1000000, &number, &error) != 0) {
            return arguments_fail(state, "%s", error.text);
        }
        arguments->options.context_lines = (int64_t)number;
        return 0;
    case ANNOTATE_KEY_LINES:
        arguments->options.all_lines = true;
        return 0;
    default:
        return 0;
    }
}

static const struct view_command annotate_command = {
    .name = "annotate",
    .operands = "FILE[@STATE] [SOURCE...]",
    .operands_min = 1,
    .operands_max = VIEW_FILES_MAX,
    .example = "FILE [SOURCE...]",
    .one_more = "one source too many, name fewer",
    .doc = "Shows source lines with their allocations, bytes, live bytes, share of the peak, "
           "temporaries and CPU time beside them; the hottest files first.\v"
           "SOURCE is a path or its end, such as cache.c or src/cache.c. A block counts for the "
           "line in the program that caused it; inlined code counts for its own line. CPU self is "
           "time in the line itself, CPU total in it or in what it calls.",
    .takes = {{.option = VIEW_FORMAT, .words = annotate_format_names},
              {.option = VIEW_OUTPUT},
              {.option = VIEW_FORCE},
              {.option = VIEW_TOP, .help = "the N hottest files, 0 for all"},
              {.option = VIEW_PROCESS},
              {.option = VIEW_ALL_PROCESSES},
              {.option = VIEW_LOOK}},
    .own = annotate_own_options,
    .parse = parse_own,
};

/* ---- the command --------------------------------------------------------------- */

static int check_sources(const struct annotate_arguments *arguments, const struct annotate *result,
                         struct mt_error *error)
{
    const char *path = result->model->selector.path;
    if (result->file_count == 0) {
        return mt_error_set(error, -ENODATA, MT_STATUS_DATA,
                            "%s: no source lines are known: build the program with -g (or install "
                            "its debug symbols) and record again",
                            path);
    }
    for (size_t i = 0; i < arguments->options.source_count; i++) {
        struct annotate_report_options one = {.sources = &arguments->options.sources[i],
                                              .source_count = 1};
        bool is_known = false;
        for (size_t k = 0; k < result->file_count && !is_known; k++) {
            is_known = annotate_report_is_wanted(&result->files[k], &one);
        }
        if (!is_known) {
            return mt_error_set(error, -ENOENT, MT_STATUS_NO_INPUT,
                                "%s: nothing was recorded in a source of this name; the hottest "
                                "is %s",
                                arguments->options.sources[i], result->files[0].path);
        }
    }
    return 0;
}

static void print(FILE *out, const struct annotate_arguments *arguments, struct region *region,
                  const struct annotate *result, const struct render_options *look)
{
    if (arguments->view.format == ANNOTATE_JSON) {
        struct render_json *json = region_alloc(region, sizeof(*json));
        render_json_init(json, out);
        annotate_report_write(&json->tree, result, &arguments->options);
        render_json_finish(json);
        return;
    }
    const struct listing *listing = annotate_report_make(region, result, &arguments->options);
    if (arguments->view.format == ANNOTATE_HTML) {
        render_listing_html(out, listing);
    } else {
        render_listing_text(out, listing, look);
    }
}

static int write_out(const struct annotate_arguments *arguments, struct region *region,
                     const struct annotate *result, struct mt_error *error)
{
    const struct view_options *options = &arguments->view;
    struct view view;
    int code = view_open(&view, options, options->format == ANNOTATE_TEXT, options->overwrite,
                         result->model->selector.path, error);
    if (code != 0) {
        return code;
    }
    view.look.is_wide |= isatty(fileno(view.output.file)) != 1; /* files have no right edge */
    print(view.file, arguments, region, result, &view.look);
    return view_close(&view, error);
}

static int run(const struct annotate_arguments *arguments, struct mt_error *error)
{
    const struct view_options *options = &arguments->view;
    struct region *region = region_new();
    struct opened opened;
    int code = opened_open_whole(&opened, options->files[0], options->process, error);
    if (code == 0) {
        const struct annotate *result =
            annotate_make(region, opened.model, options->all_processes ? NULL : opened.process);
        code = check_sources(arguments, result, error);
        if (code == 0) {
            code = write_out(arguments, region, result, error);
        }
    }
    opened_close(&opened);
    region_free(region);
    return code;
}

int command_annotate(int argc, char **argv)
{
    struct annotate_arguments arguments = {
        .view = {.top = ANNOTATE_FILES_DEFAULT},
        .options = {.context_lines = ANNOTATE_CONTEXT_DEFAULT},
    };
    struct mt_error error = {0};
    int code =
        view_options_parse(&annotate_command, argc, argv, &arguments.view, &arguments, &error);
    if (code == 0) {
        arguments.options.files_max = arguments.view.top;
        arguments.options.sources = arguments.view.files + 1;
        arguments.options.source_count = arguments.view.file_count - 1;
        code = run(&arguments, &error);
    }
    view_options_deinit(&arguments.view);
    return code < 0 ? command_fail(&error) : MT_STATUS_OK;
}
