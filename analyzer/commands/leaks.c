#include "commands/leaks.h"

#include "commands/command.h"
#include "commands/names.h"
#include "commands/opened.h"
#include "commands/quantity.h"
#include "commands/suppression_printer.h"
#include "commands/view.h"
#include "recorder/arena_find.h"
#include "recorder/snapshot_file.h"
#include "report/leaks_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEAKS_TOP_DEFAULT 10u

enum leaks_key { LEAKS_KEY_GENERATE = VIEW_KEY_OWN };

static const struct argp_option leaks_own_options[] = {
    {"gen-suppressions", LEAKS_KEY_GENERATE, NULL, 0,
     "print a suppression for each lost site, and nothing else", 0},
    {0},
};

static error_t parse_own(int key, char *value, const struct argp_state *state, void *context)
{
    bool *generates = context;
    (void)value;
    (void)state;
    *generates |= key == LEAKS_KEY_GENERATE;
    return 0;
}

static const struct view_command leaks_command = {
    .name = "leaks",
    .operands = "FILE[@STATE]|PID",
    .operands_min = 1,
    .operands_max = 1,
    .doc = "Shows what a process had lost (or, for a PID, has lost until now), by class, and who "
           "holds what it had not.\v"
           "definite: nothing points to it. indirect: only definite ones lead to it. possible: "
           "only pointers into its middle. reachable: still pointed to, with the chain from a "
           "root (a global, a thread's stack) that leads there.",
    .takes = {{.option = VIEW_TOP},
              {.option = VIEW_PROCESS},
              {.option = VIEW_SUPPRESSIONS},
              {.option = VIEW_FORMAT},
              {.option = VIEW_OUTPUT},
              {.option = VIEW_LOOK}},
    .own = leaks_own_options,
    .parse = parse_own,
};

struct leaks_shown {
    const struct leaks_result *result;
    struct suppressions *suppressions;
    struct leaks_report_options how;
};

static void write_json(struct report_tree *tree, const void *context)
{
    const struct leaks_shown *shown = context;
    leaks_report_write(tree, shown->result, shown->suppressions);
}

static struct report_document *make_table(const void *context)
{
    return leaks_report_make_table(((const struct leaks_shown *)context)->result);
}

static struct report_document *make_document(const void *context)
{
    const struct leaks_shown *shown = context;
    return leaks_report_make(shown->result, shown->suppressions, &shown->how);
}

static void print_suppressions(FILE *out, const struct leaks_result *result)
{
    for (size_t i = 0; i < result->item_count; i++) {
        const struct leaks_item *item = &result->items[i];
        suppression_print(out, result->model, item->site->stack, item->leak_class, item->blocks,
                          item->bytes);
    }
}

static int show(const struct view_options *options, bool generates,
                const struct leaks_result *leaks, struct suppressions *suppressions,
                const char *input, struct mt_error *error)
{
    struct leaks_shown shown = {
        .result = leaks, .suppressions = suppressions, .how = {.top = options->top}};
    struct view_result result = {
        .write = write_json, .make_table = make_table, .make = make_document, .context = &shown};
    if (!generates) {
        return view_show(options, &result, input, error);
    }
    struct output output;
    int code = output_open(&output, options->output, input, error);
    if (code == 0) {
        print_suppressions(output.file, leaks);
        code = output_close(&output, error);
    }
    return code;
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
        code = names_take_snapshot(&file, &options, pid, false, error);
    }
    arena_file_close(&file);
    return code;
}

static int run(const struct view_options *options, const char *file, bool generates,
               struct mt_error *error)
{
    struct region *region = region_new();
    struct opened opened = {0};
    struct suppressions suppressions;
    struct leaks_result result;
    suppressions_init(&suppressions, region);
    int code = 0;
    for (size_t i = 0; code == 0 && i < options->suppression_count; i++) {
        code = suppressions_add_file(&suppressions, options->suppressions[i], error);
    }
    if (code == 0) {
        code = opened_open(&opened, file, options->process, error);
    }
    if (code == 0) {
        code = leaks_add_recorded_suppressions(opened.model, &suppressions, error);
    }
    if (code == 0) {
        opened_tell_choice(&opened);
        leaks_analyze(region, opened.model, opened.process, &suppressions, &result);
        code = show(options, generates, &result, &suppressions, opened.model->selector.path, error);
    }
    suppressions_deinit(&suppressions);
    opened_close(&opened);
    region_free(region);
    return code;
}

/* A running process scans itself, and what it found is shown like a recording. */
static int run_process(const struct view_options *options, pid_t pid, bool generates,
                       struct mt_error *error)
{
    char path[] = "/tmp/memtrack-leaks-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) {
        return mt_error_set(error, -errno, MT_STATUS_FAILED, "%s: %s: make room in /tmp", path,
                            strerror(errno));
    }
    int code = leaks_ask(pid, path, error);
    if (code == 0) {
        code = run(options, path, generates, error);
    }
    close(fd);
    (void)unlink(path);
    return code;
}

int command_leaks(int argc, char **argv)
{
    bool generates = false;
    struct view_options options = {.top = LEAKS_TOP_DEFAULT};
    struct mt_error error = {0};
    int code = view_options_parse(&leaks_command, argc, argv, &options, &generates, &error);
    if (code == 0) {
        pid_t pid = leaks_pid(options.files[0]);
        code = pid > 0 ? run_process(&options, pid, generates, &error)
                       : run(&options, options.files[0], generates, &error);
    }
    view_options_deinit(&options);
    return code < 0 ? command_fail(&error) : MT_STATUS_OK;
}
