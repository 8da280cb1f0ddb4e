#include "commands/timeline.h"

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/opened.h"
#include "commands/output.h"
#include "report/timeline_report.h"

struct timeline_arguments {
    const char *file;
    const char *process;
    const char *output;
    enum output_format format;
    enum output_color color;
    bool is_wide;
};

enum timeline_key {
    TIMELINE_KEY_PROCESS = 256,
    TIMELINE_KEY_FORMAT,
    TIMELINE_KEY_WIDE,
    TIMELINE_KEY_COLOR
};

static const struct argp_option timeline_option_table[] = {
    {"process", TIMELINE_KEY_PROCESS, "P", 0,
     "the process to look at, by pid, #INDEX or name (default: the run's first)", 0},
    {"format", TIMELINE_KEY_FORMAT, "FORMAT", 0, "text, json, csv or markdown (default text)", 0},
    {"output", 'o', "OUT", 0, "write to OUT instead of stdout", 0},
    {"wide", TIMELINE_KEY_WIDE, NULL, 0, "full names, paths and stacks", 0},
    {"color", TIMELINE_KEY_COLOR, "WHEN", 0, "auto, always or never (default auto)", 0},
    {0},
};

static error_t timeline_parse(int key, char *value, struct argp_state *state)
{
    struct timeline_arguments *arguments = state->input;
    int choice;
    switch (key) {
    case TIMELINE_KEY_PROCESS:
        arguments->process = value;
        return 0;
    case TIMELINE_KEY_FORMAT:
        choice = output_parse_format(value);
        if (choice < 0) {
            return arguments_fail(state, "--format=%s: unknown, choose text, json, csv or markdown",
                                  value);
        }
        arguments->format = (enum output_format)choice;
        return 0;
    case TIMELINE_KEY_COLOR:
        choice = output_parse_color(value);
        if (choice < 0) {
            return arguments_fail(state, "--color=%s: unknown, choose auto, always or never",
                                  value);
        }
        arguments->color = (enum output_color)choice;
        return 0;
    case TIMELINE_KEY_WIDE:
        arguments->is_wide = true;
        return 0;
    case 'o':
        arguments->output = value;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->file != NULL) {
            return arguments_fail(state, "timeline: \"%s\" is one file too many, name one recording",
                                  value);
        }
        arguments->file = value;
        return 0;
    case ARGP_KEY_END:
        return arguments->file != NULL
                   ? 0
                   : arguments_fail(state, "timeline: no recording was named, write `memtrack timeline "
                                           "FILE`");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void timeline_print(FILE *out, const struct timeline_arguments *arguments,
                           const struct opened *opened)
{
    if (arguments->format == OUTPUT_JSON) {
        struct render_json json;
        render_json_init(&json, out);
        timeline_report_write(&json.tree, opened->process);
        render_json_finish(&json);
        return;
    }
    struct report_document *document = arguments->format == OUTPUT_CSV
                                           ? timeline_report_make_table(opened->process)
                                           : timeline_report_make(opened->model, opened->process);
    if (arguments->format == OUTPUT_CSV) {
        render_csv(out, document);
    } else if (arguments->format == OUTPUT_MARKDOWN) {
        render_markdown(out, document);
    } else {
        struct render_options look =
            output_render_options(out, arguments->color, arguments->is_wide);
        render_text(out, document, &look);
    }
    report_document_free(document);
}

static int timeline_run(const struct timeline_arguments *arguments, struct mt_error *error)
{
    struct opened opened;
    struct output output;
    int code = opened_open(&opened, arguments->file, arguments->process, error);
    if (code == 0) {
        code = output_open(&output, arguments->output, opened.model->selector.path, error);
    }
    if (code == 0) {
        timeline_print(output.file, arguments, &opened);
        code = output_close(&output, error);
    }
    opened_close(&opened);
    return code;
}

int command_timeline(int argc, char **argv)
{
    static const struct argp parser = {
        .options = timeline_option_table,
        .parser = timeline_parse,
        .args_doc = "FILE",
        .doc = "Draws a process's timeline: live bytes, resident bytes, allocations per second.\v"
               "With --format csv or json: all points, each with the true minimum and maximum of "
               "its interval, CPU seconds, and the allocator's own figures where it tells them.",
    };
    struct timeline_arguments arguments = {0};
    struct mt_error error = {0};
    int code = arguments_parse(&parser, argc, argv, &arguments, &error);
    if (code != 0) {
        return code > 0 ? MT_STATUS_OK : command_fail(&error);
    }
    if (timeline_run(&arguments, &error) != 0) {
        return command_fail(&error);
    }
    return MT_STATUS_OK;
}
