/* Which stack of one build is which of another: pairs stated by hand. */
#include "analyses/stack_match.h"
#include "recording/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FRAMES_MAX 3u
#define CALLS_MAX 5u

/* A line of a function that begins at line `first`. */
struct frame {
    const char *function;
    int64_t first;
    int64_t line;
};

/* A return address: its inline chain, innermost first. */
struct call {
    uint64_t offset;
    struct frame frames[FRAMES_MAX];
};

/* A stack, innermost call first. What it holds tells sites apart: no two hold the same. */
struct site {
    int64_t bytes;
    struct call calls[CALLS_MAX];
};

struct build {
    uint8_t id;
    const char *text; /* of line 14; NULL: no texts were recorded */
    struct site sites[4];
};

struct matched {
    struct model *models[2];
    struct stack_match match;
};

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/memtrack-match-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static int64_t write_call(struct recording_writer *writer, int64_t module, const struct call *call)
{
    int64_t address = recording_writer_add_address(writer, module, call->offset);
    struct recording_symbol chain[FRAMES_MAX];
    size_t count = 0;
    while (count < FRAMES_MAX && call->frames[count].function != NULL) {
        const struct frame *frame = &call->frames[count];
        chain[count++] = (struct recording_symbol){.function = frame->function,
                                                   .function_line = frame->first,
                                                   .file = "/src/app.c",
                                                   .line = frame->line};
        chain[count - 1].is_inlined = count < FRAMES_MAX && call->frames[count].function != NULL;
    }
    assert_int_equal(recording_writer_put_symbols(writer, address, chain, count), 0);
    return address;
}

static void write_site(struct recording_writer *writer, int64_t module, const struct site *site,
                       int64_t stack)
{
    int64_t node = 0;
    size_t depth = 0;
    while (depth < CALLS_MAX && site->calls[depth].offset != 0) {
        depth++;
    }
    for (size_t i = depth; i > 0; i--) { /* a node's id is larger than its parent's */
        struct recording_node row = {.node = stack * 100 + (int64_t)(depth - i) + 1,
                                     .parent = node,
                                     .address = write_call(writer, module, &site->calls[i - 1])};
        assert_int_equal(recording_writer_add_node(writer, &row), 0);
        node = row.node;
    }
    struct recording_stack row = {.stack = stack, .leaf = node, .depth = (int64_t)depth};
    assert_int_equal(recording_writer_add_stack(writer, &row), 0);
    struct recording_site counters = {
        .stack = stack, .allocations = 1, .allocated_bytes = site->bytes};
    assert_int_equal(recording_writer_put_site(writer, &counters), 0);
}

static struct model *load_build(const struct build *build, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    struct recording_writer *writer = NULL;
    struct recording_run run = {.host = "h"};
    assert_int_equal(recording_writer_create(path, &run, true, &writer, NULL), 0);
    assert_int_equal(recording_writer_begin(writer, "a build"), 0);
    struct recording_process process = {.executable = "/opt/app", .parent = RECORDING_UNKNOWN};
    assert_int_equal(recording_writer_put_process(writer, &process), 0);
    struct recording_module module = {
        .path = "/opt/app", .build_id = &build->id, .build_id_bytes = 1};
    int64_t id = recording_writer_add_module(writer, &module);
    for (size_t i = 0; i < 4 && build->sites[i].bytes != 0; i++) {
        write_site(writer, id, &build->sites[i], (int64_t)i + 1);
    }
    if (build->text != NULL) {
        struct recording_source_line line = {.file = "/src/app.c", .line = 14, .text = build->text};
        assert_int_equal(recording_writer_put_source_line(writer, &line), 0);
        line.line = 10;
        line.text = "log_line(text);";
        assert_int_equal(recording_writer_put_source_line(writer, &line), 0);
    }
    assert_int_equal(recording_writer_finish(writer, true, NULL), 0);
    struct model *model = NULL;
    assert_int_equal(model_load(&(struct model_selector){.path = path}, &model, NULL), 0);
    return model;
}

static struct matched match_builds(const struct build *a, const struct build *b)
{
    struct matched matched = {.models = {load_build(a, "a.mtk"), load_build(b, "b.mtk")}};
    matched.match = stack_match_make(matched.models[0], &matched.models[0]->processes[0],
                                     matched.models[1], &matched.models[1]->processes[0]);
    return matched;
}

static void matched_deinit(struct matched *matched)
{
    stack_match_deinit(&matched->match);
    model_free(matched->models[0]);
    model_free(matched->models[1]);
}

/* What the partner of a's site holds in b; 0: it has none. */
static int64_t partner_of(const struct matched *matched, int64_t bytes)
{
    const struct model_process *a = &matched->models[0]->processes[0];
    const struct model_process *b = &matched->models[1]->processes[0];
    for (size_t i = 0; i < a->site_count; i++) {
        if (a->sites[i].live_bytes == bytes) {
            size_t partner = matched->match.partner[i];
            return partner == STACK_MATCH_NONE ? 0 : b->sites[partner].live_bytes;
        }
    }
    fail_msg("no site holds %lld bytes", (long long)bytes);
    return 0;
}

static void equal_builds_match_by_place_alone(void **state)
{
    (void)state;
    /* Other ids, other order, and no names in b. */
    const struct build a = {
        .id = 1,
        .sites = {{10, {{0x100, {{"f", 10, 12}}}, {0x900, {{"main", 50, 52}}}}},
                  {20, {{0x200, {{"g", 20, 22}}}, {0x900, {{"main", 50, 52}}}}}}};
    const struct build b = {.id = 1,
                            .sites = {{21, {{0x200, {{0}}}, {0x900, {{0}}}}},
                                      {11, {{0x100, {{0}}}, {0x900, {{0}}}}},
                                      {31, {{0x300, {{0}}}, {0x900, {{0}}}}}}};
    struct matched matched = match_builds(&a, &b);
    assert_int_equal(partner_of(&matched, 10), 11);
    assert_int_equal(partner_of(&matched, 20), 21);
    assert_int_equal(matched.match.by_place, 2);
    assert_int_equal(matched.match.by_name, 0);
    assert_false(matched.match.are_builds_different);
    matched_deinit(&matched);
}

static void lines_that_moved_are_the_same_lines(void **state)
{
    (void)state;
    /* Ten lines were put in above f, and everything has another address: what was at g's
     * address is f now. */
    const struct build a = {
        .id = 1,
        .sites = {{10, {{0x100, {{"f", 10, 12}}}, {0x900, {{"main", 50, 52}}}}},
                  {20, {{0x200, {{"g", 20, 22}}}, {0x910, {{"main", 50, 53}}}}}}};
    const struct build b = {
        .id = 2,
        .sites = {{21, {{0x300, {{"g", 30, 32}}}, {0x990, {{"main", 60, 63}}}}},
                  {11, {{0x200, {{"f", 20, 22}}}, {0x980, {{"main", 60, 62}}}}}}};
    struct matched matched = match_builds(&a, &b);
    assert_int_equal(partner_of(&matched, 10), 11);
    assert_int_equal(partner_of(&matched, 20), 21);
    assert_int_equal(matched.match.by_name, 2);
    assert_int_equal(matched.match.by_place, 0);
    assert_true(matched.match.are_builds_different);
    matched_deinit(&matched);
}

static void renamed_function_is_new_and_gone(void **state)
{
    (void)state;
    const struct build a = {
        .id = 1,
        .sites = {{10, {{0x100, {{"f", 10, 12}}}, {0x900, {{"main", 50, 52}}}}},
                  {20, {{0x200, {{"g", 20, 22}}}, {0x910, {{"main", 50, 53}}}}}}};
    const struct build b = {
        .id = 2,
        .sites = {{11, {{0x110, {{"f_renamed", 10, 12}}}, {0x920, {{"main", 50, 52}}}}},
                  {21, {{0x210, {{"g", 20, 22}}}, {0x930, {{"main", 50, 53}}}}}}};
    struct matched matched = match_builds(&a, &b);
    assert_int_equal(partner_of(&matched, 10), 0);
    assert_int_equal(partner_of(&matched, 20), 21);
    matched_deinit(&matched);
}

static void clones_that_a_compiler_makes_are_the_function(void **state)
{
    (void)state;
    const struct build a = {.id = 1, .sites = {{10, {{0x100, {{"f", 10, 12}}}}}}};
    const struct build b = {.id = 2, .sites = {{11, {{0x110, {{"f.constprop.0", 10, 12}}}}}}};
    struct matched matched = match_builds(&a, &b);
    assert_int_equal(partner_of(&matched, 10), 11);
    matched_deinit(&matched);
}

static void call_that_was_inlined_since_is_the_same_call(void **state)
{
    (void)state;
    const struct build a = {.id = 1,
                            .sites = {{10,
                                       {{0x100, {{"make", 10, 12}}},
                                        {0x200, {{"grow", 20, 23}}},
                                        {0x900, {{"main", 50, 52}}}}},
                                      {20, {{0x100, {{"make", 10, 12}}},
                                            {0x910, {{"main", 50, 53}}}}}}};
    const struct build b = {
        .id = 2,
        .sites = {{21, {{0x330, {{"make", 10, 12}, {"main", 50, 53}}}}},
                  {11, {{0x310, {{"make", 10, 12}, {"grow", 20, 23}}},
                        {0x920, {{"main", 50, 52}}}}}}};
    struct matched matched = match_builds(&a, &b);
    assert_int_equal(partner_of(&matched, 10), 11);
    assert_int_equal(partner_of(&matched, 20), 21);
    assert_int_equal(matched.match.by_name, 2);
    matched_deinit(&matched);
}

static void equal_names_pair_in_the_order_of_lines(void **state)
{
    (void)state;
    const struct build a = {.id = 1,
                            .sites = {{20, {{0x120, {{"f", 10, 20}}}}},
                                      {10, {{0x110, {{"f", 10, 12}}}}}}};
    const struct build b = {.id = 2,
                            .sites = {{11, {{0x210, {{"f", 10, 14}}}}},
                                      {21, {{0x220, {{"f", 10, 22}}}}}}};
    struct matched matched = match_builds(&a, &b);
    assert_int_equal(partner_of(&matched, 10), 11);
    assert_int_equal(partner_of(&matched, 20), 21);
    matched_deinit(&matched);
}

static void nearest_line_wins_where_sides_differ_in_number(void **state)
{
    (void)state;
    const struct build a = {.id = 1, .sites = {{20, {{0x120, {{"f", 10, 30}}}}}}};
    const struct build b = {.id = 2,
                            .sites = {{11, {{0x210, {{"f", 110, 112}}}}},
                                      {21, {{0x220, {{"f", 110, 131}}}}},
                                      {31, {{0x230, {{"f", 110, 160}}}}}}};
    struct matched matched = match_builds(&a, &b);
    assert_int_equal(partner_of(&matched, 20), 21);
    assert_int_equal(matched.match.by_name, 1);
    matched_deinit(&matched);
    matched = match_builds(&b, &a); /* and the other way round */
    assert_int_equal(partner_of(&matched, 11), 0);
    assert_int_equal(partner_of(&matched, 21), 20);
    assert_int_equal(partner_of(&matched, 31), 0);
    matched_deinit(&matched);
}

static void line_of_the_same_text_wins_over_a_nearer_one(void **state)
{
    (void)state;
    const struct build a = {.id = 1,
                            .text = "p = malloc(n);",
                            .sites = {{20, {{0x120, {{"f", 3, 14}}}}}}};
    struct build b = a;
    b.id = 2;
    b.sites[0] = (struct site){11, {{0x210, {{"f", 1, 10}}}}}; /* nearer: 2 lines, not 4 */
    b.sites[1] = (struct site){21, {{0x220, {{"f", 7, 14}}}}};
    struct matched matched = match_builds(&a, &b);
    assert_int_equal(partner_of(&matched, 20), 21);
    matched_deinit(&matched);
}

static void recursions_of_other_depths_are_other_stacks(void **state)
{
    (void)state;
    const struct build a = {.id = 1,
                            .sites = {{10, {{0x100, {{"f", 10, 12}}},
                                            {0x110, {{"f", 10, 14}}},
                                            {0x900, {{"main", 50, 52}}}}},
                                      {20, {{0x100, {{"f", 10, 12}}},
                                            {0x110, {{"f", 10, 14}}},
                                            {0x110, {{"f", 10, 14}}},
                                            {0x900, {{"main", 50, 52}}}}}}};
    const struct build b = {.id = 2,
                            .sites = {{21, {{0x200, {{"f", 11, 13}}},
                                            {0x210, {{"f", 11, 15}}},
                                            {0x210, {{"f", 11, 15}}},
                                            {0x980, {{"main", 51, 53}}}}},
                                      {31, {{0x200, {{"f", 11, 13}}},
                                            {0x210, {{"f", 11, 15}}},
                                            {0x210, {{"f", 11, 15}}},
                                            {0x210, {{"f", 11, 15}}},
                                            {0x980, {{"main", 51, 53}}}}}}};
    struct matched matched = match_builds(&a, &b);
    assert_int_equal(partner_of(&matched, 10), 0);
    assert_int_equal(partner_of(&matched, 20), 21);
    matched_deinit(&matched);
}

static void states_of_one_recording_match_by_identity(void **state)
{
    (void)state;
    const struct build a = {
        .id = 1,
        .sites = {{10, {{0x100, {{"f", 10, 12}}}, {0x900, {{"main", 50, 52}}}}},
                  {20, {{0x200, {{"g", 20, 22}}}, {0x910, {{"main", 50, 53}}}}}}};
    struct model *first = load_build(&a, "a.mtk");
    struct model *second = NULL;
    assert_int_equal(model_load_state(first, &(struct model_selector){.state = MODEL_STATE_PEAK},
                                      &second, NULL),
                     0);
    const struct model_process *x = &first->processes[0];
    const struct model_process *y = &second->processes[0];
    struct stack_match match = stack_match_make(first, x, second, y);
    assert_int_equal(match.by_place, 2);
    for (size_t i = 0; i < x->site_count; i++) {
        assert_ptr_equal(x->sites[i].stack, y->sites[match.partner[i]].stack);
        assert_int_equal(y->sites[match.partner[i]].live_bytes, 0); /* no share at the peak */
    }
    stack_match_deinit(&match);
    struct mt_error error = {0};
    struct model *none = NULL;
    assert_true(model_load_state(first, &(struct model_selector){.state = MODEL_STATE_FIRST},
                                 &none, &error)
                < 0);
    assert_null(none);
    model_free(second);
    model_free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_builds_match_by_place_alone),
        cmocka_unit_test(lines_that_moved_are_the_same_lines),
        cmocka_unit_test(renamed_function_is_new_and_gone),
        cmocka_unit_test(clones_that_a_compiler_makes_are_the_function),
        cmocka_unit_test(call_that_was_inlined_since_is_the_same_call),
        cmocka_unit_test(equal_names_pair_in_the_order_of_lines),
        cmocka_unit_test(nearest_line_wins_where_sides_differ_in_number),
        cmocka_unit_test(line_of_the_same_text_wins_over_a_nearer_one),
        cmocka_unit_test(recursions_of_other_depths_are_other_stacks),
        cmocka_unit_test(states_of_one_recording_match_by_identity),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
