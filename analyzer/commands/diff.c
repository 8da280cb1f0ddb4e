#include "commands/diff.h"

#include "analyses/leaks.h"
#include "commands/command.h"
#include "commands/opened.h"
#include "commands/view.h"
#include "report/diff_report.h"

#include <pthread.h>
#include <string.h>

#define DIFF_TOP_DEFAULT 20u
#define DIFF_FRAMES_SHOWN 8u
#define DIFF_STACKS_SHOWN 5u

static const char *const diff_by_names[] = {"stack", "function", "file", "module", "line", NULL};
static const char *const diff_sort_names[] = {"live",      "blocks",    "allocations",
                                              "allocated", "temporary", NULL};

static const struct view_command diff_command = {
    .name = "diff",
    .operands = "A[@STATE] B[@STATE]",
    .operands_min = 2,
    .operands_max = 2,
    .missing = "two states are needed",
    .example = "A B` or `memtrack diff FILE@first FILE@last",
    .one_more = "one too many, name two states",
    .doc = "Shows what changed from A to B: two states of one recording, or two recordings.\v"
           "STATE selects a moment: @3 (snapshot 3), @first, @last, @peak, @exit, @12.5s (the "
           "latest at or before), @label:NAME. Without one it is the end. Two whole recordings "
           "are also compared by peak, allocations, CPU and wall time. Stacks of different builds "
           "of a program are matched by function names and lines.",
    .takes = {{.option = VIEW_BY, .words = diff_by_names},
              {.option = VIEW_SORT,
               .words = diff_sort_names,
               .help = "live (bytes, default), blocks, allocations, allocated (bytes) or "
                       "temporary"},
              {.option = VIEW_TOP, .help = "rows of the text, 0 for all"},
              {.option = VIEW_MIN_BYTES},
              {.option = VIEW_FOCUS},
              {.option = VIEW_PROCESS,
               .value = "P[,Q]",
               .help = "the process to compare, by pid, #INDEX or name; Q is B's (default: the "
                       "run's first)"},
              {.option = VIEW_FORMAT},
              {.option = VIEW_OUTPUT},
              {.option = VIEW_LOOK}},
};

struct diff_shown {
    const struct diff *diff;
    struct diff_report_options how;
};

static void write_json(struct report_tree *tree, const void *context)
{
    const struct diff_shown *shown = context;
    diff_report_write(tree, shown->diff, &shown->how);
}

static struct report_document *make_table(const void *context)
{
    return diff_report_make_table(((const struct diff_shown *)context)->diff);
}

static struct report_document *make_document(const void *context)
{
    const struct diff_shown *shown = context;
    return diff_report_make(shown->diff, &shown->how);
}

static int diff_show(const struct view_options *options, const struct opened *a,
                     const struct opened *b, struct mt_error *error)
{
    struct region *region = region_new();
    const struct diff_options request = {.by = (enum diff_by)options->by,
                                         .sort = (enum diff_sort)options->sort,
                                         .min_bytes = options->min_bytes,
                                         .focus = options->focus,
                                         .ignore = options->ignore};
    const struct diff_shown shown = {
        .diff = diff_make(region, a->model, a->process, b->model, b->process, &request),
        .how = {.name_a = options->files[0],
                .name_b = options->files[1],
                .top = options->top > 0 ? options->top : SIZE_MAX,
                .frames_max = options->is_wide ? 0 : DIFF_FRAMES_SHOWN,
                .stacks_max = options->is_wide ? 0 : DIFF_STACKS_SHOWN}};
    const struct view_result result = {
        .write = write_json, .make_table = make_table, .make = make_document, .context = &shown};
    int code = view_show(options, &result, a->model->selector.path, error);
    region_free(region);
    return code;
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
    if (load->code == 0) {
        load->code = leaks_settle(load->opened->model, &load->error);
    }
    return NULL;
}

/* Loads both sides: two states of one recording together, two recordings at once. */
static int diff_load(const struct view_options *options, const char *const process[2],
                     struct opened sides[2], struct mt_error *error)
{
    struct diff_load loads[2];
    pthread_t thread;
    if (opened_is_same_file(options->files[0], options->files[1])) {
        int code = opened_open(&sides[0], options->files[0], process[0], error);
        return code != 0 ? code
                         : opened_open_beside(&sides[1], &sides[0], options->files[1],
                                              process[1], error);
    }
    for (size_t i = 0; i < 2; i++) {
        loads[i] = (struct diff_load){
            .opened = &sides[i], .file = options->files[i], .process = process[i]};
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

static int run(const struct view_options *options, struct mt_error *error)
{
    struct opened sides[2] = {0};
    const char *process[2] = {options->process, options->process};
    char first[64];
    const char *comma = options->process != NULL ? strchr(options->process, ',') : NULL;
    if (comma != NULL && (size_t)(comma - options->process) < sizeof(first)) {
        memcpy(first, options->process, (size_t)(comma - options->process));
        first[comma - options->process] = '\0';
        process[0] = first;
        process[1] = comma + 1;
    }
    int code = diff_load(options, process, sides, error);
    if (code == 0) {
        code = diff_show(options, &sides[0], &sides[1], error);
    }
    opened_close(&sides[1]); /* it may share with the other */
    opened_close(&sides[0]);
    return code;
}

int command_diff(int argc, char **argv)
{
    struct view_options options = {.top = DIFF_TOP_DEFAULT};
    struct mt_error error = {0};
    int code = view_options_parse(&diff_command, argc, argv, &options, NULL, &error);
    if (code == 0) {
        code = run(&options, &error);
    }
    view_options_deinit(&options);
    return code < 0 ? command_fail(&error) : MT_STATUS_OK;
}
