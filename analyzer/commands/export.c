#include "commands/export.h"

#include "commands/command.h"
#include "commands/profiled.h"
#include "commands/view_options.h"
#include "render/export.h"
#include "report/run_report.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct export_format {
    const char *summary;
    /* One of these. */
    void (*profile)(FILE *out, const struct profile *profile, enum profile_metric metric);
    void (*other)(FILE *out, const struct view_options *view, const struct profiled *profiled);
    bool is_binary;
    bool needs_metric; /* carries nothing but the metric that was chosen */
};

/* ---- formats that are not made of the profile alone -------------------------- */

static void export_collapsed(FILE *out, const struct view_options *view,
                             const struct profiled *profiled)
{
    struct flame_request request = {
        .metric = view->metric, .is_reversed = view->is_reversed, .by_thread = view->by_thread};
    render_collapsed(out, flame_tree_make(profiled->region, profiled->profile, NULL, &request));
}

static void export_massif(FILE *out, const struct view_options *view,
                          const struct profiled *profiled)
{
    (void)view;
    struct flame_request peak = {.metric = PROFILE_PEAK, .is_reversed = true};
    struct flame_request live = {.metric = PROFILE_LIVE, .is_reversed = true};
    render_massif(out, flame_tree_make(profiled->region, profiled->profile, NULL, &peak),
                  flame_tree_make(profiled->region, profiled->profile, NULL, &live));
}

static void export_heaptrack(FILE *out, const struct view_options *view,
                             const struct profiled *profiled)
{
    (void)view;
    int64_t left_out = render_heaptrack(out, profiled->profile);
    if (left_out > 0) {
        fprintf(stderr,
                "memtrack: heaptrack's format is a log of events: %lld blocks are left out of it "
                "or merged with others; bytes at the peak and live stay exact\n",
                (long long)left_out);
    }
}

static void export_json(FILE *out, const struct view_options *view, const struct profiled *profiled)
{
    const struct opened *opened = &profiled->opened;
    struct render_json *json = malloc(sizeof(*json));
    if (json != NULL) {
        render_json_init(json, out);
        /* As `report` has it: the whole tree of processes begins with the first. */
        run_report_write(&json->tree, opened->model,
                         view->process != NULL ? opened->process : &opened->model->processes[0]);
        render_json_finish(json);
        free(json);
    }
}

static void export_csv(FILE *out, const struct view_options *view, const struct profiled *profiled)
{
    struct report_document *document = run_report_make_table(
        profiled->opened.model, view->all_processes ? NULL : profiled->opened.process);
    render_csv(out, document);
    report_document_free(document);
}

#define EXPORT_NAMES 11u
static const char *const export_names[EXPORT_NAMES + 1] = {
    "pprof",  "speedscope", "collapsed", "dhat", "massif", "callgrind",
    "jeprof", "heaptrack",  "chrome",    "json", "csv",    NULL};

/* In the order of the names. */
static const struct export_format export_formats[] = {
    {.summary = "go tool pprof, Parca, Pyroscope", .profile = render_pprof, .is_binary = true},
    {.summary = "speedscope.app", .profile = render_speedscope},
    {.summary = "flamegraph.pl, inferno", .other = export_collapsed, .needs_metric = true},
    {.summary = "Valgrind's dh_view.html", .profile = render_dhat},
    {.summary = "ms_print, massif-visualizer", .other = export_massif},
    {.summary = "callgrind_annotate, KCachegrind", .profile = render_callgrind},
    {.summary = "jeprof, pprof of gperftools (jemalloc's heap_v2)", .profile = render_jeprof},
    {.summary = "heaptrack_print, heaptrack_gui", .other = export_heaptrack},
    {.summary = "chrome://tracing, Perfetto: the timeline", .profile = render_chrome},
    {.summary = "the report's JSON", .other = export_json},
    {.summary = "a table of all sites", .other = export_csv},
};
#define EXPORT_FORMATS (sizeof(export_formats) / sizeof(export_formats[0]))
static_assert(EXPORT_FORMATS == EXPORT_NAMES, "each format has a name to choose it by");

/* ---- the command ------------------------------------------------------------- */

static int export_write(const struct view_options *view, const struct profiled *profiled,
                        struct mt_error *error)
{
    const struct export_format *format = &export_formats[view->format];
    struct output output;
    bool to_stdout = view->output == NULL || strcmp(view->output, "-") == 0;
    if (format->is_binary && to_stdout && isatty(STDOUT_FILENO) == 1) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "--format=%s: is not for a terminal; name a file with -o",
                            export_names[view->format]);
    }
    int code = output_create(&output, view->output, profiled->opened.model->selector.path,
                             view->overwrite, error);
    if (code != 0) {
        return code;
    }
    if (format->profile != NULL) {
        format->profile(output.file, profiled->profile, view->metric);
    } else {
        format->other(output.file, view, profiled);
    }
    return output_close(&output, error);
}

/* The formats' names belong to the help, and the table is where they are. */
static char *help_filter(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC) {
        return (char *)(uintptr_t)text;
    }
    char *list = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&list, &bytes);
    if (out == NULL) {
        return (char *)(uintptr_t)text;
    }
    fputs("Formats:\n", out);
    for (size_t i = 0; i < EXPORT_FORMATS; i++) {
        fprintf(out, "  %-12s %s\n", export_names[i], export_formats[i].summary);
    }
    fclose(out);
    return list;
}

static error_t parse_end(int key, char *value, const struct argp_state *state, void *context)
{
    const struct view_options *view = context;
    (void)value;
    if (key != ARGP_KEY_END) {
        return 0;
    }
    if (!view->has_format) {
        char list[256];
        arguments_list_words(export_names, list, sizeof(list));
        return arguments_fail(state, "export: no format was named, choose --format %s", list);
    }
    bool is_collapsed = strcmp(export_names[view->format], "collapsed") == 0;
    if ((view->is_reversed || view->by_thread) && !is_collapsed) {
        return arguments_fail(state, "--%s: only for --format collapsed; leave it out",
                              view->is_reversed ? "reverse" : "by-thread");
    }
    return 0;
}

static const struct view_command export_command = {
    .name = "export",
    .operands = "FILE[@STATE]",
    .operands_min = 1,
    .operands_max = 1,
    .example = "FILE --format F -o OUT",
    .doc = "Writes a recording in the format of another tool.\v ",
    .takes = {{.option = VIEW_FORMAT, .words = export_names, .help = "one of those listed below"},
              {.option = VIEW_OUTPUT},
              {.option = VIEW_FORCE},
              {.option = VIEW_METRIC,
               .help = "allocated, allocations, live, blocks, peak, temporary, leaked or cpu "
                       "(default live); formats that carry several metrics carry all and show "
                       "this one first"},
              {.option = VIEW_PROCESS},
              {.option = VIEW_ALL_PROCESSES},
              {.option = VIEW_REVERSE, .help = "collapsed: innermost function first"},
              {.option = VIEW_BY_THREAD, .help = "collapsed, cpu: begin stacks with the thread"}},
    .parse = parse_end,
    .help_filter = help_filter,
};

static int run(const struct view_options *view, struct mt_error *error)
{
    const struct profiled_request request = {
        .file = view->files[0], .process = view->process, .all_processes = view->all_processes};
    struct profiled profiled;
    int code = profiled_open(&profiled, &request, error);
    if (code == 0) {
        code = profiled_need(&profiled, view->metric, error);
    }
    if (code == 0) {
        profiled_tell_nameless(&profiled);
        code = export_write(view, &profiled, error);
    }
    profiled_close(&profiled);
    return code;
}

int command_export(int argc, char **argv)
{
    struct view_options view = {.metric = PROFILE_LIVE};
    struct mt_error error = {0};
    int code = view_options_parse(&export_command, argc, argv, &view, &view, &error);
    if (code == 0) {
        code = run(&view, &error);
    }
    view_options_deinit(&view);
    return code < 0 ? command_fail(&error) : MT_STATUS_OK;
}
