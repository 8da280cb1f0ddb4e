#include "commands/growth.h"

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/opened.h"
#include "commands/output.h"
#include "commands/quantity.h"
#include "report/growth_report.h"

#include <string.h>

#define GROWTH_TOP_DEFAULT 10u
#define GROWTH_FRAMES_SHOWN 8u

struct growth_arguments {
    const char *file;
    const char *process;
    const char *output;
    enum output_format format;
    enum output_color color;
    bool is_wide;
    size_t top;
    struct growth_options options;
};

enum growth_key {
    GROWTH_KEY_WARMUP = 256,
    GROWTH_KEY_TOP,
    GROWTH_KEY_PROCESS,
    GROWTH_KEY_FORMAT,
    GROWTH_KEY_WIDE,
    GROWTH_KEY_COLOR
};

static const struct argp_option growth_option_table[] = {
    {"warmup", GROWTH_KEY_WARMUP, "TIME|label:NAME", 0,
     "leave out what is before TIME, or before the last snapshot labelled NAME (default: found "
     "automatically, within the first tenth)",
     0},
    {"top", GROWTH_KEY_TOP, "N", 0, "rows in each list (default 10)", 0},
    {"process", GROWTH_KEY_PROCESS, "P", 0,
     "the process to look at, by pid, #INDEX or name (default: the run's first)", 0},
    {"format", GROWTH_KEY_FORMAT, "FORMAT", 0, "text, json, csv or markdown (default text)", 0},
    {"output", 'o', "OUT", 0, "write to OUT instead of stdout", 0},
    {"wide", GROWTH_KEY_WIDE, NULL, 0, "full names, paths and stacks", 0},
    {"color", GROWTH_KEY_COLOR, "WHEN", 0, "auto, always or never (default auto)", 0},
    {0},
};

static error_t growth_parse_value(int key, const char *value, const struct argp_state *state)
{
    struct growth_arguments *arguments = state->input;
    struct mt_error error = {0};
    uint64_t number = 0;
    if (key == GROWTH_KEY_TOP) {
        if (quantity_parse_number("--top", value, 0, 1000000, &number, &error) != 0) {
            return arguments_fail(state, "%s", error.text);
        }
        arguments->top = (size_t)number;
        return 0;
    }
    if (strncmp(value, "label:", 6) == 0 && value[6] != '\0') {
        arguments->options.warmup_label = value + 6;
        return 0;
    }
    if (quantity_parse_time("--warmup", value, &number, &error) != 0) {
        return arguments_fail(state, "%s", error.text);
    }
    arguments->options.has_warmup = true;
    arguments->options.warmup_ns = number > INT64_MAX ? INT64_MAX : (int64_t)number;
    return 0;
}

static error_t growth_parse(int key, char *value, struct argp_state *state)
{
    struct growth_arguments *arguments = state->input;
    int choice;
    switch (key) {
    case GROWTH_KEY_WARMUP:
    case GROWTH_KEY_TOP:
        return growth_parse_value(key, value, state);
    case GROWTH_KEY_PROCESS:
        arguments->process = value;
        return 0;
    case GROWTH_KEY_FORMAT:
        choice = output_parse_format(value);
        if (choice < 0) {
            return arguments_fail(state, "--format=%s: unknown, choose text, json, csv or markdown",
                                  value);
        }
        arguments->format = (enum output_format)choice;
        return 0;
    case GROWTH_KEY_COLOR:
        choice = output_parse_color(value);
        if (choice < 0) {
            return arguments_fail(state, "--color=%s: unknown, choose auto, always or never",
                                  value);
        }
        arguments->color = (enum output_color)choice;
        return 0;
    case GROWTH_KEY_WIDE:
        arguments->is_wide = true;
        return 0;
    case 'o':
        arguments->output = value;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->file != NULL) {
            return arguments_fail(state, "growth: \"%s\" is one file too many, name one recording",
                                  value);
        }
        arguments->file = value;
        return 0;
    case ARGP_KEY_END:
        return arguments->file != NULL
                   ? 0
                   : arguments_fail(state, "growth: no recording was named, write `memtrack growth "
                                           "FILE`");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void growth_print(FILE *out, const struct growth_arguments *arguments,
                         const struct growth *growth)
{
    struct growth_report_options how = {
        .top = arguments->top,
        .frames_max = arguments->is_wide ? 0 : GROWTH_FRAMES_SHOWN,
    };
    if (arguments->format == OUTPUT_JSON) {
        struct render_json json;
        render_json_init(&json, out);
        growth_report_write(&json.tree, growth);
        render_json_finish(&json);
        return;
    }
    struct report_document *document = arguments->format == OUTPUT_CSV
                                           ? growth_report_make_table(growth)
                                           : growth_report_make(growth, &how);
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

static int growth_run(const struct growth_arguments *arguments, struct mt_error *error)
{
    struct region *region = region_new();
    struct opened opened;
    struct output output;
    const struct growth *growth = NULL;
    int code = opened_open(&opened, arguments->file, arguments->process, error);
    if (code == 0) {
        code = growth_make(region, opened.model, opened.process, &arguments->options, &growth,
                           error);
    }
    if (code == 0) {
        code = output_open(&output, arguments->output, opened.model->selector.path, error);
    }
    if (code == 0) {
        growth_print(output.file, arguments, growth);
        code = output_close(&output, error);
    }
    opened_close(&opened);
    region_free(region);
    return code;
}

int command_growth(int argc, char **argv)
{
    static const struct argp parser = {
        .options = growth_option_table,
        .parser = growth_parse,
        .args_doc = "FILE[@STATE]",
        .doc =
            "Tells which sites keep growing, over all snapshots of a recording.\v"
            "Verdicts: leak (grows, and most of its blocks were found unreachable), growing, "
            "freed-at-exit, bounded (grew, then stopped), warm-up (grew before the warm-up's end "
            "only), steady. The rate is the Theil-Sen slope with its 95 % interval; the trend is "
            "a Mann-Kendall test, adjusted for the number of sites. STATE ends the analysis at "
            "that snapshot.",
    };
    struct growth_arguments arguments = {.top = GROWTH_TOP_DEFAULT};
    struct mt_error error = {0};
    int code = arguments_parse(&parser, argc, argv, &arguments, &error);
    if (code != 0) {
        return code > 0 ? MT_STATUS_OK : command_fail(&error);
    }
    if (growth_run(&arguments, &error) != 0) {
        return command_fail(&error);
    }
    return MT_STATUS_OK;
}
