/* From a recording to a document: what is said, and that damage is never obeyed. */
#include "analyses/cpu.h"
#include "analyses/summary.h"
#include "render/render.h"
#include "report/run_report.h"
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
static char path[128];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/memtrack-report-XXXXXX");
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

static bool has_diff_only(const char *name)
{
    return strcmp(name, "diff") == 0;
}

static const struct report_item *find_section(const struct report_document *document,
                                              const char *title)
{
    for (const struct report_item *item = document->first; item != NULL; item = item->next) {
        if (item->kind == REPORT_SECTION && strcmp(item->text, title) == 0) {
            return item;
        }
    }
    return NULL;
}

/* Every renderer over every process. Returns what the text was long. */
static size_t render_everything(const struct model *model)
{
    struct region *region = region_new();
    char *text = NULL;
    size_t text_bytes = 0;
    FILE *out = open_memstream(&text, &text_bytes);
    for (size_t i = 0; i < model->process_count; i++) {
        const struct summary *summary = summary_make(region, model, &model->processes[i]);
        struct report_document *document =
            run_report_make(summary, &(struct run_report_options){.top = 10, .frames_max = 10});
        render_text(out, document, &(struct render_options){.width = 80, .has_utf8 = true});
        render_markdown(out, document);
        report_document_free(document);
    }
    struct report_document *table = run_report_make_table(model, NULL);
    render_csv(out, table);
    report_document_free(table);
    struct render_json json;
    render_json_init(&json, out);
    run_report_write(&json.tree, model, &model->processes[0]);
    render_json_finish(&json);
    fclose(out);
    free(text);
    region_free(region);
    return text_bytes;
}

static struct model *load(void)
{
    struct model *model = NULL;
    assert_int_equal(model_load(&(struct model_selector){.path = path}, &model, NULL), 0);
    return model;
}

static void rankings_are_ordered_and_sum_up(void **state)
{
    (void)state;
    sample_write_service(path);
    struct model *model = load();
    struct region *region = region_new();
    const struct summary *summary = summary_make(region, model, &model->processes[0]);
    assert_int_equal(summary->rankings[SUMMARY_ALLOCATED].total, 99096);
    assert_int_equal(summary->rankings[SUMMARY_LIVE].count, 2);
    assert_int_equal(summary->rankings[SUMMARY_LIVE].sites[0]->live_bytes, 15000);
    assert_int_equal(summary->rankings[SUMMARY_PEAK].total, 25048);
    assert_int_equal(summary->rankings[SUMMARY_TEMPORARY].count, 1);
    assert_int_equal(summary->rankings[SUMMARY_LEAKED].total, 96);
    assert_int_equal(summary->cpu->samples, 100);
    assert_int_equal(summary->cpu->allocator, 30);
    region_free(region);
    model_free(model);
}

static void report_suggests_only_commands_that_exist(void **state)
{
    (void)state;
    sample_write_service(path);
    struct model *model = load();
    struct region *region = region_new();
    const struct summary *summary = summary_make(region, model, &model->processes[0]);
    struct report_document *document = run_report_make(
        summary, &(struct run_report_options){.top = 10, .has_command = has_diff_only});
    for (const struct report_item *item = document->first; item != NULL; item = item->next) {
        assert_int_not_equal(item->kind, REPORT_COMMAND);
    }
    report_document_free(document);
    region_free(region);
    model_free(model);
}

static void sections_without_content_are_left_out(void **state)
{
    (void)state;
    sample_write_empty(path);
    struct model *model = load();
    struct region *region = region_new();
    const struct summary *summary = summary_make(region, model, &model->processes[0]);
    struct report_document *document =
        run_report_make(summary, &(struct run_report_options){.top = 10});
    assert_non_null(find_section(document, "Totals"));
    assert_null(find_section(document, "Leaks"));
    assert_null(find_section(document, "Errors"));
    assert_null(find_section(document, "CPU"));
    assert_null(find_section(document, "Processes"));
    report_document_free(document);
    region_free(region);
    model_free(model);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void damaged_recordings_never_crash_a_report(void **state)
{
    (void)state;
    static void (*const writers[])(const char *) = {sample_write_service, sample_write_tree,
                                                    sample_write_hostile};
    uint32_t random = 7;
    size_t loaded = 0;
    for (size_t i = 0; i < 3; i++) {
        writers[i](path);
        FILE *file = fopen(path, "rb");
        static unsigned char bytes[1 << 20];
        size_t count = fread(bytes, 1, sizeof(bytes), file);
        fclose(file);
        for (int round = 0; round < 150; round++) {
            static unsigned char damaged[1 << 20];
            memcpy(damaged, bytes, count);
            uint32_t flips = 1 + next_random(&random) % 40;
            for (uint32_t k = 0; k < flips; k++) {
                damaged[next_random(&random) % count] = (unsigned char)next_random(&random);
            }
            file = fopen(path, "wb");
            fwrite(damaged, 1, round % 3 == 0 ? count - next_random(&random) % 9000 : count, file);
            fclose(file);
            struct model *model = NULL;
            struct mt_error error = {0};
            if (model_load(&(struct model_selector){.path = path}, &model, &error) == 0) {
                assert_true(render_everything(model) > 100);
                model_free(model);
                loaded++;
            } else {
                assert_int_equal(error.status, MT_STATUS_DATA);
            }
        }
    }
    assert_true(loaded > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rankings_are_ordered_and_sum_up),
        cmocka_unit_test(report_suggests_only_commands_that_exist),
        cmocka_unit_test(sections_without_content_are_left_out),
        cmocka_unit_test(damaged_recordings_never_crash_a_report),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
