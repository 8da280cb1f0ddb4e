#include "commands/list.h"

#include <stdlib.h>
#include <string.h>

#include "commands/command.h"
#include "commands/view_options.h"
#include "recorder/arena_find.h"

struct list {
    bool is_json;
    struct report_document *document;
    struct report_table *table;
    struct render_json json;
};

static const char *const list_format_names[] = {"text", "json", NULL};

static const struct view_command list_command = {
    .name = "list",
    .one_more = "one argument too many, it takes none",
    .doc = "Lists the tracked processes of this user: those that `memtrack snapshot PID` reaches.",
    .takes = {{.option = VIEW_FORMAT, .words = list_format_names}},
};

/* A process as the arena shows it now. */
static int list_visit(void *context, pid_t pid, const struct arena_file *file, uint32_t index)
{
    struct list *list = context;
    const struct arena_header *header = file->arena.header;
    uint64_t offset = atomic_load_explicit(&header->process_offset[index], memory_order_acquire);
    const struct arena_process *process = arena_at(&file->arena, offset, sizeof *process);
    if (process == NULL) {
        return 0;
    }
    uint64_t now_ns = arena_file_now_ns(file) + header->started_monotonic_ns;
    uint64_t age_ns =
        now_ns > process->started_monotonic_ns ? now_ns - process->started_monotonic_ns : 0;
    int64_t live = atomic_load_explicit(&process->shared_live_bytes, memory_order_relaxed);
    int64_t peak = atomic_load_explicit(&process->peak_bytes, memory_order_relaxed);
    peak = live > peak ? live : peak;
    char program[ARENA_TEXT_BYTES];
    memcpy(program, process->executable, sizeof program);
    program[sizeof program - 1] = '\0';
    if (list->is_json) {
        struct report_tree *tree = &list->json.tree;
        tree_object(tree, NULL);
        tree_integer(tree, "pid", pid);
        tree_text(tree, "program", program);
        tree_number(tree, "seconds", (double)age_ns / 1e9);
        tree_integer(tree, "live_bytes", live);
        tree_integer(tree, "peak_bytes", peak);
        tree_integer(tree, "recorder_pid", header->recorder_pid);
        tree_end(tree);
        return 0;
    }
    struct report_row *row = report_add_row(list->document, list->table);
    report_set_text(row, 0, region_format(list->document->region, "%d", (int)pid));
    report_set_number(row, 1, (double)age_ns / 1e9);
    report_set_integer(row, 2, live);
    report_set_integer(row, 3, peak);
    report_set_text(row, 4, region_copy_text(list->document->region, program));
    return 0;
}

static void list_print_text(struct list *list)
{
    static const struct report_column columns[] = {{"pid", "pid", REPORT_TEXT},
                                                   {"since", "seconds", REPORT_SECONDS},
                                                   {"live", "live_bytes", REPORT_BYTES},
                                                   {"peak", "peak_bytes", REPORT_BYTES},
                                                   {"program", "program", REPORT_TEXT}};
    list->document = report_document_new();
    list->table = report_add_table(list->document, columns, 5);
    (void)arena_find_each(list_visit, list);
    if (list->table->row_count > 0) {
        struct render_options look = output_render_options(stdout, OUTPUT_COLOR_AUTO, true);
        render_text(stdout, list->document, &look);
    } else {
        fputs("memtrack: no process of yours is tracked: `memtrack PROGRAM` starts one\n", stderr);
    }
    report_document_free(list->document);
}

static void list_print_json(struct list *list)
{
    render_json_init(&list->json, stdout);
    tree_object(&list->json.tree, NULL);
    tree_integer(&list->json.tree, "schema", 1);
    tree_array(&list->json.tree, "processes");
    (void)arena_find_each(list_visit, list);
    tree_end(&list->json.tree);
    tree_end(&list->json.tree);
    render_json_finish(&list->json);
}

int command_list(int argc, char **argv)
{
    struct list list = {0};
    struct view_options options = {0};
    struct mt_error error = {0};
    struct output output;
    int code = view_options_parse(&list_command, argc, argv, &options, NULL, &error);
    if (code == 0) {
        code = output_open(&output, NULL, NULL, &error);
    }
    if (code == 0) {
        list.is_json = strcmp(list_format_names[options.format], "json") == 0;
        if (list.is_json) {
            list_print_json(&list);
        } else {
            list_print_text(&list);
        }
        code = output_close(&output, &error);
    }
    view_options_deinit(&options);
    return code < 0 ? command_fail(&error) : MT_STATUS_OK;
}
