/* Sites that share an allocation function are told apart by their callers. */
#include "report/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct report_column columns[] = {{"allocated by", "location", REPORT_PLACE}};
static const struct report_frame wrapper = {.function = "wrapper", .line = 1};

static struct report_row *add_row(struct report_document *document, struct report_table *table,
                                  const struct report_frame *callers, size_t count)
{
    struct report_row *row = report_add_row(document, table);
    report_set_place(row, 0, &wrapper);
    row->callers = callers;
    row->caller_count = count;
    return row;
}

static void callers_common_to_all_are_left_out(void **state)
{
    (void)state;
    static const struct report_frame a[] = {{.function = "common"}, {.function = "parse"}};
    static const struct report_frame b[] = {{.function = "common"}, {.function = "print"}};
    struct report_document *document = report_document_new();
    struct report_table *table = report_add_table(document, columns, 1);
    add_row(document, table, a, 2);
    add_row(document, table, b, 2);
    place_tell_apart(document, table, 0);
    assert_string_equal(table->rows[0].cells[0].text, "< .. < parse");
    assert_string_equal(table->rows[1].cells[0].text, "< .. < print");
    report_document_free(document);
}

static void unnamed_callers_are_passed_over_for_a_named_one(void **state)
{
    (void)state;
    static const struct report_frame a[] = {{.module_offset = 1}, {.function = "parse"}};
    static const struct report_frame b[] = {{.module_offset = 2}, {.module_offset = 3}};
    struct report_document *document = report_document_new();
    struct report_table *table = report_add_table(document, columns, 1);
    add_row(document, table, a, 2);
    add_row(document, table, b, 2);
    place_tell_apart(document, table, 0);
    assert_string_equal(table->rows[0].cells[0].text, "< .. < parse");
    assert_null(table->rows[1].cells[0].text);
    report_document_free(document);
}

static void a_place_of_its_own_and_a_shown_stack_need_no_callers(void **state)
{
    (void)state;
    static const struct report_frame other = {.function = "other", .line = 2};
    static const struct report_frame a[] = {{.function = "parse"}};
    static const struct report_frame b[] = {{.function = "print"}};
    struct report_document *document = report_document_new();
    struct report_table *table = report_add_table(document, columns, 1);
    add_row(document, table, a, 1);
    struct report_row *shown = add_row(document, table, b, 1);
    shown->frames = b;
    shown->frame_count = 1;
    report_set_place(add_row(document, table, a, 1), 0, &other);
    place_tell_apart(document, table, 0);
    assert_string_equal(table->rows[0].cells[0].text, "< parse");
    assert_null(table->rows[1].cells[0].text);
    assert_null(table->rows[2].cells[0].text);
    report_document_free(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callers_common_to_all_are_left_out),
        cmocka_unit_test(unnamed_callers_are_passed_over_for_a_named_one),
        cmocka_unit_test(a_place_of_its_own_and_a_shown_stack_need_no_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
