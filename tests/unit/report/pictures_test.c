/* What pictures are drawn from: profiles, flame trees, annotated lines and the page's data have
 * the sums that SQLite finds in the recording's documented views. */
#include "analyses/annotate.h"
#include "render/render.h"
#include "report/flame_tree.h"
#include "report/page_data.h"
#include "report/profile_make.h"
#include "support/sample_recording.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include <cmocka.h>

struct loaded {
    char path[64];
    struct region *region;
    struct model *model;
    sqlite3 *base;
};

static int load(void **state, void (*write)(const char *path))
{
    struct loaded *loaded = calloc(1, sizeof(*loaded));
    struct model_selector selector;
    struct mt_error error = {0};
    snprintf(loaded->path, sizeof(loaded->path), "/tmp/memtrack-pictures-XXXXXX");
    int fd = mkstemp(loaded->path);
    if (fd < 0) {
        return 1;
    }
    close(fd);
    write(loaded->path);
    loaded->region = region_new();
    *state = loaded;
    return model_selector_parse(loaded->region, loaded->path, &selector, &error) != 0
                   || model_load(&selector, &loaded->model, &error) != 0
                   || sqlite3_open(loaded->path, &loaded->base) != SQLITE_OK
               ? 1
               : 0;
}

static int load_service(void **state)
{
    return load(state, sample_write_service);
}

static int load_tree(void **state)
{
    return load(state, sample_write_tree);
}

static int load_hostile(void **state)
{
    return load(state, sample_write_hostile);
}

static int load_empty(void **state)
{
    return load(state, sample_write_empty);
}

static int unload(void **state)
{
    struct loaded *loaded = *state;
    sqlite3_close(loaded->base);
    model_free(loaded->model);
    region_free(loaded->region);
    unlink(loaded->path);
    free(loaded);
    return 0;
}

/* The one number that a query gives; `text` fills its first parameter. */
static int64_t ask(const struct loaded *loaded, const char *query, const char *text)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(loaded->base, query, -1, &statement, NULL), SQLITE_OK);
    if (text != NULL) {
        sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
    }
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static int64_t expected_total(const struct loaded *loaded, enum profile_metric metric)
{
    static const char *const queries[PROFILE_CHOICES] = {
        [PROFILE_ALLOCATED] = "SELECT sum(allocated_bytes) FROM sites",
        [PROFILE_ALLOCATIONS] = "SELECT sum(allocations) FROM sites",
        [PROFILE_LIVE] = "SELECT sum(live_bytes) FROM sites",
        [PROFILE_BLOCKS] = "SELECT sum(live_blocks) FROM sites",
        [PROFILE_PEAK] = "SELECT sum(peak_bytes) FROM sites",
        [PROFILE_TEMPORARY] = "SELECT sum(temporaries) FROM sites",
        [PROFILE_LEAKED] = "SELECT sum(definite_bytes + indirect_bytes) FROM leaks",
        [PROFILE_CPU] = "SELECT sum(samples + allocator_samples) FROM cpu",
    };
    return ask(loaded, queries[metric], NULL);
}

static void profile_has_the_recordings_sums(void **state)
{
    const struct loaded *loaded = *state;
    const struct profile *profile = profile_make(loaded->region, loaded->model, NULL);
    for (int metric = 0; metric < PROFILE_CHOICES; metric++) {
        int64_t sum = 0;
        for (size_t i = 0; i < profile->sample_count; i++) {
            sum += profile->samples[i].values[metric];
        }
        assert_int_equal(sum, profile->totals[metric]);
        assert_int_equal(sum, expected_total(loaded, (enum profile_metric)metric));
    }
}

static void assert_tree_adds_up(const struct flame_tree *tree)
{
    for (uint32_t i = 0; i < tree->node_count; i++) {
        const struct flame_node *node = &tree->nodes[i];
        int64_t value = node->self;
        int64_t before = node->self_before;
        const char *name = "";
        for (uint32_t at = node->first_child; at != 0; at = tree->nodes[at].next) {
            assert_true(at > i);
            assert_int_equal(tree->nodes[at].parent, i);
            assert_int_equal(tree->nodes[at].depth, node->depth + 1);
            assert_true(strcmp(name, tree->nodes[at].name) <= 0);
            name = tree->nodes[at].name;
            value += tree->nodes[at].value;
            before += tree->nodes[at].before;
        }
        assert_int_equal(node->value, value);
        assert_int_equal(node->before, before);
        assert_true(node->depth <= tree->depth_max);
    }
}

static void flame_trees_add_up_in_both_directions(void **state)
{
    const struct loaded *loaded = *state;
    const struct profile *profile = profile_make(loaded->region, loaded->model, NULL);
    for (int metric = 0; metric < PROFILE_CHOICES; metric++) {
        for (int reversed = 0; reversed < 2; reversed++) {
            const struct flame_request request = {.metric = (enum profile_metric)metric,
                                                  .is_reversed = reversed != 0};
            const struct flame_tree *tree =
                flame_tree_make(loaded->region, profile, NULL, &request);
            assert_tree_adds_up(tree);
            assert_int_equal(tree->nodes[0].value,
                             expected_total(loaded, (enum profile_metric)metric));
        }
    }
}

static void flame_tree_against_itself_has_no_difference(void **state)
{
    const struct loaded *loaded = *state;
    const struct profile *profile = profile_make(loaded->region, loaded->model, NULL);
    const struct flame_request request = {.metric = PROFILE_ALLOCATED};
    const struct flame_tree *tree = flame_tree_make(loaded->region, profile, profile, &request);
    assert_true(tree->has_baseline);
    assert_tree_adds_up(tree);
    for (size_t i = 0; i < tree->node_count; i++) {
        assert_int_equal(tree->nodes[i].value, tree->nodes[i].before);
        assert_int_equal(tree->nodes[i].self, tree->nodes[i].self_before);
    }
}

static void annotated_lines_and_what_has_none_are_all(void **state)
{
    static const struct {
        enum annotate_value value;
        enum profile_metric metric;
    } pairs[] = {{ANNOTATE_ALLOCATIONS, PROFILE_ALLOCATIONS},
                 {ANNOTATE_ALLOCATED, PROFILE_ALLOCATED},
                 {ANNOTATE_LIVE, PROFILE_LIVE},
                 {ANNOTATE_BLOCKS, PROFILE_BLOCKS},
                 {ANNOTATE_PEAK, PROFILE_PEAK},
                 {ANNOTATE_TEMPORARY, PROFILE_TEMPORARY},
                 {ANNOTATE_LEAKED, PROFILE_LEAKED}};
    const struct loaded *loaded = *state;
    const struct annotate *annotate = annotate_make(loaded->region, loaded->model, NULL);
    for (size_t pair = 0; pair < sizeof(pairs) / sizeof(pairs[0]); pair++) {
        enum annotate_value value = pairs[pair].value;
        int64_t all = annotate->lineless[value];
        for (size_t i = 0; i < annotate->file_count; i++) {
            int64_t lines = 0;
            for (size_t k = 0; k < annotate->files[i].line_count; k++) {
                lines += annotate->files[i].lines[k].values[value];
            }
            assert_int_equal(lines, annotate->files[i].values[value]);
            all += lines;
        }
        assert_int_equal(all, annotate->totals[value]);
        assert_int_equal(all, expected_total(loaded, pairs[pair].metric));
    }
}

/* The page's data as JSON, read by SQLite's reader of it. */
static void page_data_is_json_with_the_recordings_sums(void **state)
{
    static const char *const columns[][2] = {
        {"allocations", "allocations"}, {"allocated_bytes", "allocated_bytes"},
        {"live_bytes", "live_bytes"},   {"live_blocks", "live_blocks"},
        {"peak_bytes", "peak_bytes"},   {"temporary_allocations", "temporaries"}};
    const struct loaded *loaded = *state;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    struct render_json *json = calloc(1, sizeof(*json));
    render_json_init(json, out);
    page_data_write(&json->tree, loaded->model, NULL);
    render_json_finish(json);
    free(json);
    fclose(out);
    assert_int_equal(ask(loaded, "SELECT json_valid(?)", text), 1);
    assert_int_equal(ask(loaded, "SELECT json_array_length(?, '$.processes')", text),
                     ask(loaded, "SELECT count(*) FROM process", NULL));
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        char query[256];
        char expected[128];
        snprintf(query, sizeof(query),
                 "SELECT sum(v.value) FROM json_each(?, '$.processes') p, "
                 "json_each(p.value, '$.sites.%s') v",
                 columns[i][0]);
        snprintf(expected, sizeof(expected), "SELECT sum(%s) FROM sites", columns[i][1]);
        assert_int_equal(ask(loaded, query, text), ask(loaded, expected, NULL));
    }
    free(text);
}

#define OF(name, test)                                                                             \
    {                                                                                              \
        "of " #name ": " #test, test, load_##name, unload, NULL                                    \
    }
#define OF_ALL(test) OF(service, test), OF(tree, test), OF(hostile, test), OF(empty, test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OF_ALL(profile_has_the_recordings_sums),
        OF_ALL(flame_trees_add_up_in_both_directions),
        OF_ALL(flame_tree_against_itself_has_no_difference),
        OF_ALL(annotated_lines_and_what_has_none_are_all),
        OF_ALL(page_data_is_json_with_the_recordings_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
