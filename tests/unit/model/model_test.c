/* States, sites, stacks and locations of recordings whose numbers are known. */
#include "model/frame_kind.h"
#include "model/model.h"
#include "recording/writer.h"
#include "support/sample_recording.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/memtrack-model-XXXXXX");
    char path[128];
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(path, sizeof(path), "%s/service", folder);
    sample_write_service(path);
    snprintf(path, sizeof(path), "%s/tree", folder);
    sample_write_tree(path);
    snprintf(path, sizeof(path), "%s/hostile", folder);
    sample_write_hostile(path);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static int try_load(const char *name, struct model **model, struct mt_error *error)
{
    char argument[256];
    snprintf(argument, sizeof(argument), "%s/%s", folder, name);
    struct region *region = region_new();
    struct model_selector selector;
    int code = model_selector_parse(region, argument, &selector, error);
    if (code == 0) {
        code = model_load(&selector, model, error);
    }
    region_free(region);
    return code;
}

static struct model *load(const char *name)
{
    struct model *model = NULL;
    struct mt_error error = {0};
    if (try_load(name, &model, &error) != 0) {
        fail_msg("%s", error.text);
    }
    return model;
}

static const struct model_site *site_at(const struct model_process *process, const char *function)
{
    for (size_t i = 0; i < process->site_count; i++) {
        const struct model_frame *location = process->sites[i].stack->location;
        if (location != NULL && location->function != NULL
            && strcmp(location->function, function) == 0) {
            return &process->sites[i];
        }
    }
    fail_msg("no site at %s", function);
    return NULL;
}

static void sites_with_equal_stacks_are_one(void **state)
{
    (void)state;
    struct model *model = load("service");
    const struct model_process *process = &model->processes[0];
    assert_int_equal(process->site_count, 3);
    const struct model_site *site = site_at(process, "cache_insert");
    assert_int_equal(site->allocations, 350);
    assert_int_equal(site->live_blocks, 150);
    assert_int_equal(site->live_bytes, 15000);
    assert_int_equal(site->peak_bytes, 25000);
    assert_int_equal(site->lifetimes[0], 100);
    assert_int_equal(site->lifetimes[2], 50);
    assert_ptr_equal(model_find_stack(model, process, 1), model_find_stack(model, process, 2));
    model_free(model);
}

static void totals_are_the_sums_of_sites(void **state)
{
    (void)state;
    struct model *model = load("service");
    const struct model_totals *totals = &model->processes[0].totals;
    assert_int_equal(totals->allocations, 1352);
    assert_int_equal(totals->frees, 1200);
    assert_int_equal(totals->live_blocks, 152);
    assert_int_equal(totals->live_bytes, 15096);
    assert_int_equal(totals->temporaries, 1000);
    assert_int_equal(model->processes[0].leaks.bytes[RECORDING_LEAK_DEFINITE], 96);
    model_free(model);
}

static void location_skips_runtime_and_inlined_library_code(void **state)
{
    (void)state;
    struct model *model = load("service");
    const struct model_process *process = &model->processes[0];
    assert_int_equal(site_at(process, "format_name")->temporaries, 1000);
    const struct model_site *session = site_at(process, "session_new");
    assert_true(session->stack->location->is_inlined);
    assert_int_equal(session->stack->location->line, 31);
    assert_int_equal(session->oldest_ns, INT64_C(3000000000));
    const struct model_frame *frames[16];
    assert_int_equal(model_stack_frames(model, session->stack, frames, 16), 4);
    assert_string_equal(frames[1]->function, "open_session");
    assert_false(frames[1]->is_inlined);
    assert_string_equal(frames[3]->module->name, "libc.so.6");
    assert_string_equal(site_at(process, "cache_insert")->stack->location->source,
                        "    entry->key = malloc(length);");
    model_free(model);
}

static void each_selector_gives_its_state(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t live_bytes;
        int64_t allocations;
    } cases[] = {
        {"service", 15096, 1352},   {"service@exit", 15096, 1352},
        {"service@0", 1000, 10},    {"service@first", 1000, 10},
        {"service@1", 20000, 250},  {"service@label:after warm-up", 20000, 250},
        {"service@2", 15096, 352},  {"service@last", 15096, 352},
        {"service@4.9s", 1000, 10}, {"service@5s", 20000, 250},
        {"service@1h", 15096, 352}, {"service@peak", 25048, 1352},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct model *model = load(cases[i].name);
        assert_int_equal(model->processes[0].totals.live_bytes, cases[i].live_bytes);
        assert_int_equal(model->processes[0].totals.allocations, cases[i].allocations);
        model_free(model);
    }
}

static void selectors_that_name_nothing_are_usage_errors(void **state)
{
    (void)state;
    static const char *const names[] = {"service@3",        "service@0.5s", "service@label:x",
                                        "service@nonsense", "tree@first",   "service@"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct model *model = NULL;
        struct mt_error error = {0};
        assert_true(try_load(names[i], &model, &error) < 0);
        assert_int_equal(error.status, MT_STATUS_USAGE);
        assert_null(model);
    }
}

static void file_whose_name_contains_an_at_sign_is_found(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/odd@3", folder);
    sample_write_empty(path);
    model_free(load("odd@3"));
    struct model *model = NULL;
    struct mt_error error = {0};
    assert_true(try_load("odd@3@7", &model, &error) < 0);
    assert_int_equal(error.status, MT_STATUS_USAGE);
}

static void processes_form_the_tree_of_fork_and_exec(void **state)
{
    (void)state;
    struct model *model = load("tree");
    assert_int_equal(model->process_count, 3);
    const struct model_process *shell = &model->processes[0];
    assert_int_equal(shell->child_count, 1);
    const struct model_process *worker = shell->children[0];
    assert_int_equal(worker->row.start, RECORDING_START_FORK);
    assert_int_equal(worker->totals.inherited_bytes, 700);
    assert_int_equal(worker->totals.allocations, 1);
    assert_int_equal(worker->totals.live_bytes, 500);
    assert_int_equal(worker->totals.live_blocks, 5);
    assert_int_equal(worker->child_count, 1);
    assert_int_equal(worker->children[0]->row.signal, 9);
    assert_ptr_equal(model_find_process(model, "100"), shell);
    assert_ptr_equal(model_find_process(model, "101"), worker->children[0]);
    assert_ptr_equal(model_find_process(model, "#1"), worker);
    assert_ptr_equal(model_find_process(model, "0"), shell);
    assert_null(model_find_process(model, "#3"));
    assert_null(model_find_process(model, "shell"));
    model_free(model);
}

static int count_rows(void *context, const struct model_snapshot *snapshot,
                      const struct model_stack *stack, const struct recording_snapshot_site *row)
{
    assert_non_null(stack->location);
    assert_true(row->allocations > 0);
    int64_t *counts = context;
    counts[snapshot->index]++;
    return 0;
}

static void snapshot_rows_are_walked_in_order(void **state)
{
    (void)state;
    struct model *model = load("service");
    int64_t counts[3] = {0};
    assert_int_equal(model_each_snapshot_site(model, &model->processes[0], count_rows, counts), 0);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[1], 2);
    assert_int_equal(counts[2], 2);
    model_free(model);
}

/* Parents that are the node itself, come later, go round in a circle, or do not exist; stacks
 * that begin nowhere. */
static void write_circles(const char *path)
{
    static const int64_t parents[] = {0, 1, 3, 2, 99, -7, INT64_MAX};
    struct recording_writer *writer = NULL;
    struct recording_run run = {.host = "h"};
    assert_int_equal(recording_writer_create(path, &run, true, &writer, NULL), 0);
    assert_int_equal(recording_writer_begin(writer, "circles"), 0);
    struct recording_process process = {.executable = "x", .parent = RECORDING_UNKNOWN};
    recording_writer_put_process(writer, &process);
    struct recording_module module = {.path = "/bin/x"};
    int64_t id = recording_writer_add_module(writer, &module);
    int64_t address = recording_writer_add_address(writer, id, 16);
    for (int64_t node = 1; node < 7; node++) {
        recording_writer_add_node(
            writer, &(struct recording_node){
                        .node = node, .parent = parents[node], .address = address});
    }
    for (int64_t stack = 1; stack < 9; stack++) {
        int64_t leaf = stack == 8 ? INT64_MAX : stack;
        recording_writer_add_stack(writer,
                                   &(struct recording_stack){.stack = stack, .leaf = leaf});
        recording_writer_put_site(writer,
                                  &(struct recording_site){.stack = stack, .allocations = 1});
    }
    assert_int_equal(recording_writer_finish(writer, true, NULL), 0);
}

static void parents_that_lead_nowhere_end_a_stack(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/circles", folder);
    write_circles(path);
    struct model *model = load("circles");
    const struct model_process *process = &model->processes[0];
    assert_int_equal(process->totals.allocations, 8);
    for (size_t i = 0; i < process->site_count; i++) {
        assert_true(process->sites[i].stack->address_count <= 4096);
    }
    model_free(model);
}

static void frames_of_libraries_are_told_from_the_program(void **state)
{
    (void)state;
    static const struct {
        const char *function;
        const char *file;
        bool is_runtime;
    } cases[] = {
        {"main", "/src/main.c", false},
        {"operator new(unsigned long)", NULL, true},
        {"operator new[](unsigned long, std::nothrow_t const&)", NULL, true},
        {"std::vector<int>::push_back(int&&)", NULL, true},
        {"void std::__cxx11::basic_string<char>::_M_construct<char*>(char*, char*)", NULL, true},
        {"std::map<int, foo>* make(std::string const&)", NULL, false},
        {"mine::insert(std::string const&)", "/src/mine.cc", false},
        {"foo", "/usr/include/c++/12/bits/stl_tree.h", true},
        {"foo", "/usr/lib/llvm-14/include/c++/v1/map", true},
        {"Cache::operator()(int) const", "/src/cache.cc", false},
        {"malloc", NULL, true},
        {"je_mallocx", NULL, true},
        {"malloc_or_die", "/src/x.c", false},
        {NULL, NULL, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (frame_kind_is_runtime(cases[i].function, cases[i].file, NULL) != cases[i].is_runtime) {
            fail_msg("%s (%s)", cases[i].function, cases[i].file);
        }
    }
    assert_int_equal(recording_module_kind_of("/lib/libc.so.6"), RECORDING_MODULE_LIBC);
    assert_int_equal(recording_module_kind_of("/lib/libc-2.31.so"), RECORDING_MODULE_LIBC);
    assert_int_equal(recording_module_kind_of("/lib/libcrypt.so.1"), RECORDING_MODULE_PROGRAM);
    assert_int_equal(recording_module_kind_of("/lib/libstdc++.so.6"), RECORDING_MODULE_CXX_RUNTIME);
    assert_int_equal(recording_module_kind_of("libjemalloc.so.2"), RECORDING_MODULE_ALLOCATOR);
    assert_int_equal(recording_module_kind_of("/x/libmemtrack.so"), RECORDING_MODULE_TRACKER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sites_with_equal_stacks_are_one),
        cmocka_unit_test(totals_are_the_sums_of_sites),
        cmocka_unit_test(location_skips_runtime_and_inlined_library_code),
        cmocka_unit_test(each_selector_gives_its_state),
        cmocka_unit_test(selectors_that_name_nothing_are_usage_errors),
        cmocka_unit_test(file_whose_name_contains_an_at_sign_is_found),
        cmocka_unit_test(processes_form_the_tree_of_fork_and_exec),
        cmocka_unit_test(snapshot_rows_are_walked_in_order),
        cmocka_unit_test(parents_that_lead_nowhere_end_a_stack),
        cmocka_unit_test(frames_of_libraries_are_told_from_the_program),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
