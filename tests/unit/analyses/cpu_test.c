/* Where CPU time went, in a recording whose samples are known:
 *
 *   main -> walk -> walk -> walk -> leaf     60 samples, 6 of them in system calls   thread 0
 *   main -> walk                             20
 *   main -> ns::parse<int>(int)              10 and 25 in malloc for this stack      thread 1
 *   main -> ns::parse<int>(int) -> malloc     5, which the mark had missed           thread 1
 *   nothing at all                            4
 *
 * `leaf` is inlined into the innermost `walk`.
 */
#include "analyses/cpu.h"
#include "recording/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

struct loaded {
    char path[64];
    struct region *region;
    struct model *model;
};

static int64_t add_address(struct recording_writer *writer, int64_t module, uint64_t offset,
                           const char *function, int64_t line, const char *inlined_into)
{
    int64_t address = recording_writer_add_address(writer, module, offset);
    struct recording_symbol chain[2] = {
        {.function = function, .file = "/src/a.c", .line = line, .is_inlined = inlined_into != NULL},
        {.function = inlined_into, .file = "/src/a.c", .line = line + 100}};
    assert_int_equal(
        recording_writer_put_symbols(writer, address, chain, inlined_into != NULL ? 2 : 1), 0);
    return address;
}

static void add_node(struct recording_writer *writer, int64_t node, int64_t parent, int64_t address)
{
    const struct recording_node row = {.node = node, .parent = parent, .address = address};
    assert_int_equal(recording_writer_add_node(writer, &row), 0);
}

static void add_stack(struct recording_writer *writer, int64_t stack, int64_t leaf, int64_t depth)
{
    const struct recording_stack row = {.stack = stack, .leaf = leaf, .depth = depth};
    assert_int_equal(recording_writer_add_stack(writer, &row), 0);
}

static void add_cpu(struct recording_writer *writer, const struct recording_cpu *row)
{
    assert_int_equal(recording_writer_put_cpu(writer, row), 0);
}

static void write_stacks(struct recording_writer *writer)
{
    const struct recording_module module = {.path = "/srv/bin/work"};
    int64_t id = recording_writer_add_module(writer, &module);
    int64_t at_main = add_address(writer, id, 0x100, "main", 5, NULL);
    int64_t at_walk = add_address(writer, id, 0x200, "walk", 20, NULL);
    int64_t at_leaf = add_address(writer, id, 0x300, "leaf", 30, "walk");
    int64_t at_parse = add_address(writer, id, 0x400, "ns::parse<int>(int)", 40, NULL);
    add_node(writer, 1, 0, at_main);
    add_node(writer, 2, 1, at_walk);
    add_node(writer, 3, 2, at_walk);
    add_node(writer, 4, 3, at_leaf);
    add_node(writer, 5, 1, at_parse);
    add_node(writer, 6, 5, add_address(writer, id, 0x500, "malloc", 50, NULL));
    add_stack(writer, 1, 4, 4);
    add_stack(writer, 2, 2, 2);
    add_stack(writer, 3, 5, 2);
    add_stack(writer, 4, 6, 3);
}

/* In a module without names 50 samples, and in malloc for two stacks of one function and one of
 * another: 30 and 30, and 40. */
static void write_nameless(struct recording_writer *writer)
{
    const struct recording_module module = {.path = "/srv/lib/stripped.so"};
    int64_t id = recording_writer_add_module(writer, &module);
    add_node(writer, 1, 0, recording_writer_add_address(writer, id, 0x100));
    int64_t app = recording_writer_add_module(
        writer, &(struct recording_module){.path = "/srv/bin/named"});
    add_node(writer, 2, 0, add_address(writer, app, 0x900, "twice", 90, NULL));
    add_node(writer, 3, 0, add_address(writer, app, 0x910, "twice", 91, NULL));
    add_node(writer, 4, 0, add_address(writer, app, 0xa00, "once", 95, NULL));
    for (int64_t stack = 1; stack <= 4; stack++) {
        add_stack(writer, stack, stack, 1);
    }
    add_cpu(writer, &(struct recording_cpu){.stack = 1, .samples = 50});
    add_cpu(writer, &(struct recording_cpu){.stack = 2, .allocator_samples = 30});
    add_cpu(writer, &(struct recording_cpu){.stack = 3, .allocator_samples = 30});
    add_cpu(writer, &(struct recording_cpu){.stack = 4, .allocator_samples = 40});
}

enum written { WRITTEN_NAMED, WRITTEN_NAMELESS };

static void write_recording(const char *path, int64_t hz, enum written what)
{
    const struct recording_run run = {.memtrack_version = "0",
                                      .started_realtime_ns = SECOND,
                                      .tick_ns = 10000000,
                                      .sample_bytes = RECORDING_UNKNOWN,
                                      .cpu_hz = hz,
                                      .cpu_clock = "cpu"};
    struct mt_error error = {0};
    struct recording_writer *writer = NULL;
    assert_int_equal(recording_writer_create(path, &run, true, &writer, &error), 0);
    assert_int_equal(recording_writer_begin(writer, "it"), 0);
    const struct recording_process process = {.parent = RECORDING_UNKNOWN,
                                              .start = RECORDING_START_EXEC,
                                              .pid = 77,
                                              .executable = "/srv/bin/work",
                                              .working_directory = "/",
                                              .ended_ns = 2 * SECOND,
                                              .exit_status = 0,
                                              .signal = RECORDING_UNKNOWN,
                                              .peak_rss_bytes = RECORDING_UNKNOWN,
                                              .cpu_user_ns = SECOND,
                                              .cpu_system_ns = SECOND / 2,
                                              .minor_faults = 12,
                                              .major_faults = 1,
                                              .cpu_sampling = "on",
                                              .cpu_samples_lost = 6};
    assert_int_equal(recording_writer_put_process(writer, &process), 0);
    if (what == WRITTEN_NAMED) {
        write_stacks(writer);
    }
    for (int64_t thread = 0; thread < 2; thread++) {
        const struct recording_thread row = {
            .thread = thread, .tid = 100 + thread, .name = thread == 0 ? "main" : "parser"};
        assert_int_equal(recording_writer_put_thread(writer, &row), 0);
    }
    if (what == WRITTEN_NAMELESS) {
        write_nameless(writer);
    } else if (hz > 0) {
        add_cpu(writer, &(struct recording_cpu){.stack = 1, .samples = 60, .system_samples = 6});
        add_cpu(writer, &(struct recording_cpu){.stack = 2, .samples = 20});
        add_cpu(writer, &(struct recording_cpu){
                            .thread = 1, .stack = 3, .samples = 10, .allocator_samples = 25});
        add_cpu(writer, &(struct recording_cpu){.thread = 1, .stack = 4, .samples = 5});
        add_cpu(writer, &(struct recording_cpu){.thread = 1, .stack = 0, .samples = 4});
    }
    assert_int_equal(recording_writer_finish(writer, true, &error), 0);
}

static int load_written(void **state, int64_t hz, enum written what)
{
    struct loaded *loaded = calloc(1, sizeof(*loaded));
    snprintf(loaded->path, sizeof(loaded->path), "/tmp/memtrack-cpu-XXXXXX");
    int fd = mkstemp(loaded->path);
    if (fd < 0) {
        return 1;
    }
    close(fd);
    write_recording(loaded->path, hz, what);
    loaded->region = region_new();
    struct model_selector selector;
    struct mt_error error = {0};
    if (model_selector_parse(loaded->region, loaded->path, &selector, &error) != 0
        || model_load(&selector, &loaded->model, &error) != 0) {
        return 1;
    }
    *state = loaded;
    return 0;
}

static int load(void **state)
{
    return load_written(state, 100, WRITTEN_NAMED);
}

static int load_without_samples(void **state)
{
    return load_written(state, 0, WRITTEN_NAMED);
}

static int load_nameless(void **state)
{
    return load_written(state, 100, WRITTEN_NAMELESS);
}

static int unload(void **state)
{
    struct loaded *loaded = *state;
    model_free(loaded->model);
    region_free(loaded->region);
    unlink(loaded->path);
    free(loaded);
    return 0;
}

static const struct cpu_result *analyze(void **state, enum cpu_by by, const char *of)
{
    struct loaded *loaded = *state;
    const struct cpu_request request = {.by = by, .of = of};
    const struct cpu_result *result = NULL;
    struct mt_error error = {0};
    if (cpu_analyze(loaded->region, loaded->model, &request, &result, &error) != 0) {
        fail_msg("%s", error.text);
    }
    return result;
}

static const struct cpu_entry *find(const struct cpu_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->entries[i].name, name) == 0) {
            return &list->entries[i];
        }
    }
    fail_msg("no entry %s", name);
    return NULL;
}

static void assert_entry(const struct cpu_list *list, const char *name, int64_t self, int64_t total)
{
    const struct cpu_entry *entry = find(list, name);
    assert_int_equal(entry->self, self);
    assert_int_equal(entry->total, total);
}

static void sums_are_those_of_the_rows(void **state)
{
    const struct cpu_result *result = analyze(state, CPU_BY_FUNCTION, NULL);
    assert_int_equal(result->samples, 124);
    assert_int_equal(result->lost, 6);
    assert_int_equal(result->system, 6);
    assert_int_equal(result->allocator, 30);
    assert_int_equal(result->minor_faults, 12);
    assert_true(result->used_seconds == 1.5);
    assert_true(result->kernel_seconds == 0.5);
    assert_true(result->wall_seconds == 2.0);
    assert_true(cpu_seconds(result, 50) == 0.5);
}

static void recursion_counts_once(void **state)
{
    const struct cpu_result *result = analyze(state, CPU_BY_FUNCTION, NULL);
    assert_entry(&result->list, "walk", 20, 80);
    assert_entry(&result->list, "main", 0, 120);
}

static void inlined_code_has_its_own_self_time(void **state)
{
    const struct cpu_result *result = analyze(state, CPU_BY_FUNCTION, NULL);
    assert_entry(&result->list, "leaf", 60, 60);
    assert_int_equal(find(&result->list, "leaf")->system, 6);
}

static void allocator_time_is_not_its_sites_self_time(void **state)
{
    const struct cpu_result *result = analyze(state, CPU_BY_FUNCTION, NULL);
    assert_entry(&result->list, "ns::parse<int>(int)", 10, 40);
    assert_entry(&result->list, CPU_ALLOCATOR, 30, 30);
    assert_int_equal(result->site_count, 1);
    assert_int_equal(result->sites[0].samples, 30);
}

static void self_samples_of_every_grouping_add_up(void **state)
{
    for (int by = CPU_BY_FUNCTION; by <= CPU_BY_STACK; by++) {
        const struct cpu_result *result = analyze(state, (enum cpu_by)by, NULL);
        int64_t self = 0;
        for (size_t i = 0; i < result->list.count; i++) {
            const struct cpu_entry *entry = &result->list.entries[i];
            assert_true(entry->total >= entry->self);
            assert_true(i == 0 || result->list.entries[i - 1].self >= entry->self);
            self += entry->self;
        }
        assert_int_equal(self, 124);
    }
}

static void lines_and_threads_are_told_apart(void **state)
{
    const struct cpu_result *lines = analyze(state, CPU_BY_LINE, NULL);
    size_t walks = 0;
    for (size_t i = 0; i < lines->list.count; i++) {
        walks += strcmp(lines->list.entries[i].name, "walk") == 0;
    }
    assert_int_equal(walks, 2); /* line 20, and 130 where leaf is inlined */
    const struct cpu_result *threads = analyze(state, CPU_BY_THREAD, NULL);
    assert_int_equal(threads->list.count, 2);
    assert_entry(&threads->list, "main", 80, 80);
    assert_entry(&threads->list, "parser", 44, 44);
    assert_int_equal(find(&threads->list, "parser")->tid, 101);
}

static void callers_and_callees_add_up(void **state)
{
    const struct cpu_around *walk = analyze(state, CPU_BY_FUNCTION, "walk")->around;
    assert_int_equal(walk->total, 80);
    assert_int_equal(walk->self, 20);
    assert_int_equal(walk->callers.count, 1);
    assert_entry(&walk->callers, "main", 0, 80);
    assert_entry(&walk->callees, "leaf", 0, 60);
    const struct cpu_around *top = analyze(state, CPU_BY_FUNCTION, "main")->around;
    assert_int_equal(top->from_nowhere, 120);
    assert_int_equal(top->callers.count, 0);
    const struct cpu_around *parse = analyze(state, CPU_BY_FUNCTION, "parse<int>")->around;
    assert_int_equal(parse->self, 10);
    assert_entry(&parse->callees, CPU_ALLOCATOR, 0, 30);
}

static void names_fit_with_and_without_parameters_and_namespaces(void **state)
{
    static const char *const names[] = {"ns::parse<int>(int)", "ns::parse<int>", "parse<int>",
                                        "parse"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(analyze(state, CPU_BY_FUNCTION, names[i])->around->total, 40);
    }
}

static void unknown_function_is_an_error(void **state)
{
    struct loaded *loaded = *state;
    const struct cpu_request request = {.of = "absent"};
    const struct cpu_result *result = NULL;
    struct mt_error error = {0};
    assert_true(cpu_analyze(loaded->region, loaded->model, &request, &result, &error) < 0);
    assert_int_equal(error.status, MT_STATUS_USAGE);
    assert_non_null(strstr(error.text, "absent"));
}

static const struct cpu_finding *finding(const struct cpu_result *result,
                                         enum cpu_finding_kind kind)
{
    for (size_t i = 0; i < result->finding_count; i++) {
        if (result->findings[i].kind == kind) {
            return &result->findings[i];
        }
    }
    return NULL;
}

static void findings_follow_from_the_numbers(void **state)
{
    const struct cpu_result *result = analyze(state, CPU_BY_MODULE, NULL);
    const struct cpu_finding *self = finding(result, CPU_FINDING_SELF);
    assert_string_equal(self->name, "leaf");
    assert_int_equal((int)self->share, 48); /* 60 of 124 */
    assert_int_equal(self->frame->line, 30);
    const struct cpu_finding *below = finding(result, CPU_FINDING_BELOW);
    assert_string_equal(below->name, "main");
    assert_string_equal(below->other, "walk");
    assert_int_equal((int)finding(result, CPU_FINDING_ALLOCATOR)->share, 24);
    /* 0.5 s in the kernel, 0.06 s of them in system calls, of 1.5 s */
    assert_int_equal((int)finding(result, CPU_FINDING_KERNEL)->share, 29);
    assert_non_null(finding(result, CPU_FINDING_FEW));
    assert_int_equal((int)finding(result, CPU_FINDING_LOST)->share, 4);
    assert_null(finding(result, CPU_FINDING_FLAT));
    assert_null(finding(result, CPU_FINDING_THREAD));
    assert_null(finding(result, CPU_FINDING_WAITING)); /* 75 % busy */
}

static void code_without_names_is_said_instead_of_the_first_named_function(void **state)
{
    const struct cpu_result *result = analyze(state, CPU_BY_FUNCTION, NULL);
    const struct cpu_finding *nameless = finding(result, CPU_FINDING_NAMELESS);
    assert_int_equal((int)nameless->share, 33); /* 50 of 150 */
    assert_string_equal(nameless->frame->module->path, "/srv/lib/stripped.so");
    assert_null(finding(result, CPU_FINDING_FLAT));
}

static void allocator_time_is_summed_over_a_functions_stacks(void **state)
{
    const struct cpu_finding *allocator =
        finding(analyze(state, CPU_BY_FUNCTION, NULL), CPU_FINDING_ALLOCATOR);
    assert_int_equal((int)allocator->share, 66); /* 100 of 150 */
    assert_int_equal((int)allocator->part, 40);  /* 60: more than once's 40 */
    assert_string_equal(allocator->stack->location->function, "twice");
}

static void no_samples_give_an_empty_result(void **state)
{
    const struct cpu_result *result = analyze(state, CPU_BY_FUNCTION, NULL);
    assert_int_equal(result->samples, 0);
    assert_int_equal(result->list.count, 0);
    assert_int_equal(result->finding_count, 0);
    assert_true(cpu_percent(result, 1) == 0 && cpu_seconds(result, 1) == 0);
}

int main(void)
{
#define WITH(test, setup) cmocka_unit_test_setup_teardown(test, setup, unload)
    const struct CMUnitTest tests[] = {
        WITH(sums_are_those_of_the_rows, load),
        WITH(recursion_counts_once, load),
        WITH(inlined_code_has_its_own_self_time, load),
        WITH(allocator_time_is_not_its_sites_self_time, load),
        WITH(self_samples_of_every_grouping_add_up, load),
        WITH(lines_and_threads_are_told_apart, load),
        WITH(callers_and_callees_add_up, load),
        WITH(names_fit_with_and_without_parameters_and_namespaces, load),
        WITH(unknown_function_is_an_error, load),
        WITH(findings_follow_from_the_numbers, load),
        WITH(code_without_names_is_said_instead_of_the_first_named_function, load_nameless),
        WITH(allocator_time_is_summed_over_a_functions_stacks, load_nameless),
        WITH(no_samples_give_an_empty_result, load_without_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
