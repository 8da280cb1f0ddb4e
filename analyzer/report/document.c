#include "report/document.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct report_document *report_document_new(void)
{
    struct region *region = region_new();
    struct report_document *document = region_alloc(region, sizeof(*document));
    document->region = region;
    return document;
}

void report_document_free(struct report_document *document)
{
    if (document == NULL) {
        return;
    }
    for (struct report_item *item = document->first; item != NULL; item = item->next) {
        free(item->facts);
        if (item->table != NULL) {
            free(item->table->rows);
        }
    }
    region_free(document->region);
}

static struct report_item *report_add_item(struct report_document *document, enum report_kind kind)
{
    struct report_item *item = region_alloc(document->region, sizeof(*item));
    item->kind = kind;
    if (document->last != NULL) {
        document->last->next = item;
    } else {
        document->first = item;
    }
    document->last = item;
    return item;
}

__attribute__((format(printf, 2, 0))) static const char *
report_format(struct report_document *document, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    size_t room = length < 0 ? 1 : (size_t)length + 1;
    char *text = region_alloc(document->region, room);
    vsnprintf(text, room, format, arguments);
    return text;
}

void report_add_title(struct report_document *document, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report_add_item(document, REPORT_TITLE)->text = report_format(document, format, arguments);
    va_end(arguments);
}

void report_add_section(struct report_document *document, const char *title, const char *remark)
{
    struct report_item *item = report_add_item(document, REPORT_SECTION);
    item->text = region_copy_text(document->region, title);
    item->remark = region_copy_text(document->region, remark);
}

void report_add_paragraph(struct report_document *document, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report_add_item(document, REPORT_PARAGRAPH)->text = report_format(document, format, arguments);
    va_end(arguments);
}

void report_add_note(struct report_document *document, enum report_tone tone, const char *format,
                     ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct report_item *item = report_add_item(document, REPORT_NOTE);
    item->text = report_format(document, format, arguments);
    item->tone = tone;
    va_end(arguments);
}

void report_add_command(struct report_document *document, const char *command,
                        const char *explanation)
{
    struct report_item *item = report_add_item(document, REPORT_COMMAND);
    item->text = region_copy_text(document->region, command);
    item->remark = region_copy_text(document->region, explanation);
}

struct report_item *report_add_facts(struct report_document *document)
{
    return report_add_item(document, REPORT_FACTS);
}

void report_add_fact(struct report_document *document, struct report_item *facts,
                     enum report_tone tone, const char *label, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    facts->facts =
        mt_grow(facts->facts, &facts->fact_capacity, facts->fact_count + 1, sizeof(*facts->facts));
    facts->facts[facts->fact_count++] =
        (struct report_fact){.label = region_copy_text(document->region, label),
                             .text = report_format(document, format, arguments),
                             .tone = tone};
    va_end(arguments);
}

struct report_table *report_add_table(struct report_document *document,
                                      const struct report_column *columns, size_t column_count)
{
    struct report_table *table = region_alloc(document->region, sizeof(*table));
    table->columns = columns;
    table->column_count = column_count;
    report_add_item(document, REPORT_TABLE)->table = table;
    return table;
}

struct report_row *report_add_row(struct report_document *document, struct report_table *table)
{
    table->rows =
        mt_grow(table->rows, &table->row_capacity, table->row_count + 1, sizeof(*table->rows));
    struct report_row *row = &table->rows[table->row_count++];
    *row = (struct report_row){
        .cells = region_alloc_array(document->region, table->column_count, sizeof(*row->cells))};
    return row;
}

void report_set_integer(struct report_row *row, size_t column, int64_t value)
{
    row->cells[column].is_set = true;
    row->cells[column].integer = value;
}

void report_set_number(struct report_row *row, size_t column, double value)
{
    row->cells[column].is_set = true;
    row->cells[column].number = value;
}

void report_set_text(struct report_row *row, size_t column, const char *text)
{
    row->cells[column].is_set = text != NULL;
    row->cells[column].text = text;
}

void report_set_place(struct report_row *row, size_t column, const struct report_frame *frame)
{
    row->cells[column].is_set = frame != NULL;
    row->cells[column].frame = frame;
}

struct report_chart *report_add_chart(struct report_document *document, const char *label,
                                      enum report_unit unit)
{
    struct report_chart *chart = region_alloc(document->region, sizeof(*chart));
    chart->label = region_copy_text(document->region, label);
    chart->unit = unit;
    chart->mark_seconds = -1;
    report_add_item(document, REPORT_CHART)->chart = chart;
    return chart;
}
