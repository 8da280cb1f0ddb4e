#include "commands/annotate.h"

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/opened.h"
#include "commands/output.h"
#include "commands/pager.h"
#include "commands/quantity.h"
#include "render/listing.h"
#include "report/annotate_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANNOTATE_FILES_DEFAULT 5u
#define ANNOTATE_CONTEXT_DEFAULT 2
#define ANNOTATE_SOURCES_MAX 256u

enum annotate_format { ANNOTATE_TEXT, ANNOTATE_HTML, ANNOTATE_JSON };

struct annotate_arguments {
    const char *file;
    const char *output;
    const char *process;
    const char *sources[ANNOTATE_SOURCES_MAX];
    struct annotate_report_options options;
    enum annotate_format format;
    enum output_color color;
    bool all_processes;
    bool is_wide;
    bool overwrite;
};

enum annotate_key {
    ANNOTATE_KEY_FORMAT = 256,
    ANNOTATE_KEY_TOP,
    ANNOTATE_KEY_CONTEXT,
    ANNOTATE_KEY_LINES,
    ANNOTATE_KEY_PROCESS,
    ANNOTATE_KEY_ALL,
    ANNOTATE_KEY_WIDE,
    ANNOTATE_KEY_COLOR
};

static const struct argp_option annotate_option_table[] = {
    {"format", ANNOTATE_KEY_FORMAT, "FORMAT", 0, "text, html or json (default text)", 0},
    {"output", 'o', "OUT", 0, "write to OUT instead of stdout", 0},
    {"force", 'f', NULL, 0, "overwrite OUT if it exists", 0},
    {"top", ANNOTATE_KEY_TOP, "N", 0, "the N hottest files, 0 for all (default 5)", 0},
    {"context", ANNOTATE_KEY_CONTEXT, "N", 0, "lines shown around each (default 2)", 0},
    {"all-lines", ANNOTATE_KEY_LINES, NULL, 0, "whole files", 0},
    {"process", ANNOTATE_KEY_PROCESS, "PID|#INDEX", 0,
     "one process, as the report lists them (default: the first)", 0},
    {"all-processes", ANNOTATE_KEY_ALL, NULL, 0, "all processes of the run, added up", 0},
    {"wide", ANNOTATE_KEY_WIDE, NULL, 0, "never cut source lines", 0},
    {"color", ANNOTATE_KEY_COLOR, "WHEN", 0, "auto, always or never (default auto)", 0},
    {0},
};

static error_t parse_format(struct argp_state *state, const char *value,
                            enum annotate_format *format)
{
    static const char *const names[] = {"text", "html", "json"};
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(value, names[i]) == 0) {
            *format = (enum annotate_format)i;
            return 0;
        }
    }
    return arguments_fail(state, "--format=%s: unknown, choose text, html or json", value);
}

static error_t parse_color(struct argp_state *state, const char *value, enum output_color *color)
{
    int choice = output_parse_color(value);
    if (choice < 0) {
        return arguments_fail(state, "--color=%s: unknown, choose auto, always or never", value);
    }
    *color = (enum output_color)choice;
    return 0;
}

static error_t parse_number(struct argp_state *state, const char *option, const char *value,
                            uint64_t *number)
{
    struct mt_error error = {0};
    return quantity_parse_number(option, value, 0, 1000000, number, &error) != 0
               ? arguments_fail(state, "%s", error.text)
               : 0;
}

static error_t parse_argument(struct argp_state *state, char *value,
                              struct annotate_arguments *arguments)
{
    if (arguments->file == NULL) {
        arguments->file = value;
        return 0;
    }
    if (arguments->options.source_count == ANNOTATE_SOURCES_MAX) {
        return arguments_fail(state, "annotate: more than %u sources, name fewer",
                              ANNOTATE_SOURCES_MAX);
    }
    arguments->sources[arguments->options.source_count++] = value;
    return 0;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct annotate_arguments *arguments = state->input;
    uint64_t number = 0;
    error_t code;
    switch (key) {
    case ANNOTATE_KEY_FORMAT:
        return parse_format(state, value, &arguments->format);
    case ANNOTATE_KEY_COLOR:
        return parse_color(state, value, &arguments->color);
    case ANNOTATE_KEY_TOP:
        code = parse_number(state, "--top", value, &number);
        arguments->options.files_max = (size_t)number;
        return code;
    case ANNOTATE_KEY_CONTEXT:
        code = parse_number(state, "--context", value, &number);
        arguments->options.context_lines = (int64_t)number;
        return code;
    case ANNOTATE_KEY_LINES:
        arguments->options.all_lines = true;
        return 0;
    case ANNOTATE_KEY_PROCESS:
        arguments->process = value;
        return 0;
    case ANNOTATE_KEY_ALL:
        arguments->all_processes = true;
        return 0;
    case ANNOTATE_KEY_WIDE:
        arguments->is_wide = true;
        return 0;
    case 'o':
        arguments->output = value;
        return 0;
    case 'f':
        arguments->overwrite = true;
        return 0;
    case ARGP_KEY_ARG:
        return parse_argument(state, value, arguments);
    case ARGP_KEY_END:
        return arguments->file != NULL
                   ? 0
                   : arguments_fail(state, "annotate: no recording was named, write `memtrack "
                                           "annotate FILE [SOURCE...]`");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

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
        struct annotate_report_options one = {.sources = &arguments->sources[i],
                                              .source_count = 1};
        bool is_known = false;
        for (size_t k = 0; k < result->file_count && !is_known; k++) {
            is_known = annotate_report_is_wanted(&result->files[k], &one);
        }
        if (!is_known) {
            return mt_error_set(error, -ENOENT, MT_STATUS_NO_INPUT,
                                "%s: nothing was recorded in a source of this name; the hottest "
                                "is %s",
                                arguments->sources[i], result->files[0].path);
        }
    }
    return 0;
}

static void print(FILE *out, const struct annotate_arguments *arguments, struct region *region,
                  const struct annotate *result, const struct render_options *look)
{
    if (arguments->format == ANNOTATE_JSON) {
        struct render_json *json = region_alloc(region, sizeof(*json));
        render_json_init(json, out);
        annotate_report_write(&json->tree, result, &arguments->options);
        render_json_finish(json);
        return;
    }
    const struct listing *listing = annotate_report_make(region, result, &arguments->options);
    if (arguments->format == ANNOTATE_HTML) {
        render_listing_html(out, listing);
    } else {
        render_listing_text(out, listing, look);
    }
}

static int write_out(const struct annotate_arguments *arguments, struct region *region,
                     const struct annotate *result, struct mt_error *error)
{
    struct output output;
    int code = output_create(&output, arguments->output, result->model->selector.path,
                             arguments->overwrite, error);
    if (code != 0) {
        return code;
    }
    struct render_options look =
        output_render_options(output.file, arguments->color, arguments->is_wide);
    look.is_wide |= isatty(fileno(output.file)) != 1; /* files have no right edge */
    bool is_paged = arguments->format == ANNOTATE_TEXT && !output.is_own;
    FILE *pager = is_paged ? pager_open() : NULL;
    print(pager != NULL ? pager : output.file, arguments, region, result, &look);
    if (pager != NULL) {
        pager_close(pager);
    }
    return output_close(&output, error);
}

static int annotate(const struct annotate_arguments *arguments, struct opened *opened,
                    struct region *region, struct mt_error *error)
{
    if (arguments->process != NULL && arguments->all_processes) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "--process and --all-processes: contradict each other, give one");
    }
    int code = opened_open_whole(opened, arguments->file, arguments->process, error);
    if (code != 0) {
        return code;
    }
    const struct annotate *result = annotate_make(
        region, opened->model, arguments->all_processes ? NULL : opened->process);
    code = check_sources(arguments, result, error);
    return code != 0 ? code : write_out(arguments, region, result, error);
}

int command_annotate(int argc, char **argv)
{
    static const struct argp parser = {
        .options = annotate_option_table,
        .parser = parse_option,
        .args_doc = "FILE[@STATE] [SOURCE...]",
        .doc = "Shows source lines with their allocations, bytes, live bytes, share of the peak, "
               "temporaries and CPU time beside them; the hottest files first.\v"
               "SOURCE is a path or its end, such as cache.c or src/cache.c. A block counts for "
               "the line in the program that caused it; inlined code counts for its own line. CPU "
               "self is time in the line itself, CPU total in it or in what it calls.",
    };
    struct annotate_arguments *arguments = calloc(1, sizeof(*arguments));
    struct mt_error error = {0};
    if (arguments == NULL) {
        mt_error_set(&error, -ENOMEM, MT_STATUS_FAILED, "annotate: out of memory, try again");
        return command_fail(&error);
    }
    arguments->options.sources = arguments->sources;
    arguments->options.files_max = ANNOTATE_FILES_DEFAULT;
    arguments->options.context_lines = ANNOTATE_CONTEXT_DEFAULT;
    int code = arguments_parse(&parser, argc, argv, arguments, &error);
    int status = MT_STATUS_OK;
    if (code < 0) {
        status = command_fail(&error);
    } else if (code == 0) {
        struct region *region = region_new();
        struct opened opened = {0};
        if (annotate(arguments, &opened, region, &error) != 0) {
            status = command_fail(&error);
        }
        opened_close(&opened);
        region_free(region);
    }
    free(arguments);
    return status;
}
