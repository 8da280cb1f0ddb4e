#include "commands/leaks.h"

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/names.h"
#include "commands/opened.h"
#include "commands/output.h"
#include "commands/quantity.h"
#include "recorder/arena_find.h"
#include "recorder/snapshot_file.h"
#include "report/leaks_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEAKS_TOP_DEFAULT 10u
#define LEAKS_SUPPRESSIONS_MAX 64u
#define LEAKS_FRAMES_GENERATED 24u

struct leaks_arguments {
    const char *file;
    const char *output;
    const char *process;
    enum output_format format;
    enum output_color color;
    const char *suppressions[LEAKS_SUPPRESSIONS_MAX];
    size_t suppression_count;
    size_t top;
    bool is_wide;
    bool generates; /* --gen-suppressions */
};

enum leaks_key {
    LEAKS_KEY_FORMAT = 256,
    LEAKS_KEY_TOP,
    LEAKS_KEY_PROCESS,
    LEAKS_KEY_SUPPRESSIONS,
    LEAKS_KEY_GENERATE,
    LEAKS_KEY_WIDE,
    LEAKS_KEY_COLOR
};

static const struct argp_option leaks_option_table[] = {
    {"format", LEAKS_KEY_FORMAT, "FORMAT", 0, "text, json, csv or markdown (default text)", 0},
    {"output", 'o', "OUT", 0, "write to OUT instead of stdout", 0},
    {"top", LEAKS_KEY_TOP, "N", 0, "rows in each list, 0 for all (default 10)", 0},
    {"process", LEAKS_KEY_PROCESS, "PID|#INDEX|NAME", 0, "one process (default: the first)", 0},
    {"suppressions", LEAKS_KEY_SUPPRESSIONS, "FILE", 0,
     "known leaks, in LSan's or Valgrind's syntax; repeatable", 0},
    {"gen-suppressions", LEAKS_KEY_GENERATE, NULL, 0,
     "print a suppression for each lost site, and nothing else", 0},
    {"wide", LEAKS_KEY_WIDE, NULL, 0, "full names, paths and stacks", 0},
    {"color", LEAKS_KEY_COLOR, "WHEN", 0, "auto, always or never (default auto)", 0},
    {0},
};

static error_t parse_look(int key, const char *value, struct argp_state *state,
                          struct leaks_arguments *arguments)
{
    int choice = key == LEAKS_KEY_FORMAT ? output_parse_format(value) : output_parse_color(value);
    if (choice < 0) {
        return key == LEAKS_KEY_FORMAT
                   ? arguments_fail(state,
                                    "--format=%s: unknown, choose text, json, csv or markdown",
                                    value)
                   : arguments_fail(state, "--color=%s: unknown, choose auto, always or never",
                                    value);
    }
    if (key == LEAKS_KEY_FORMAT) {
        arguments->format = (enum output_format)choice;
    } else {
        arguments->color = (enum output_color)choice;
    }
    return 0;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct leaks_arguments *arguments = state->input;
    uint64_t number;
    struct mt_error error = {0};
    switch (key) {
    case LEAKS_KEY_FORMAT:
    case LEAKS_KEY_COLOR:
        return parse_look(key, value, state, arguments);
    case LEAKS_KEY_TOP:
        if (quantity_parse_number("--top", value, 0, 1000000, &number, &error) != 0) {
            return arguments_fail(state, "%s", error.text);
        }
        arguments->top = (size_t)number;
        return 0;
    case LEAKS_KEY_PROCESS:
        arguments->process = value;
        return 0;
    case LEAKS_KEY_SUPPRESSIONS:
        if (arguments->suppression_count == LEAKS_SUPPRESSIONS_MAX) {
            return arguments_fail(state, "--suppressions: more than %u files, join some of them",
                                  LEAKS_SUPPRESSIONS_MAX);
        }
        arguments->suppressions[arguments->suppression_count++] = value;
        return 0;
    case LEAKS_KEY_GENERATE:
        arguments->generates = true;
        return 0;
    case LEAKS_KEY_WIDE:
        arguments->is_wide = true;
        return 0;
    case 'o':
        arguments->output = value;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->file != NULL) {
            return arguments_fail(state, "leaks: \"%s\" is one file too many, name one recording",
                                  value);
        }
        arguments->file = value;
        return 0;
    case ARGP_KEY_END:
        if (arguments->file == NULL) {
            return arguments_fail(state,
                                  "leaks: no recording was named, write `memtrack leaks FILE`");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* A suppression in Valgrind's form for each site that lost blocks. */
static void print_suppressions(FILE *out, const struct leaks_result *result)
{
    const struct model_frame *frames[LEAKS_FRAMES_GENERATED];
    for (size_t i = 0; i < result->item_count; i++) {
        const struct leaks_item *item = &result->items[i];
        size_t count = model_stack_frames(result->model, item->site->stack, frames,
                                          LEAKS_FRAMES_GENERATED);
        fprintf(out, "{\n   leak %zu: %lld bytes in %lld blocks\n   Memcheck:Leak\n", i + 1,
                (long long)item->bytes, (long long)item->blocks);
        fprintf(out, "   match-leak-kinds: %s\n", leaks_class_name(item->leak_class));
        for (size_t j = 0; j < count; j++) {
            const char *name =
                frames[j]->linkage_name != NULL ? frames[j]->linkage_name : frames[j]->function;
            if (name != NULL) {
                fprintf(out, "   fun:");
            } else {
                fprintf(out, "   obj:");
                name = frames[j]->module != NULL && frames[j]->module->path[0] != '\0'
                           ? frames[j]->module->path
                           : "*";
            }
            (void)render_safe_text(out, name, 0, true);
            fputc('\n', out);
        }
        fputs("}\n", out);
    }
}

static void print(FILE *out, const struct leaks_arguments *arguments,
                  const struct leaks_result *result, struct suppressions *suppressions)
{
    if (arguments->generates) {
        print_suppressions(out, result);
        return;
    }
    if (arguments->format == OUTPUT_JSON) {
        struct render_json json;
        render_json_init(&json, out);
        leaks_report_write(&json.tree, result, suppressions);
        render_json_finish(&json);
        return;
    }
    struct leaks_report_options how = {.top = arguments->top};
    struct report_document *document = arguments->format == OUTPUT_CSV
                                           ? leaks_report_make_table(result)
                                           : leaks_report_make(result, suppressions, &how);
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

/* The process's number, where `name` is one and no file of that name is there; else 0. */
static pid_t leaks_pid(const char *name)
{
    uint64_t number;
    struct mt_error ignored = {0};
    return access(name, F_OK) != 0
                   && quantity_parse_number("PID", name, 1, INT32_MAX, &number, &ignored) == 0
               ? (pid_t)number
               : 0;
}

/* Lets a running process scan itself; the result goes to a new file at `path`. */
static int leaks_ask(pid_t pid, const char *path, struct mt_error *error)
{
    struct arena_file file;
    int code = arena_find_process(pid, &file, error);
    if (code != 0) {
        return code;
    }
    struct snapshot_file_options options = {.output = path,
                                            .cause = "request",
                                            .overwrite = true,
                                            .only = arena_find_index(&file, pid),
                                            .with_census = true};
    if (options.only < 0) {
        code = mt_error_set(error, -ENOENT, MT_STATUS_NO_INPUT,
                            "%d: it has not recorded anything yet: try again", (int)pid);
    }
    if (code == 0) {
        code = snapshot_file_write(&file, &options, error);
    }
    arena_file_close(&file);
    if (code == 0) {
        struct mt_error ignored = {0};
        (void)names_resolve(path, pid, true, &ignored);
    }
    return code;
}

static int leaks_run(const struct leaks_arguments *arguments, struct region *region,
                     struct mt_error *error)
{
    struct opened opened = {0};
    struct suppressions suppressions;
    struct leaks_result result;
    struct output output;
    suppressions_init(&suppressions, region);
    int code = 0;
    for (size_t i = 0; code == 0 && i < arguments->suppression_count; i++) {
        code = suppressions_add_file(&suppressions, arguments->suppressions[i], error);
    }
    if (code == 0) {
        code = opened_open(&opened, arguments->file, arguments->process, error);
    }
    if (code == 0) {
        code = leaks_add_recorded_suppressions(opened.model, &suppressions, error);
    }
    if (code == 0) {
        leaks_analyze(region, opened.model, opened.process, &suppressions, &result);
        code = output_open(&output, arguments->output, opened.model->selector.path, error);
    }
    if (code == 0) {
        print(output.file, arguments, &result, &suppressions);
        code = output_close(&output, error);
    }
    suppressions_deinit(&suppressions);
    opened_close(&opened);
    return code;
}

int command_leaks(int argc, char **argv)
{
    static const struct argp parser = {
        .options = leaks_option_table,
        .parser = parse_option,
        .args_doc = "FILE[@STATE]|PID",
        .doc = "Shows what a process had lost (or, for a PID, has lost until now), by class, and who holds what it had not.\v"
               "definite: nothing points to it. indirect: only definite ones lead to it. "
               "possible: only pointers into its middle. reachable: still pointed to, with the "
               "chain from a root (a global, a thread's stack) that leads there.",
    };
    struct leaks_arguments arguments = {.top = LEAKS_TOP_DEFAULT};
    struct mt_error error = {0};
    int code = arguments_parse(&parser, argc, argv, &arguments, &error);
    if (code != 0) {
        return code > 0 ? MT_STATUS_OK : command_fail(&error);
    }
    struct region *region = region_new();
    pid_t pid = leaks_pid(arguments.file);
    char path[] = "/tmp/memtrack-leaks-XXXXXX";
    int fd = pid > 0 ? mkstemp(path) : -1;
    if (pid > 0) {
        code = fd < 0 ? mt_error_set(&error, -errno, MT_STATUS_FAILED, "%s: %s: make room in /tmp",
                                     path, strerror(errno))
                      : leaks_ask(pid, path, &error);
        arguments.file = path;
    }
    if (code == 0) {
        code = leaks_run(&arguments, region, &error);
    }
    if (fd >= 0) {
        close(fd);
        (void)unlink(path);
    }
    region_free(region);
    return code != 0 ? command_fail(&error) : MT_STATUS_OK;
}
