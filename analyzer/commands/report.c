#include "commands/report.h"

#include "analyses/summary.h"
#include "commands/command.h"
#include "commands/opened.h"
#include "commands/view.h"
#include "render/html.h"
#include "report/page_data.h"
#include "report/run_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_TOP_DEFAULT 10u
#define REPORT_FRAMES_SHOWN 10u
#define REPORT_STACKS_SHOWN 3u

/* ---- printing ------------------------------------------------------------ */

struct report_shown {
    const struct report_options *options;
    const struct model *model;
    const struct model_process *process;
    struct region *region;
};

static void report_write_json(struct report_tree *tree, const void *context)
{
    const struct report_shown *shown = context;
    run_report_write(tree, shown->model, shown->process);
}

static struct report_document *report_make_table(const void *context)
{
    const struct report_shown *shown = context;
    return run_report_make_table(shown->model,
                                 shown->options->process != NULL ? shown->process : NULL);
}

static struct report_document *report_make_document(const void *context)
{
    const struct report_shown *shown = context;
    const struct report_options *options = shown->options;
    struct run_report_options how = {
        .top = options->top > 0 ? options->top : SIZE_MAX,
        .frames_max = options->is_wide ? 0 : REPORT_FRAMES_SHOWN,
        .stacks_max = options->is_wide ? 0 : REPORT_STACKS_SHOWN,
        .has_startup = options->is_wide,
        .has_command = command_exists,
    };
    return run_report_make(summary_make(shown->region, shown->model, shown->process), &how);
}

/* Loads what is to be reported; *model is the caller's to free. */
static int report_load(const struct report_options *options, struct model **model,
                       const struct model_process **process, struct mt_error *error)
{
    int code = opened_load(options->file, model, error);
    if (code != 0) {
        return code;
    }
    *process = &(*model)->processes[0];
    /* The whole tree begins with the first. */
    if (options->process != NULL || options->format != OUTPUT_JSON) {
        code = opened_choose(*model, options->process, process, error);
    }
    if (code != 0) {
        model_free(*model);
    }
    return code;
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

static struct view_result report_result(const struct report_shown *shown)
{
    return (struct view_result){.write = report_write_json,
                                .make_table = report_make_table,
                                .make = report_make_document,
                                .context = shown};
}

int report_print(FILE *out, const struct report_options *options, struct mt_error *error)
{
    struct model *model = NULL;
    const struct model_process *process = NULL;
    int code = report_load(options, &model, &process, error);
    if (code != 0) {
        return code;
    }
    struct report_shown shown = {
        .options = options, .model = model, .process = process, .region = region_new()};
    struct view_result result = report_result(&shown);
    struct render_options look = output_render_options(out, options->color, options->is_wide);
    if (out != stderr) {
        report_tell_damage(model);
    }
    view_print(out, &result, options->format, &look);
    region_free(shown.region);
    model_free(model);
    return 0;
}

/* ---- the page ------------------------------------------------------------ */

static int report_write_page(FILE *out, const struct model *model, const struct model_process *only,
                             struct mt_error *error)
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

static int report_make_page(const char *page, const struct model *model,
                            const struct model_process *only, struct mt_error *error)
{
    if (!render_html_exists()) {
        return mt_error_set(error, -ENOSYS, MT_STATUS_FAILED,
                            "--html: this memtrack was built without node, which makes the page; "
                            "install nodejs and npm (scripts/packages.sh page) and build again");
    }
    struct output output;
    int code = output_open(&output, page, model->selector.path, error);
    if (code != 0) {
        return code;
    }
    report_tell_damage(model);
    code = report_write_page(output.file, model, only, error);
    struct mt_error ignored = {0};
    int closed = output_close(&output, code == 0 ? error : &ignored);
    return code != 0 ? code : closed;
}

/* ---- the command --------------------------------------------------------- */

enum report_key { REPORT_KEY_HTML = VIEW_KEY_OWN };

static const struct argp_option report_own_options[] = {
    {"html", REPORT_KEY_HTML, "OUT.html", 0,
     "write one interactive page, all processes in it, that opens in a browser", 0},
    {0},
};

static error_t report_parse_own(int key, char *value, const struct argp_state *state, void *context)
{
    const char **page = context;
    (void)state;
    if (key == REPORT_KEY_HTML) {
        *page = value;
    }
    return 0;
}

static const struct view_command report_command = {
    .name = "report",
    .operands = "FILE[@STATE]",
    .operands_min = 1,
    .operands_max = 1,
    .doc = "Prints the report of a recording.\v"
           "STATE selects a moment: @3 (snapshot 3), @first, @last, @peak, @exit, @12.5s (the "
           "latest at or before), @label:NAME. Without one it is the end.",
    .takes = {{.option = VIEW_TOP},
              {.option = VIEW_PROCESS,
               .help = "the process to report, as the report lists them (default: the first, or "
                       "the largest if the first is "
                       "small beside it; json: the first with all others in it; csv "
                       "and html: all)"},
              {.option = VIEW_FORMAT},
              {.option = VIEW_OUTPUT},
              {.option = VIEW_LOOK}},
    .own = report_own_options,
    .parse = report_parse_own,
};

static int report_run(const struct view_options *options, const char *page, struct mt_error *error)
{
    struct report_options how = {.file = options->files[0],
                                 .process = options->process,
                                 .format = (enum output_format)options->format,
                                 .color = options->color,
                                 .top = options->top,
                                 .is_wide = options->is_wide};
    struct model *model = NULL;
    const struct model_process *process = NULL;
    if (page != NULL && options->output != NULL) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "report: --html names a file of its own, leave out -o");
    }
    int code = report_load(&how, &model, &process, error);
    if (code != 0) {
        return code;
    }
    if (page != NULL) {
        code = report_make_page(page, model, options->process != NULL ? process : NULL, error);
    } else {
        struct report_shown shown = {
            .options = &how, .model = model, .process = process, .region = region_new()};
        struct view_result result = report_result(&shown);
        report_tell_damage(model);
        code = view_show(options, &result, model->selector.path, error);
        region_free(shown.region);
    }
    model_free(model);
    return code;
}

int command_report(int argc, char **argv)
{
    const char *page = NULL;
    struct view_options options = {.top = REPORT_TOP_DEFAULT};
    struct mt_error error = {0};
    int code = view_options_parse(&report_command, argc, argv, &options, &page, &error);
    if (code == 0) {
        code = report_run(&options, page, &error);
    }
    view_options_deinit(&options);
    return code < 0 ? command_fail(&error) : MT_STATUS_OK;
}
