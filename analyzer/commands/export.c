#include "commands/export.h"

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/output.h"
#include "commands/profiled.h"
#include "render/export.h"
#include "report/run_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct export_arguments {
    struct profiled_request request;
    const char *output;
    const struct export_format *format;
    enum profile_metric metric;
    bool is_reversed;
    bool by_thread;
    bool overwrite;
};

struct export_format {
    const char *name;
    const char *summary;
    /* One of these. */
    void (*profile)(FILE *out, const struct profile *profile, enum profile_metric metric);
    void (*other)(FILE *out, const struct export_arguments *arguments,
                  const struct profiled *profiled);
    bool is_binary;
    bool needs_metric; /* carries nothing but the metric that was chosen */
};

/* ---- formats that are not made of the profile alone -------------------------- */

static void export_collapsed(FILE *out, const struct export_arguments *arguments,
                             const struct profiled *profiled)
{
    struct flame_request request = {.metric = arguments->metric,
                                    .is_reversed = arguments->is_reversed,
                                    .by_thread = arguments->by_thread};
    render_collapsed(out,
                     flame_tree_make(profiled->region, profiled->profile, NULL, &request));
}

static void export_massif(FILE *out, const struct export_arguments *arguments,
                          const struct profiled *profiled)
{
    (void)arguments;
    struct flame_request peak = {.metric = PROFILE_PEAK, .is_reversed = true};
    struct flame_request live = {.metric = PROFILE_LIVE, .is_reversed = true};
    render_massif(out, flame_tree_make(profiled->region, profiled->profile, NULL, &peak),
                  flame_tree_make(profiled->region, profiled->profile, NULL, &live));
}

static void export_heaptrack(FILE *out, const struct export_arguments *arguments,
                             const struct profiled *profiled)
{
    (void)arguments;
    int64_t left_out = render_heaptrack(out, profiled->profile);
    if (left_out > 0) {
        fprintf(stderr, "memtrack: heaptrack's format is a log of events: %lld blocks are left out of it "
                        "or merged with others; bytes at the peak and live stay exact\n",
                (long long)left_out);
    }
}

static void export_json(FILE *out, const struct export_arguments *arguments,
                        const struct profiled *profiled)
{
    (void)arguments;
    struct render_json *json = malloc(sizeof(*json));
    if (json != NULL) {
        render_json_init(json, out);
        run_report_write(&json->tree, profiled->opened.model, profiled->opened.process);
        render_json_finish(json);
        free(json);
    }
}

static void export_csv(FILE *out, const struct export_arguments *arguments,
                       const struct profiled *profiled)
{
    struct report_document *document = run_report_make_table(
        profiled->opened.model,
        arguments->request.all_processes ? NULL : profiled->opened.process);
    render_csv(out, document);
    report_document_free(document);
}

static const struct export_format export_formats[] = {
    {.name = "pprof", .summary = "go tool pprof, Parca, Pyroscope", .profile = render_pprof,
     .is_binary = true},
    {.name = "speedscope", .summary = "speedscope.app", .profile = render_speedscope},
    {.name = "collapsed", .summary = "flamegraph.pl, inferno", .other = export_collapsed,
     .needs_metric = true},
    {.name = "dhat", .summary = "Valgrind's dh_view.html", .profile = render_dhat},
    {.name = "massif", .summary = "ms_print, massif-visualizer", .other = export_massif},
    {.name = "callgrind", .summary = "callgrind_annotate, KCachegrind",
     .profile = render_callgrind},
    {.name = "jeprof", .summary = "jeprof, pprof of gperftools (jemalloc's heap_v2)",
     .profile = render_jeprof},
    {.name = "heaptrack", .summary = "heaptrack_print, heaptrack_gui",
     .other = export_heaptrack},
    {.name = "chrome", .summary = "chrome://tracing, Perfetto: the timeline",
     .profile = render_chrome},
    {.name = "json", .summary = "the report's JSON", .other = export_json},
    {.name = "csv", .summary = "a table of all sites", .other = export_csv},
};
#define EXPORT_FORMATS (sizeof(export_formats) / sizeof(export_formats[0]))

/* ---- arguments --------------------------------------------------------------- */

enum export_key {
    EXPORT_KEY_FORMAT = 256,
    EXPORT_KEY_METRIC,
    EXPORT_KEY_PROCESS,
    EXPORT_KEY_ALL,
    EXPORT_KEY_REVERSE,
    EXPORT_KEY_THREAD
};

static const struct argp_option export_option_table[] = {
    {"format", EXPORT_KEY_FORMAT, "FORMAT", 0, "one of those listed below", 0},
    {"output", 'o', "OUT", 0, "write to OUT instead of stdout", 0},
    {"force", 'f', NULL, 0, "overwrite OUT if it exists", 0},
    {"metric", EXPORT_KEY_METRIC, "METRIC", 0,
     "allocated, allocations, live, blocks, peak, temporary, leaked or cpu (default live); "
     "formats that carry several metrics carry all and show this one first",
     0},
    {"process", EXPORT_KEY_PROCESS, "PID|#INDEX", 0,
     "one process, as the report lists them (default: the first)", 0},
    {"all-processes", EXPORT_KEY_ALL, NULL, 0, "all processes of the run, merged", 0},
    {"reverse", EXPORT_KEY_REVERSE, NULL, 0, "collapsed: innermost function first", 0},
    {"by-thread", EXPORT_KEY_THREAD, NULL, 0, "collapsed, cpu: begin stacks with the thread", 0},
    {0},
};

static const struct export_format *find_format(const char *name)
{
    for (size_t i = 0; i < EXPORT_FORMATS; i++) {
        if (strcmp(name, export_formats[i].name) == 0) {
            return &export_formats[i];
        }
    }
    return NULL;
}

static error_t fail_format(struct argp_state *state, const char *name)
{
    char list[256] = "";
    const char *names[EXPORT_FORMATS];
    size_t length = 0;
    for (size_t i = 0; i < EXPORT_FORMATS; i++) {
        names[i] = export_formats[i].name;
        length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%s",
                                   i == 0 ? "" : i + 1 < EXPORT_FORMATS ? ", " : " or ", names[i]);
    }
    const char *guess = name != NULL ? command_guess(name, names, EXPORT_FORMATS) : NULL;
    if (name == NULL) {
        return arguments_fail(state, "export: no format was named, choose --format %s", list);
    }
    return guess != NULL
               ? arguments_fail(state, "--format=%s: unknown, did you mean %s?", name, guess)
               : arguments_fail(state, "--format=%s: unknown, choose %s", name, list);
}

static error_t parse_end(struct argp_state *state, const struct export_arguments *arguments)
{
    if (arguments->request.file == NULL) {
        return arguments_fail(state, "export: no recording was named, write `memtrack export FILE "
                                     "--format F -o OUT`");
    }
    if (arguments->format == NULL) {
        return fail_format(state, NULL);
    }
    bool is_collapsed = strcmp(arguments->format->name, "collapsed") == 0;
    if ((arguments->is_reversed || arguments->by_thread) && !is_collapsed) {
        return arguments_fail(state, "--%s: only for --format collapsed; leave it out",
                              arguments->is_reversed ? "reverse" : "by-thread");
    }
    if (arguments->by_thread && arguments->metric != PROFILE_CPU) {
        return arguments_fail(state, "--by-thread: memory is counted by site, not by thread; use "
                                     "it with --metric cpu");
    }
    return 0;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct export_arguments *arguments = state->input;
    switch (key) {
    case EXPORT_KEY_FORMAT:
        arguments->format = find_format(value);
        return arguments->format != NULL ? 0 : fail_format(state, value);
    case EXPORT_KEY_METRIC:
        arguments->metric = profile_metric_find(value);
        return arguments->metric != PROFILE_METRICS
                   ? 0
                   : arguments_fail(state,
                                    "--metric=%s: unknown, choose allocated, allocations, live, "
                                    "blocks, peak, temporary, leaked or cpu",
                                    value);
    case EXPORT_KEY_PROCESS:
        arguments->request.process = value;
        return 0;
    case EXPORT_KEY_ALL:
        arguments->request.all_processes = true;
        return 0;
    case EXPORT_KEY_REVERSE:
        arguments->is_reversed = true;
        return 0;
    case EXPORT_KEY_THREAD:
        arguments->by_thread = true;
        return 0;
    case 'o':
        arguments->output = value;
        return 0;
    case 'f':
        arguments->overwrite = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->request.file != NULL) {
            return arguments_fail(state, "export: \"%s\" is one file too many, name one recording",
                                  value);
        }
        arguments->request.file = value;
        return 0;
    case ARGP_KEY_END:
        return parse_end(state, arguments);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the command ------------------------------------------------------------- */

static int export_write(const struct export_arguments *arguments, const struct profiled *profiled,
                        struct mt_error *error)
{
    const struct export_format *format = arguments->format;
    struct output output;
    bool to_stdout = arguments->output == NULL || strcmp(arguments->output, "-") == 0;
    if (format->is_binary && to_stdout && isatty(STDOUT_FILENO) == 1) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "--format=%s: is not for a terminal; name a file with -o",
                            format->name);
    }
    int code = output_create(&output, arguments->output, profiled->opened.model->selector.path,
                             arguments->overwrite, error);
    if (code != 0) {
        return code;
    }
    if (format->profile != NULL) {
        format->profile(output.file, profiled->profile, arguments->metric);
    } else {
        format->other(output.file, arguments, profiled);
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
        fprintf(out, "  %-12s %s\n", export_formats[i].name, export_formats[i].summary);
    }
    fclose(out);
    return list;
}

int command_export(int argc, char **argv)
{
    static const struct argp parser = {
        .options = export_option_table,
        .parser = parse_option,
        .args_doc = "FILE[@STATE]",
        .doc = "Writes a recording in the format of another tool.\v ",
        .help_filter = help_filter,
    };
    struct export_arguments arguments = {.metric = PROFILE_LIVE};
    struct mt_error error = {0};
    int code = arguments_parse(&parser, argc, argv, &arguments, &error);
    if (code != 0) {
        return code > 0 ? MT_STATUS_OK : command_fail(&error);
    }
    struct profiled profiled;
    code = profiled_open(&profiled, &arguments.request, &error);
    if (code == 0) {
        code = profiled_need(&profiled, arguments.metric, &error);
    }
    if (code == 0) {
        profiled_tell_nameless(&profiled);
        code = export_write(&arguments, &profiled, &error);
    }
    profiled_close(&profiled);
    return code != 0 ? command_fail(&error) : MT_STATUS_OK;
}
