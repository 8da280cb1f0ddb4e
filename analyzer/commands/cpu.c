#include "commands/cpu.h"

#include "commands/command.h"
#include "commands/opened.h"
#include "commands/view.h"
#include "report/cpu_report.h"

#define CPU_TOP_DEFAULT 20u
#define CPU_FRAMES_SHOWN 12u

enum cpu_key { CPU_KEY_OF = VIEW_KEY_OWN };

static const struct argp_option cpu_own_options[] = {
    {"of", CPU_KEY_OF, "FUNCTION", 0, "callers and callees of one function", 0},
    {0},
};

static error_t parse_own(int key, char *value, const struct argp_state *state, void *context)
{
    struct cpu_request *request = context;
    if (key == CPU_KEY_OF) {
        if (value[0] == '\0') {
            return arguments_fail(state, "--of: an empty name fits every function, name one");
        }
        request->of = value;
    }
    return 0;
}

static const char *const cpu_by_names[] = {"function", "line", "module", "thread", "stack", NULL};

static const struct view_command cpu_command = {
    .name = "cpu",
    .operands = "FILE",
    .operands_min = 1,
    .operands_max = 1,
    .doc = "Shows where CPU time went.\v"
           "self is time in a function itself, total is time in it or in what it called. Time in "
           "malloc and free is known by the site that allocated the block; releases count for "
           "that site too.",
    .takes = {{.option = VIEW_BY, .words = cpu_by_names},
              {.option = VIEW_TOP},
              {.option = VIEW_PROCESS,
               .help = "one process, as the report lists them (default: the whole run)"},
              {.option = VIEW_FORMAT},
              {.option = VIEW_OUTPUT},
              {.option = VIEW_LOOK}},
    .own = cpu_own_options,
    .parse = parse_own,
};

struct cpu_shown {
    const struct cpu_result *result;
    struct cpu_report_options how;
};

static void write_json(struct report_tree *tree, const void *context)
{
    cpu_report_write(tree, ((const struct cpu_shown *)context)->result);
}

static struct report_document *make_table(const void *context)
{
    return cpu_report_make_table(((const struct cpu_shown *)context)->result);
}

static struct report_document *make_document(const void *context)
{
    const struct cpu_shown *shown = context;
    return cpu_report_make(shown->result, &shown->how);
}

static int run(const struct view_options *options, struct cpu_request *request,
               struct mt_error *error)
{
    struct region *region = region_new();
    struct opened opened;
    struct cpu_shown shown = {
        .how = {.top = options->top, .frames_max = options->is_wide ? 0 : CPU_FRAMES_SHOWN}};
    struct view_result result = {
        .write = write_json, .make_table = make_table, .make = make_document, .context = &shown};
    int code = opened_open_whole(&opened, options->files[0], options->process, error);
    if (code == 0) {
        request->process = options->process != NULL ? opened.process : NULL;
        request->by = (enum cpu_by)options->by;
        code = cpu_analyze(region, opened.model, request, &shown.result, error);
    }
    if (code == 0) {
        code = view_show(options, &result, opened.model->selector.path, error);
    }
    opened_close(&opened);
    region_free(region);
    return code;
}

int command_cpu(int argc, char **argv)
{
    struct cpu_request request = {0};
    struct view_options options = {.top = CPU_TOP_DEFAULT};
    struct mt_error error = {0};
    int code = view_options_parse(&cpu_command, argc, argv, &options, &request, &error);
    if (code == 0) {
        code = run(&options, &request, &error);
    }
    view_options_deinit(&options);
    return code < 0 ? command_fail(&error) : MT_STATUS_OK;
}
