#include "commands/cpu.h"

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/opened.h"
#include "commands/output.h"
#include "commands/quantity.h"
#include "report/cpu_report.h"

#include <errno.h>
#include <string.h>

#define CPU_TOP_DEFAULT 20u
#define CPU_FRAMES_SHOWN 12u

struct cpu_arguments {
    const char *file;
    const char *output;
    const char *process;
    enum output_format format;
    enum output_color color;
    struct cpu_request request;
    size_t top;
    bool is_wide;
};

enum cpu_key {
    CPU_KEY_FORMAT = 256,
    CPU_KEY_BY,
    CPU_KEY_OF,
    CPU_KEY_TOP,
    CPU_KEY_PROCESS,
    CPU_KEY_WIDE,
    CPU_KEY_COLOR
};

static const struct argp_option cpu_option_table[] = {
    {"by", CPU_KEY_BY, "WHAT", 0,
     "function, line, module, thread or stack (default function)", 0},
    {"of", CPU_KEY_OF, "FUNCTION", 0, "callers and callees of one function", 0},
    {"format", CPU_KEY_FORMAT, "FORMAT", 0, "text, json, csv or markdown (default text)", 0},
    {"output", 'o', "OUT", 0, "write to OUT instead of stdout", 0},
    {"top", CPU_KEY_TOP, "N", 0, "rows in each list, 0 for all (default 20)", 0},
    {"process", CPU_KEY_PROCESS, "PID|#INDEX", 0,
     "one process, as the report lists them (default: the whole run)", 0},
    {"wide", CPU_KEY_WIDE, NULL, 0, "full names, paths and stacks", 0},
    {"color", CPU_KEY_COLOR, "WHEN", 0, "auto, always or never (default auto)", 0},
    {0},
};

static bool parse_by(const char *text, enum cpu_by *by)
{
    static const char *const names[] = {"function", "line", "module", "thread", "stack"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *by = (enum cpu_by)i;
            return true;
        }
    }
    return false;
}

static error_t parse_look(int key, char *value, struct argp_state *state,
                          struct cpu_arguments *arguments)
{
    int choice = key == CPU_KEY_FORMAT ? output_parse_format(value) : output_parse_color(value);
    if (choice < 0) {
        return key == CPU_KEY_FORMAT
                   ? arguments_fail(state,
                                    "--format=%s: unknown, choose text, json, csv or markdown",
                                    value)
                   : arguments_fail(state, "--color=%s: unknown, choose auto, always or never",
                                    value);
    }
    if (key == CPU_KEY_FORMAT) {
        arguments->format = (enum output_format)choice;
    } else {
        arguments->color = (enum output_color)choice;
    }
    return 0;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct cpu_arguments *arguments = state->input;
    uint64_t number;
    struct mt_error error = {0};
    switch (key) {
    case CPU_KEY_FORMAT:
    case CPU_KEY_COLOR:
        return parse_look(key, value, state, arguments);
    case CPU_KEY_BY:
        if (!parse_by(value, &arguments->request.by)) {
            return arguments_fail(
                state, "--by=%s: unknown, choose function, line, module, thread or stack", value);
        }
        return 0;
    case CPU_KEY_OF:
        if (value[0] == '\0') {
            return arguments_fail(state, "--of: an empty name fits every function, name one");
        }
        arguments->request.of = value;
        return 0;
    case CPU_KEY_TOP:
        if (quantity_parse_number("--top", value, 0, 1000000, &number, &error) != 0) {
            return arguments_fail(state, "%s", error.text);
        }
        arguments->top = (size_t)number;
        return 0;
    case CPU_KEY_PROCESS:
        arguments->process = value;
        return 0;
    case CPU_KEY_WIDE:
        arguments->is_wide = true;
        return 0;
    case 'o':
        arguments->output = value;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->file != NULL) {
            return arguments_fail(state, "cpu: \"%s\" is one file too many, name one recording",
                                  value);
        }
        arguments->file = value;
        return 0;
    case ARGP_KEY_END:
        if (arguments->file == NULL) {
            return arguments_fail(state, "cpu: no recording was named, write `memtrack cpu FILE`");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Loads and analyses; *model is the caller's to free when 0 is returned. */
static int load(struct region *region, struct cpu_arguments *arguments, struct model **model,
                const struct cpu_result **result, struct mt_error *error)
{
    int code = opened_load(arguments->file, model, error);
    if (code != 0) {
        return code;
    }
    if (arguments->process != NULL) {
        arguments->request.process = model_find_process(*model, arguments->process);
        if (arguments->request.process == NULL) {
            code = mt_error_set(error, -ESRCH, MT_STATUS_NO_INPUT,
                                "%s: no process %s in it; it has %zu, #0 to #%zu",
                                (*model)->selector.path, arguments->process,
                                (*model)->process_count, (*model)->process_count - 1);
        }
    }
    if (code == 0) {
        code = cpu_analyze(region, *model, &arguments->request, result, error);
    }
    if (code != 0) {
        model_free(*model);
    }
    return code;
}

static void print_document(FILE *out, const struct cpu_arguments *arguments,
                           const struct cpu_result *result)
{
    struct cpu_report_options how = {.top = arguments->top,
                                     .frames_max = arguments->is_wide ? 0 : CPU_FRAMES_SHOWN};
    struct report_document *document = arguments->format == OUTPUT_CSV
                                           ? cpu_report_make_table(result)
                                           : cpu_report_make(result, &how);
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

static void print(FILE *out, const struct cpu_arguments *arguments,
                  const struct cpu_result *result)
{
    const char *damage = recording_reader_damage(result->model->reader);
    if (damage != NULL) {
        fprintf(stderr, "memtrack: %s: %s; this shows what could be read\n",
                result->model->selector.path, damage);
    }
    if (arguments->format == OUTPUT_JSON) {
        struct render_json json;
        render_json_init(&json, out);
        cpu_report_write(&json.tree, result);
        render_json_finish(&json);
    } else {
        print_document(out, arguments, result);
    }
}

int command_cpu(int argc, char **argv)
{
    static const struct argp parser = {
        .options = cpu_option_table,
        .parser = parse_option,
        .args_doc = "FILE",
        .doc = "Shows where CPU time went.\v"
               "self is time in a function itself, total is time in it or in what it called. Time "
               "in malloc and free is known by the site that allocated the block; releases count "
               "for that site too.",
    };
    struct cpu_arguments arguments = {.top = CPU_TOP_DEFAULT};
    struct mt_error error = {0};
    int code = arguments_parse(&parser, argc, argv, &arguments, &error);
    if (code != 0) {
        return code > 0 ? MT_STATUS_OK : command_fail(&error);
    }
    struct region *region = region_new();
    struct model *model = NULL;
    const struct cpu_result *result = NULL;
    code = load(region, &arguments, &model, &result, &error);
    if (code == 0) {
        struct output output;
        code = output_open(&output, arguments.output, model->selector.path, &error);
        if (code == 0) {
            print(output.file, &arguments, result);
            code = output_close(&output, &error);
        }
        model_free(model);
    }
    region_free(region);
    return code != 0 ? command_fail(&error) : MT_STATUS_OK;
}
