#include "commands/diff.h"

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/opened.h"
#include "commands/output.h"
#include "commands/quantity.h"
#include "report/diff_report.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define DIFF_TOP_DEFAULT 20u
#define DIFF_FRAMES_SHOWN 8u
#define DIFF_STACKS_SHOWN 5u

struct diff_arguments {
    const char *files[2];
    size_t file_count;
    const char *process; /* "P" for both or "P,Q" */
    const char *focus;
    const char *ignore;
    const char *output;
    enum output_format format;
    enum output_color color;
    bool is_wide;
    size_t top;
    struct diff_options options;
};

enum diff_key {
    DIFF_KEY_BY = 256,
    DIFF_KEY_SORT,
    DIFF_KEY_TOP,
    DIFF_KEY_MIN_BYTES,
    DIFF_KEY_FOCUS,
    DIFF_KEY_IGNORE,
    DIFF_KEY_PROCESS,
    DIFF_KEY_FORMAT,
    DIFF_KEY_WIDE,
    DIFF_KEY_COLOR
};

static const struct argp_option diff_option_table[] = {
    {"by", DIFF_KEY_BY, "WHAT", 0, "stack (default), function, file, module or line", 0},
    {"sort", DIFF_KEY_SORT, "METRIC", 0,
     "live (bytes, default), blocks, allocations, allocated (bytes) or temporary", 0},
    {"top", DIFF_KEY_TOP, "N", 0, "rows of the text (default 20)", 0},
    {"min-bytes", DIFF_KEY_MIN_BYTES, "BYTES", 0, "only what changed by so many live bytes", 0},
    {"focus", DIFF_KEY_FOCUS, "REGEX", 0,
     "only stacks with a function, file or module that matches", 0},
    {"ignore", DIFF_KEY_IGNORE, "REGEX", 0, "no stacks with a function, file or module that matches",
     0},
    {"process", DIFF_KEY_PROCESS, "P[,Q]", 0,
     "the process to compare, by pid, #INDEX or name; Q is B's (default: the run's first)", 0},
    {"format", DIFF_KEY_FORMAT, "FORMAT", 0, "text, json, csv or markdown (default text)", 0},
    {"output", 'o', "OUT", 0, "write to OUT instead of stdout", 0},
    {"wide", DIFF_KEY_WIDE, NULL, 0, "full names, paths and stacks", 0},
    {"color", DIFF_KEY_COLOR, "WHEN", 0, "auto, always or never (default auto)", 0},
    {0},
};

static int diff_find_word(const char *text, const char *const *words, int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static error_t diff_parse_words(int key, char *value, const struct argp_state *state)
{
    static const char *const by[] = {"stack", "function", "file", "module", "line"};
    static const char *const sort[] = {"live", "blocks", "allocations", "allocated", "temporary"};
    struct diff_arguments *arguments = state->input;
    int choice = key == DIFF_KEY_BY       ? diff_find_word(value, by, 5)
                 : key == DIFF_KEY_SORT   ? diff_find_word(value, sort, 5)
                 : key == DIFF_KEY_FORMAT ? output_parse_format(value)
                                          : output_parse_color(value);
    if (choice < 0) {
        return key == DIFF_KEY_BY
                   ? arguments_fail(state,
                                    "--by=%s: unknown, choose stack, function, file, module or line",
                                    value)
               : key == DIFF_KEY_SORT
                   ? arguments_fail(state,
                                    "--sort=%s: unknown, choose live, blocks, allocations, "
                                    "allocated or temporary",
                                    value)
               : key == DIFF_KEY_FORMAT
                   ? arguments_fail(state,
                                    "--format=%s: unknown, choose text, json, csv or markdown",
                                    value)
                   : arguments_fail(state, "--color=%s: unknown, choose auto, always or never",
                                    value);
    }
    if (key == DIFF_KEY_BY) {
        arguments->options.by = (enum diff_by)choice;
    } else if (key == DIFF_KEY_SORT) {
        arguments->options.sort = (enum diff_sort)choice;
    } else if (key == DIFF_KEY_FORMAT) {
        arguments->format = (enum output_format)choice;
    } else {
        arguments->color = (enum output_color)choice;
    }
    return 0;
}

static error_t diff_parse_numbers(int key, const char *value, const struct argp_state *state)
{
    struct diff_arguments *arguments = state->input;
    struct mt_error error = {0};
    uint64_t number = 0;
    if (key == DIFF_KEY_TOP) {
        if (quantity_parse_number("--top", value, 0, 1000000, &number, &error) != 0) {
            return arguments_fail(state, "%s", error.text);
        }
        arguments->top = (size_t)number;
        return 0;
    }
    if (quantity_parse_bytes("--min-bytes", value, &number, &error) != 0) {
        return arguments_fail(state, "%s", error.text);
    }
    arguments->options.min_bytes = number > INT64_MAX ? INT64_MAX : (int64_t)number;
    return 0;
}

static error_t diff_parse(int key, char *value, struct argp_state *state)
{
    struct diff_arguments *arguments = state->input;
    switch (key) {
    case DIFF_KEY_BY:
    case DIFF_KEY_SORT:
    case DIFF_KEY_FORMAT:
    case DIFF_KEY_COLOR:
        return diff_parse_words(key, value, state);
    case DIFF_KEY_TOP:
    case DIFF_KEY_MIN_BYTES:
        return diff_parse_numbers(key, value, state);
    case DIFF_KEY_FOCUS:
        arguments->focus = value;
        return 0;
    case DIFF_KEY_IGNORE:
        arguments->ignore = value;
        return 0;
    case DIFF_KEY_PROCESS:
        arguments->process = value;
        return 0;
    case DIFF_KEY_WIDE:
        arguments->is_wide = true;
        return 0;
    case 'o':
        arguments->output = value;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->file_count == 2) {
            return arguments_fail(state, "diff: \"%s\" is one too many, name two states", value);
        }
        arguments->files[arguments->file_count++] = value;
        return 0;
    case ARGP_KEY_END:
        if (arguments->file_count < 2) {
            return arguments_fail(state,
                                  "diff: two states are needed, write `memtrack diff A B` or "
                                  "`memtrack diff FILE@first FILE@last`");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Compiles a pattern of an option; *pattern stays NULL without one. */
static int diff_compile(const char *option, const char *text, regex_t *space,
                        const regex_t **pattern, struct mt_error *error)
{
    if (text == NULL) {
        return 0;
    }
    int code = regcomp(space, text, REG_EXTENDED | REG_NOSUB);
    if (code != 0) {
        char why[128];
        regerror(code, space, why, sizeof(why));
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "%s=%s: %s; it is a POSIX extended regular expression", option, text,
                            why);
    }
    *pattern = space;
    return 0;
}

static void diff_print(FILE *out, const struct diff_arguments *arguments, const struct opened *a,
                       const struct opened *b)
{
    struct region *region = region_new();
    const struct diff *diff =
        diff_make(region, a->model, a->process, b->model, b->process, &arguments->options);
    struct diff_report_options how = {
        .name_a = arguments->files[0],
        .name_b = arguments->files[1],
        .top = arguments->top,
        .frames_max = arguments->is_wide ? 0 : DIFF_FRAMES_SHOWN,
        .stacks_max = arguments->is_wide ? 0 : DIFF_STACKS_SHOWN,
    };
    if (arguments->format == OUTPUT_JSON) {
        struct render_json json;
        render_json_init(&json, out);
        diff_report_write(&json.tree, diff, &how);
        render_json_finish(&json);
    } else {
        struct report_document *document = arguments->format == OUTPUT_CSV
                                               ? diff_report_make_table(diff)
                                               : diff_report_make(diff, &how);
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
    region_free(region);
}

/* A side that is loaded while the other one is. */
struct diff_load {
    struct opened *opened;
    const char *file;
    const char *process;
    struct mt_error error;
    int code;
};

static void *diff_load_side(void *context)
{
    struct diff_load *load = context;
    load->code = opened_open(load->opened, load->file, load->process, &load->error);
    return NULL;
}

/* Loads both sides at once: they share nothing. */
static int diff_load(const struct diff_arguments *arguments, const char *const process[2],
                     struct opened sides[2], struct mt_error *error)
{
    struct diff_load loads[2];
    pthread_t thread;
    for (size_t i = 0; i < 2; i++) {
        loads[i] = (struct diff_load){
            .opened = &sides[i], .file = arguments->files[i], .process = process[i]};
    }
    bool is_parallel = pthread_create(&thread, NULL, diff_load_side, &loads[0]) == 0;
    if (!is_parallel) {
        diff_load_side(&loads[0]);
    }
    diff_load_side(&loads[1]);
    if (is_parallel) {
        pthread_join(thread, NULL);
    }
    const struct diff_load *failed = loads[0].code != 0 ? &loads[0] : &loads[1];
    *error = failed->error;
    return failed->code;
}

static int diff_run(struct diff_arguments *arguments, struct mt_error *error)
{
    regex_t focus;
    regex_t ignore;
    struct opened sides[2] = {0};
    const char *process[2] = {arguments->process, arguments->process};
    char first[64];
    const char *comma = arguments->process != NULL ? strchr(arguments->process, ',') : NULL;
    if (comma != NULL && (size_t)(comma - arguments->process) < sizeof(first)) {
        memcpy(first, arguments->process, (size_t)(comma - arguments->process));
        first[comma - arguments->process] = '\0';
        process[0] = first;
        process[1] = comma + 1;
    }
    int code = diff_compile("--focus", arguments->focus, &focus, &arguments->options.focus, error);
    if (code == 0) {
        code =
            diff_compile("--ignore", arguments->ignore, &ignore, &arguments->options.ignore, error);
    }
    if (code == 0) {
        code = diff_load(arguments, process, sides, error);
    }
    struct output output;
    if (code == 0) {
        code = output_open(&output, arguments->output, sides[0].model->selector.path, error);
    }
    if (code == 0) {
        diff_print(output.file, arguments, &sides[0], &sides[1]);
        code = output_close(&output, error);
    }
    opened_close(&sides[0]);
    opened_close(&sides[1]);
    if (arguments->options.focus != NULL) {
        regfree(&focus);
    }
    if (arguments->options.ignore != NULL) {
        regfree(&ignore);
    }
    return code;
}

int command_diff(int argc, char **argv)
{
    static const struct argp parser = {
        .options = diff_option_table,
        .parser = diff_parse,
        .args_doc = "A[@STATE] B[@STATE]",
        .doc = "Shows what changed from A to B: two states of one recording, or two recordings.\v"
               "STATE selects a moment: @3 (snapshot 3), @first, @last, @peak, @exit, @12.5s (the "
               "latest at or before), @label:NAME. Without one it is the end. Two whole "
               "recordings are also compared by peak, allocations, CPU and wall time. Stacks of "
               "different builds of a program are matched by function names and lines.",
    };
    struct diff_arguments arguments = {.top = DIFF_TOP_DEFAULT};
    struct mt_error error = {0};
    int code = arguments_parse(&parser, argc, argv, &arguments, &error);
    if (code != 0) {
        return code > 0 ? MT_STATUS_OK : command_fail(&error);
    }
    if (diff_run(&arguments, &error) != 0) {
        return command_fail(&error);
    }
    return MT_STATUS_OK;
}
