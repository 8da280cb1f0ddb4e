/* Renderers: nothing that comes from a program may command the terminal or the format. */
#include "render/cxx_name.h"
#include "render/render.h"
#include "report/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char nasty[] = "a\x1b[31m\r\n\t\"</script>|`\xff\xe2\x80\xae\xc2\x9b${x}";

/* What a function wrote; the caller frees it. */
static char *captured;
static size_t captured_bytes;

static FILE *capture(void)
{
    FILE *out = open_memstream(&captured, &captured_bytes);
    assert_non_null(out);
    return out;
}

static void assert_is_safe(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        assert_true(c == '\n' || (c >= 0x20 && c != 0x7f));
    }
    assert_null(memmem(text, length, "\xe2\x80\xae", 3));
    assert_null(memmem(text, length, "\xc2\x9b", 2));
    assert_null(memchr(text, 0xff, length));
}

static struct report_document *nasty_document(void)
{
    static const struct report_column columns[] = {
        {"n", "n", REPORT_COUNT}, {"where", "where", REPORT_PLACE}, {"text", "text", REPORT_TEXT}};
    static const struct report_frame frame = {
        .function = nasty, .file = nasty, .line = 1, .module = nasty, .source = nasty};
    static const struct report_frame frames[] = {{.function = nasty, .file = nasty, .line = 1},
                                                 {.module = nasty, .module_offset = 16}};
    struct report_document *document = report_document_new();
    report_add_title(document, "%s", nasty);
    report_add_section(document, nasty, nasty);
    struct report_item *facts = report_add_facts(document);
    report_add_fact(document, facts, REPORT_BAD, "label", "%s", nasty);
    report_add_note(document, REPORT_WARNING, "%s", nasty);
    report_add_command(document, nasty, nasty);
    struct report_table *table = report_add_table(document, columns, 3);
    struct report_row *row = report_add_row(document, table);
    report_set_integer(row, 0, 1);
    report_set_place(row, 1, &frame);
    report_set_text(row, 2, nasty);
    row->frames = frames;
    row->frame_count = 2;
    row->below = nasty;
    return document;
}

static void text_shows_control_characters_instead_of_obeying(void **state)
{
    (void)state;
    struct report_document *document = nasty_document();
    for (int utf8 = 0; utf8 < 2; utf8++) {
        FILE *out = capture();
        render_text(out, document, &(struct render_options){.width = 100, .has_utf8 = utf8 != 0});
        fclose(out);
        assert_is_safe(captured, captured_bytes);
        assert_non_null(strstr(captured, "\\x1b[31m"));
        assert_non_null(strstr(captured, "\\n"));
        free(captured);
    }
    report_document_free(document);
}

static void markdown_leaves_no_markup_in_names(void **state)
{
    (void)state;
    struct report_document *document = nasty_document();
    FILE *out = capture();
    render_markdown(out, document);
    fclose(out);
    assert_is_safe(captured, captured_bytes);
    assert_null(strstr(captured, "</script>"));
    assert_null(strstr(captured, "|`"));
    free(captured);
    report_document_free(document);
}

static void csv_quotes_fields_and_defuses_formulas(void **state)
{
    (void)state;
    static const struct report_column columns[] = {{"t", "text", REPORT_TEXT},
                                                   {"b", "bytes", REPORT_BYTES}};
    struct report_document *document = report_document_new();
    struct report_table *table = report_add_table(document, columns, 2);
    struct report_row *row = report_add_row(document, table);
    report_set_text(row, 0, "=cmd|' /C calc'!A0");
    report_set_integer(row, 1, 1024);
    row = report_add_row(document, table);
    report_set_text(row, 0, "say \"hi\",\nplease");
    FILE *out = capture();
    render_csv(out, document);
    fclose(out);
    assert_string_equal(captured, "text,bytes\n\"'=cmd|' /C calc'!A0\",1024\n"
                                  "\"say \"\"hi\"\", please\",\n");
    free(captured);
    report_document_free(document);
}

static void json_escapes_what_json_cannot_carry(void **state)
{
    (void)state;
    FILE *out = capture();
    struct render_json json;
    render_json_init(&json, out);
    tree_object(&json.tree, NULL);
    tree_text(&json.tree, nasty, nasty);
    tree_number(&json.tree, "nan", 0.0 / 0.0 * 0);
    tree_number(&json.tree, "whole", 2);
    tree_integer(&json.tree, "least", INT64_MIN);
    tree_text(&json.tree, "none", NULL);
    tree_array(&json.tree, "list");
    tree_boolean(&json.tree, NULL, true);
    tree_text(&json.tree, NULL, "x");
    tree_end(&json.tree);
    tree_end(&json.tree);
    render_json_finish(&json);
    fclose(out);
    assert_is_safe(captured, captured_bytes);
    assert_non_null(strstr(captured, "\\u001b[31m"));
    assert_non_null(strstr(captured, "\\ufffd"));
    assert_non_null(strstr(captured, "\"nan\": null"));
    assert_non_null(strstr(captured, "\"whole\": 2.0"));
    assert_non_null(strstr(captured, "-9223372036854775808"));
    assert_non_null(strstr(captured, "[true, \"x\"]"));
    free(captured);
}

static void nesting_of_thousands_of_levels_is_written(void **state)
{
    (void)state;
    FILE *out = capture();
    struct render_json json;
    render_json_init(&json, out);
    for (int i = 0; i < 5000; i++) {
        tree_array(&json.tree, NULL);
    }
    for (int i = 0; i < 5000; i++) {
        tree_end(&json.tree);
    }
    render_json_finish(&json);
    fclose(out);
    size_t opened = 0;
    for (size_t i = 0; i < captured_bytes; i++) {
        opened += captured[i] == '[';
    }
    assert_int_equal(opened, 5000);
    free(captured);
}

static void long_names_lose_their_middle_and_keep_both_ends(void **state)
{
    (void)state;
    FILE *out = capture();
    assert_int_equal(render_safe_text(out, "abcdefghijklmnopqrstuvwxyz", 11, true), 11);
    assert_int_equal(render_safe_text(out, "short", 11, true), 5);
    assert_int_equal(render_safe_text(out,
                                      "gr\xc3\xb6\xc3\x9f"
                                      "e",
                                      0, false),
                     5);
    fclose(out);
    assert_string_equal(captured, "abcde\xe2\x80\xa6vwxyzshortgr??e");
    free(captured);
}

static void template_arguments_go_before_anything_else(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t columns;
        const char *expected;
    } cases[] = {
        {"std::map<int, std::less<int> >::at(int const&)", 80,
         "std::map<int, std::less<int> >::at(int const&)"},
        {"std::map<int, std::less<int> >::at(int const&)", 30, "std::map<..>::at(int const&)"},
        {"std::map<int, std::less<int> >::at(int const&)", 20, "std::map<..>::at(..)"},
        {"bool operator<(very_long_type const&, very_long_type const&)", 30, "bool operator<(..)"},
        {"f()", 1, "f()"},
        {"a<b", 1, "a<.."},
        {"company::product::component::registry<int, long>::insert(int const&)", 40,
         "..::component::registry<..>::insert(..)"},
        {"company::product::component::registry<int, long>::insert(int const&)", 16,
         "..::insert(..)"},
        {"company::product::component::registry<int, long>::insert(int const&)", 10, "..::insert"},
        {"(anonymous namespace)::worker::run(int const&)", 20, "..::worker::run(..)"},
        {"a::f(int)::{lambda(int)#1}::operator()(int) const", 40,
         "..::{lambda(..)#1}::operator()(..) const"},
        {"void cut_when_recorded<int>(std::pair<int, std::vector<int>, std::", 30,
         "void cut_when_recorded<..>(..)"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[128];
        snprintf(name, sizeof(name), "%s", cases[i].name);
        cxx_name_shorten(name, cases[i].columns);
        if (i != 5) {
            assert_string_equal(name, cases[i].expected);
        } else {
            assert_true(strlen(name) <= strlen(cases[i].name) + 2);
        }
    }
}

static void quantities_read_as_people_write_them(void **state)
{
    (void)state;
    assert_string_equal(quantity_bytes(0).text, "0 B");
    assert_string_equal(quantity_bytes(1023).text, "1023 B");
    assert_string_equal(quantity_bytes(1024).text, "1.0 KiB");
    assert_string_equal(quantity_bytes(1048575).text, "1.0 MiB");
    assert_string_equal(quantity_bytes(-1536).text, "-1.5 KiB");
    assert_string_equal(quantity_bytes(INT64_MAX).text, "8.0 EiB");
    assert_string_equal(quantity_count(1234567).text, "1,234,567");
    assert_string_equal(quantity_count(-100).text, "-100");
    assert_string_equal(quantity_count(INT64_MIN).text, "-9,223,372,036,854,775,808");
    assert_string_equal(quantity_percent(0.01).text, "<0.1 %");
    assert_string_equal(quantity_seconds(0.0000015).text, "2 us");
    assert_string_equal(quantity_seconds(0.5).text, "500 ms");
    assert_string_equal(quantity_seconds(12.345).text, "12.35 s");
    assert_string_equal(quantity_seconds(125).text, "2 m 05 s");
    assert_string_equal(quantity_seconds(7380).text, "2 h 03 m");
    assert_string_equal(quantity_seconds(200000).text, "2 d 08 h");
}

static void chart_shows_a_spike_narrower_than_a_column(void **state)
{
    (void)state;
    static struct report_chart_point points[10000];
    for (int i = 0; i < 10000; i++) {
        points[i] = (struct report_chart_point){.seconds = i, .low = 0, .high = i == 5000 ? 1 : 0};
    }
    struct report_document *document = report_document_new();
    struct report_chart *chart = report_add_chart(document, "live", REPORT_COUNT);
    chart->points = points;
    chart->point_count = 10000;
    chart->end_seconds = 9999;
    chart->mark_seconds = 5000;
    chart->mark_label = "peak";
    FILE *out = capture();
    render_text(out, document, &(struct render_options){.width = 80});
    fclose(out);
    assert_non_null(strchr(captured, '#'));
    assert_non_null(strstr(captured, "^ peak"));
    free(captured);
    report_document_free(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_shows_control_characters_instead_of_obeying),
        cmocka_unit_test(markdown_leaves_no_markup_in_names),
        cmocka_unit_test(csv_quotes_fields_and_defuses_formulas),
        cmocka_unit_test(json_escapes_what_json_cannot_carry),
        cmocka_unit_test(nesting_of_thousands_of_levels_is_written),
        cmocka_unit_test(long_names_lose_their_middle_and_keep_both_ends),
        cmocka_unit_test(template_arguments_go_before_anything_else),
        cmocka_unit_test(quantities_read_as_people_write_them),
        cmocka_unit_test(chart_shows_a_spike_narrower_than_a_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
