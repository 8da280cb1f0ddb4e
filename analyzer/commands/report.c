#include "commands/report.h"

#include "analyses/summary.h"
#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/opened.h"
#include "commands/quantity.h"
#include "render/html.h"
#include "report/page_data.h"
#include "report/run_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_TOP_DEFAULT 10u
#define REPORT_FRAMES_SHOWN 10u
#define REPORT_STACKS_SHOWN 3u

struct report_arguments {
    struct report_options options;
    const char *output;
    const char *page; /* --html */
};

/* ---- printing ------------------------------------------------------------ */

static void report_print_json(FILE *out, const struct model *model,
                              const struct model_process *process)
{
    struct render_json json;
    render_json_init(&json, out);
    run_report_write(&json.tree, model, process);
    render_json_finish(&json);
}

static void report_print_document(FILE *out, const struct report_options *options,
                                  const struct model *model, const struct model_process *process)
{
    struct region *region = region_new();
    struct run_report_options how = {
        .top = options->top,
        .frames_max = options->is_wide ? 0 : REPORT_FRAMES_SHOWN,
        .stacks_max = options->is_wide ? 0 : REPORT_STACKS_SHOWN,
        .has_startup = options->is_wide,
        .has_command = command_exists,
    };
    struct report_document *document = run_report_make(summary_make(region, model, process), &how);
    if (options->format == OUTPUT_MARKDOWN) {
        render_markdown(out, document);
    } else {
        struct render_options look = output_render_options(out, options->color, options->is_wide);
        render_text(out, document, &look);
    }
    report_document_free(document);
    region_free(region);
}

static void report_print_table(FILE *out, const struct model *model,
                               const struct model_process *only)
{
    struct report_document *document = run_report_make_table(model, only);
    render_csv(out, document);
    report_document_free(document);
}

/* The process that was asked for; the run's first when none was. */
static const struct model_process *report_choose(const struct model *model,
                                                 const struct report_options *options,
                                                 struct mt_error *error)
{
    if (options->process == NULL) {
        return &model->processes[0];
    }
    const struct model_process *process = model_find_process(model, options->process);
    if (process == NULL) {
        mt_error_set(error, -ESRCH, MT_STATUS_NO_INPUT,
                     "%s: no process %s in it; it has %zu, #0 to #%zu", model->selector.path,
                     options->process, model->process_count, model->process_count - 1);
    }
    return process;
}

/* Loads what is to be reported; *model is the caller's to free. */
static int report_load(const struct report_options *options, struct model **model,
                       const struct model_process **process, struct mt_error *error)
{
    int code = opened_load(options->file, model, error);
    if (code != 0) {
        return code;
    }
    *process = report_choose(*model, options, error);
    if (*process == NULL) {
        model_free(*model);
        return -ESRCH;
    }
    return 0;
}

/* Says what is wrong with a recording that is shown as far as it could be read. */
static void report_tell_damage(const struct model *model)
{
    const char *damage = recording_reader_damage(model->reader);
    if (damage != NULL) {
        struct mt_error line = {0};
        mt_error_set(&line, -EBADMSG, MT_STATUS_DATA, "%s: %s; the report shows what could be read",
                     model->selector.path, damage);
        fprintf(stderr, "memtrack: %s\n", line.text);
    }
}

static void report_render(FILE *out, const struct report_options *options,
                          const struct model *model, const struct model_process *process)
{
    if (out != stderr) {
        report_tell_damage(model);
    }
    if (options->format == OUTPUT_JSON) {
        report_print_json(out, model, process);
    } else if (options->format == OUTPUT_CSV) {
        report_print_table(out, model, options->process != NULL ? process : NULL);
    } else {
        report_print_document(out, options, model, process);
    }
}

int report_print(FILE *out, const struct report_options *options, struct mt_error *error)
{
    struct model *model = NULL;
    const struct model_process *process = NULL;
    int code = report_load(options, &model, &process, error);
    if (code == 0) {
        report_render(out, options, model, process);
        model_free(model);
    }
    return code;
}

/* ---- the page ------------------------------------------------------------ */

static int report_write_page(FILE *out, const struct model *model,
                             const struct model_process *only, struct mt_error *error)
{
    struct render_html *html = malloc(sizeof(*html));
    int code = html == NULL ? -ENOMEM : render_html_init(html, out);
    if (code == 0) {
        page_data_write(&html->json.tree, model, only);
        code = render_html_finish(html);
    }
    free(html);
    return code == 0 ? 0
                     : mt_error_set(error, code, MT_STATUS_FAILED,
                                    "--html: the page could not be made: %s", strerror(-code));
}

static int report_make_page(const struct report_arguments *arguments, const struct model *model,
                            const struct model_process *process, struct mt_error *error)
{
    if (!render_html_exists()) {
        return mt_error_set(error, -ENOSYS, MT_STATUS_FAILED,
                            "--html: this memtrack was built without node, which makes the page; "
                            "install nodejs and npm (scripts/packages.sh page) and build again");
    }
    struct output output;
    int code = output_open(&output, arguments->page, model->selector.path, error);
    if (code != 0) {
        return code;
    }
    report_tell_damage(model);
    code = report_write_page(output.file, model,
                             arguments->options.process != NULL ? process : NULL, error);
    struct mt_error ignored = {0};
    int closed = output_close(&output, code == 0 ? error : &ignored);
    return code != 0 ? code : closed;
}

/* ---- the command --------------------------------------------------------- */

enum report_key {
    REPORT_KEY_FORMAT = 256,
    REPORT_KEY_TOP,
    REPORT_KEY_PROCESS,
    REPORT_KEY_WIDE,
    REPORT_KEY_COLOR,
    REPORT_KEY_HTML
};

static const struct argp_option report_option_table[] = {
    {"format", REPORT_KEY_FORMAT, "FORMAT", 0, "text, json, csv or markdown (default text)", 0},
    {"output", 'o', "OUT", 0, "write to OUT instead of stdout", 0},
    {"html", REPORT_KEY_HTML, "OUT.html", 0,
     "write one interactive page, all processes in it, that opens in a browser", 0},
    {"top", REPORT_KEY_TOP, "N", 0, "rows in each list (default 10)", 0},
    {"process", REPORT_KEY_PROCESS, "PID|#INDEX", 0,
     "the process to report, as the report lists them (default: the first; csv: all)", 0},
    {"wide", REPORT_KEY_WIDE, NULL, 0, "full names, paths and stacks", 0},
    {"color", REPORT_KEY_COLOR, "WHEN", 0, "auto, always or never (default auto)", 0},
    {0},
};

static error_t report_parse(int key, char *value, struct argp_state *state)
{
    struct report_arguments *arguments = state->input;
    int choice;
    uint64_t number;
    struct mt_error error = {0};
    switch (key) {
    case REPORT_KEY_FORMAT:
        choice = output_parse_format(value);
        if (choice < 0) {
            return arguments_fail(state, "--format=%s: unknown, choose text, json, csv or markdown",
                                  value);
        }
        arguments->options.format = (enum output_format)choice;
        return 0;
    case REPORT_KEY_COLOR:
        choice = output_parse_color(value);
        if (choice < 0) {
            return arguments_fail(state, "--color=%s: unknown, choose auto, always or never",
                                  value);
        }
        arguments->options.color = (enum output_color)choice;
        return 0;
    case REPORT_KEY_TOP:
        if (quantity_parse_number("--top", value, 0, 1000000, &number, &error) != 0) {
            return arguments_fail(state, "%s", error.text);
        }
        arguments->options.top = (size_t)number;
        return 0;
    case REPORT_KEY_PROCESS:
        arguments->options.process = value;
        return 0;
    case REPORT_KEY_WIDE:
        arguments->options.is_wide = true;
        return 0;
    case REPORT_KEY_HTML:
        arguments->page = value;
        return 0;
    case 'o':
        arguments->output = value;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->options.file != NULL) {
            return arguments_fail(state, "report: \"%s\" is one file too many, name one recording",
                                  value);
        }
        arguments->options.file = value;
        return 0;
    case ARGP_KEY_END:
        if (arguments->options.file == NULL) {
            return arguments_fail(state, "report: no recording was named, write `memtrack report "
                                         "FILE`");
        }
        if (arguments->page != NULL && arguments->output != NULL) {
            return arguments_fail(state, "report: --html names a file of its own, leave out -o");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int report_make_text(const struct report_arguments *arguments, const struct model *model,
                            const struct model_process *process, struct mt_error *error)
{
    struct output output;
    int code = output_open(&output, arguments->output, model->selector.path, error);
    if (code == 0) {
        report_render(output.file, &arguments->options, model, process);
        code = output_close(&output, error);
    }
    return code;
}

int command_report(int argc, char **argv)
{
    static const struct argp parser = {
        .options = report_option_table,
        .parser = report_parse,
        .args_doc = "FILE[@STATE]",
        .doc = "Prints the report of a recording.\v"
               "STATE selects a moment: @3 (snapshot 3), @first, @last, @peak, @exit, @12.5s (the "
               "latest at or before), @label:NAME. Without one it is the end.",
    };
    struct report_arguments arguments = {.options = {.top = REPORT_TOP_DEFAULT}};
    struct mt_error error = {0};
    int code = arguments_parse(&parser, argc, argv, &arguments, &error);
    if (code != 0) {
        return code > 0 ? MT_STATUS_OK : command_fail(&error);
    }
    struct model *model = NULL;
    const struct model_process *process = NULL;
    if (report_load(&arguments.options, &model, &process, &error) != 0) {
        return command_fail(&error);
    }
    code = arguments.page != NULL ? report_make_page(&arguments, model, process, &error)
                                  : report_make_text(&arguments, model, process, &error);
    model_free(model);
    return code != 0 ? command_fail(&error) : MT_STATUS_OK;
}
