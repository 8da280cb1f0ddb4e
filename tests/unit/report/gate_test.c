/* Gates on recordings of known numbers; findings of hostile names in every form. */
#include "analyses/gate.h"
#include "analyses/signature.h"
#include "render/render.h"
#include "render/render_findings.h"
#include "report/gate_report.h"
#include "support/sample_recording.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static char path[128];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/memtrack-gate-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(path, sizeof(path), "%s/recording", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static struct model *load(struct region *region)
{
    struct model_selector selector;
    struct model *model = NULL;
    struct mt_error error = {0};
    assert_int_equal(model_selector_parse(region, path, &selector, &error), 0);
    assert_int_equal(model_load(&selector, &model, &error), 0);
    return model;
}

static struct gate_options default_options(void)
{
    struct gate_options options = {
        .leak_classes = 1u << RECORDING_LEAK_DEFINITE | 1u << RECORDING_LEAK_INDIRECT};
    options.is_set[GATE_MAX_LEAKED] = true;
    return options;
}

static const struct gate_verdict *verdict_of(const struct gate_result *result,
                                             enum gate_limit limit)
{
    for (size_t i = 0; i < result->verdict_count; i++) {
        if (result->verdicts[i].limit == limit) {
            return &result->verdicts[i];
        }
    }
    return NULL;
}

static void gate_counts_what_the_census_found_lost(void **state)
{
    (void)state;
    struct region *region = region_new();
    sample_write_service(path);
    struct model *model = load(region);
    struct gate_options options = default_options();
    struct gate_result result;
    gate_judge(region, model, &options, &result);
    assert_false(result.is_passed);
    assert_int_equal(verdict_of(&result, GATE_MAX_LEAKED)->actual, 96);
    assert_int_equal(result.failure_count, 1);
    assert_int_equal(result.failures[0].blocks, 2);
    gate_result_deinit(&result);
    options.most[GATE_MAX_LEAKED] = 96;
    gate_judge(region, model, &options, &result);
    assert_true(result.is_passed);
    assert_int_equal(result.failure_count, 0);
    gate_result_deinit(&result);
    model_free(model);
    region_free(region);
}

static void gate_limits_are_exact(void **state)
{
    (void)state;
    static const struct {
        enum gate_limit limit;
        int64_t actual;
    } cases[] = {{GATE_MAX_PEAK, 25048}, {GATE_NO_ERRORS, 3}, {GATE_MAX_LEAKED_BLOCKS, 2}};
    struct region *region = region_new();
    sample_write_service(path);
    struct model *model = load(region);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int64_t below = 0; below < 2; below++) {
            struct gate_options options = default_options();
            struct gate_result result;
            options.is_set[GATE_MAX_LEAKED] = false;
            options.is_set[cases[i].limit] = true;
            options.most[cases[i].limit] = cases[i].actual - below;
            gate_judge(region, model, &options, &result);
            assert_int_equal(verdict_of(&result, cases[i].limit)->actual, cases[i].actual);
            assert_int_equal(result.is_passed, below == 0);
            assert_int_equal(result.failure_count > 0, below == 1);
            gate_result_deinit(&result);
        }
    }
    model_free(model);
    region_free(region);
}

static void gate_of_nothing_fails(void **state)
{
    (void)state;
    struct region *region = region_new();
    struct gate_result result;
    gate_judge_nothing(region, "the shim was not loaded", &result);
    assert_false(result.is_passed);
    assert_string_equal(result.failures[0].reason, "the shim was not loaded");
    gate_result_deinit(&result);
    region_free(region);
}

static void baseline_written_and_read_is_the_same(void **state)
{
    (void)state;
    struct region *region = region_new();
    struct baseline written;
    struct baseline known;
    struct mt_error error = {0};
    baseline_init(&written, region, NULL);
    baseline_add(&written, "definite", "b < main", 2, 96);
    baseline_add(&written, "double-free", "std::map<int, A<B> >::clear() < main", 1, 0);
    baseline_add(&written, "definite", "b < main", 1, 4);
    baseline_sort(&written);
    assert_int_equal(written.count, 2);
    FILE *file = fopen(path, "w");
    baseline_write(&written, file);
    fclose(file);
    baseline_init(&known, region, path);
    assert_int_equal(baseline_read(&known, path, &error), 0);
    assert_int_equal(known.count, 2);
    const struct baseline_entry *entry = baseline_find(&known, "definite", "b < main");
    assert_non_null(entry);
    assert_int_equal(entry->blocks, 3);
    assert_int_equal(entry->bytes, 100);
    assert_non_null(
        baseline_find(&known, "double-free", "std::map<int, A<B> >::clear() < main"));
    assert_null(baseline_find(&known, "possible", "b < main"));
    baseline_deinit(&written);
    baseline_deinit(&known);
    region_free(region);
}

static void baseline_refuses_every_cut_of_a_line(void **state)
{
    (void)state;
    static const char line[] = "definite 2 blocks 96 bytes  f < main";
    struct region *region = region_new();
    for (size_t length = 1; length < sizeof(line) - sizeof("f < main"); length++) {
        struct baseline baseline;
        struct mt_error error = {0};
        FILE *file = fopen(path, "w");
        fprintf(file, "# memtrack baseline 1\n%.*s\n", (int)length, line);
        fclose(file);
        baseline_init(&baseline, region, path);
        assert_int_equal(baseline_read(&baseline, path, &error), -EINVAL);
        assert_int_equal(error.status, MT_STATUS_DATA);
        assert_non_null(strstr(error.text, ":2: "));
        baseline_deinit(&baseline);
    }
    region_free(region);
}

static void signature_tells_kinds_apart(void **state)
{
    (void)state;
    assert_int_equal(signature_hash("definite", "f < main"), signature_hash("definite", "f < main"));
    assert_int_not_equal(signature_hash("definite", "f < main"),
                         signature_hash("possible", "f < main"));
    assert_int_not_equal(signature_hash("definite", "f < main"),
                         signature_hash("definite", "f < g"));
}

/* What must not reach the reader of any of the forms. */
static void assert_harmless(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        assert_true(*c >= 0x20 || *c == '\n' || *c == '\t');
        assert_int_not_equal(*c, 0x7f);
    }
}

static void hostile_names_are_harmless_in_every_form(void **state)
{
    (void)state;
    struct region *region = region_new();
    sample_write_hostile(path);
    struct model *model = load(region);
    struct gate_options options = default_options();
    struct gate_result result;
    const struct gate_report_options how = {.recording = path};
    options.is_set[GATE_MAX_PEAK] = true; /* at most 0: its sites are named */
    options.is_set[GATE_MAX_ALLOCATIONS] = true;
    gate_judge(region, model, &options, &result);
    assert_true(result.failure_count > 0);
    const struct findings *findings = gate_report_findings(region, &result, &how);
    for (int form = 0; form < 6; form++) {
        char *text = NULL;
        size_t text_bytes = 0;
        FILE *out = open_memstream(&text, &text_bytes);
        const struct render_valgrind_options look = {.shows_reachable = true};
        switch (form) {
        case 0:
            render_junit(out, findings);
            break;
        case 1:
            render_sarif(out, findings, "/src");
            break;
        case 2:
            render_github(out, findings, "/src");
            break;
        case 3:
            render_valgrind_text(out, findings, &look);
            break;
        case 4:
            render_valgrind_xml(out, findings, &look);
            break;
        default: {
            struct report_document *document = gate_report_make(&result, &how);
            render_text(out, document, &(struct render_options){.width = 80});
            report_document_free(document);
        }
        }
        fclose(out);
        assert_true(text_bytes > 0);
        assert_harmless(text);
        free(text);
    }
    gate_result_deinit(&result);
    model_free(model);
    region_free(region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gate_counts_what_the_census_found_lost),
        cmocka_unit_test(gate_limits_are_exact),
        cmocka_unit_test(gate_of_nothing_fails),
        cmocka_unit_test(baseline_written_and_read_is_the_same),
        cmocka_unit_test(baseline_refuses_every_cut_of_a_line),
        cmocka_unit_test(signature_tells_kinds_apart),
        cmocka_unit_test(hostile_names_are_harmless_in_every_form),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
