/* Documents for people at a terminal. */
#include "render/cell.h"
#include "render/chart.h"
#include "render/cxx_name.h"
#include "render/render.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_CALLERS_MIN 10u /* columns below which callers say nothing */
#define TEXT_NAME_BYTES 4096u
#define TEXT_COLUMNS_MAX 64u
#define TEXT_STACK_INDENT 10u

struct text_printer {
    FILE *out;
    const struct render_options *options;
    size_t width;
};

static const char *text_tone_code(enum report_tone tone)
{
    switch (tone) {
    case REPORT_STRONG:
        return "\x1b[1m";
    case REPORT_FAINT:
        return "\x1b[2m";
    case REPORT_GOOD:
        return "\x1b[32m";
    case REPORT_WARNING:
        return "\x1b[33m";
    case REPORT_BAD:
        return "\x1b[31m";
    case REPORT_PLAIN:
        break;
    }
    return NULL;
}

static void text_begin(const struct text_printer *printer, enum report_tone tone)
{
    const char *code = printer->options->has_color ? text_tone_code(tone) : NULL;
    if (code != NULL) {
        fputs(code, printer->out);
    }
}

static void text_end(const struct text_printer *printer, enum report_tone tone)
{
    if (printer->options->has_color && text_tone_code(tone) != NULL) {
        fputs("\x1b[0m", printer->out);
    }
}

/* Safe text in a tone, cut to `columns` unless 0 or --wide. Returns columns written. */
static size_t text_put(const struct text_printer *printer, enum report_tone tone, const char *text,
                       size_t columns)
{
    text_begin(printer, tone);
    size_t written = render_safe_text(printer->out, text, printer->options->is_wide ? 0 : columns,
                                      printer->options->has_utf8);
    text_end(printer, tone);
    return written;
}

static size_t text_columns(const char *text)
{
    size_t columns = 0;
    for (const char *c = text; *c != '\0'; c++) {
        columns += ((unsigned char)*c & 0xc0) != 0x80;
    }
    return columns;
}

/* A sentence or more, broken between words; `lead` stands before the first line, its width
 * before the others. With --wide it stays one line. */
static void text_put_wrapped(const struct text_printer *printer, enum report_tone tone,
                             const char *text, const char *lead)
{
    size_t indent = strlen(lead);
    size_t room = printer->width > indent + 20 ? printer->width - indent : 20;
    char line[512];
    fputs(lead, printer->out);
    while (!printer->options->is_wide && text_columns(text) > room) {
        size_t bytes = 0;
        size_t columns = 0;
        size_t at = 0;
        for (; text[at] != '\0' && columns <= room && at < sizeof(line); at++) {
            if (text[at] == ' ') {
                bytes = at;
            }
            columns += ((unsigned char)text[at] & 0xc0) != 0x80;
        }
        if (bytes == 0) {
            break; /* one long word: cut by whoever shows it */
        }
        snprintf(line, sizeof(line), "%.*s", (int)bytes, text);
        text_put(printer, tone, line, 0);
        fprintf(printer->out, "\n%*s", (int)indent, "");
        text += bytes + 1;
    }
    text_put(printer, tone, text, 0);
    fputc('\n', printer->out);
}

/* "function  file:line" in at most `columns`: the source is shortened first, then the
 * function's middle goes. Returns columns written. */
static size_t text_put_place(const struct text_printer *printer, const struct report_frame *frame,
                             enum report_tone tone, size_t columns)
{
    char function[TEXT_NAME_BYTES];
    char source[TEXT_NAME_BYTES];
    cell_format_function(function, sizeof(function), frame);
    cell_format_source(source, sizeof(source), frame, false);
    const char *mark = frame->is_inlined ? " [inlined]" : "";
    columns = columns > strlen(mark) ? columns - strlen(mark) : 0;
    size_t need = text_columns(function) + 2 + text_columns(source);
    if (!printer->options->is_wide && need > columns) {
        cell_format_source(source, sizeof(source), frame, true);
    }
    size_t source_columns = text_columns(source);
    size_t room = columns > source_columns + 12 ? columns - source_columns - 2 : 9;
    if (!printer->options->is_wide) {
        cxx_name_shorten(function, room);
    }
    size_t written = text_put(printer, tone, function, source[0] == '\0' ? columns : room);
    if (source[0] != '\0') {
        fputs("  ", printer->out);
        written += 2 + text_put(printer, REPORT_FAINT, source, columns > 24 ? columns - 12 : 12);
    }
    return written + text_put(printer, REPORT_FAINT, mark, 0);
}

/* ---- tables -------------------------------------------------------------- */

/* The row's place and the stack's innermost frame are mostly the same: said once. */
static bool text_is_same_frame(const struct report_frame *a, const struct report_frame *b)
{
    return a != NULL && a->module_offset == b->module_offset && a->line == b->line
           && a->function == b->function && a->module == b->module;
}

static const struct report_frame *text_row_place(const struct report_table *table,
                                                 const struct report_row *row)
{
    for (size_t column = 0; column < table->column_count; column++) {
        if (table->columns[column].unit == REPORT_PLACE && row->cells[column].is_set) {
            return row->cells[column].frame;
        }
    }
    return NULL;
}

static void text_print_below(const struct text_printer *printer, const struct report_table *table,
                             const struct report_row *row)
{
    const size_t indent = TEXT_STACK_INDENT;
    const struct report_frame *place = text_row_place(table, row);
    if (place != NULL && place->source != NULL && row->frame_count > 0) {
        const char *source = place->source + strspn(place->source, " \t\r\n");
        fprintf(printer->out, "%*s", (int)indent, "");
        text_put(printer, REPORT_FAINT, "| ", 0);
        text_put(printer, REPORT_PLAIN, source, printer->width - indent - 2);
        fputc('\n', printer->out);
    }
    for (size_t i = 0; i < row->frame_count; i++) {
        if (i == 0 && text_is_same_frame(place, &row->frames[0])) {
            continue;
        }
        fprintf(printer->out, "%*s", (int)indent, "");
        text_put(printer, REPORT_FAINT, i == 0 ? "at " : "by ", 0);
        text_put_place(printer, &row->frames[i], REPORT_PLAIN, printer->width - indent - 3);
        fputc('\n', printer->out);
    }
    if (row->below != NULL) {
        fprintf(printer->out, "%*s", (int)indent, "");
        text_put(printer, REPORT_FAINT, row->below, 0);
        fputc('\n', printer->out);
    }
}

static void text_measure(const struct report_table *table, size_t *widths)
{
    char text[64];
    for (size_t column = 0; column < table->column_count; column++) {
        widths[column] = strlen(table->columns[column].title);
        for (size_t i = 0; i < table->row_count; i++) {
            const struct report_cell *cell = &table->rows[i].cells[column];
            size_t width = 0;
            if (table->columns[column].unit == REPORT_TEXT) {
                width = cell->is_set ? text_columns(cell->text) : 0;
                width = width > 34 && column + 1 < table->column_count ? 34 : width;
            } else if (table->columns[column].unit != REPORT_PLACE) {
                cell_format_number(text, sizeof(text), table->columns[column].unit, cell);
                width = strlen(text);
            }
            if (width > widths[column]) {
                widths[column] = width;
            }
        }
    }
}

static void text_print_titles(const struct text_printer *printer, const struct report_table *table,
                              const size_t *widths)
{
    text_begin(printer, REPORT_FAINT);
    fputc(' ', printer->out);
    for (size_t column = 0; column < table->column_count; column++) {
        const struct report_column *head = &table->columns[column];
        bool is_last = column + 1 == table->column_count;
        if (cell_is_text(head->unit)) {
            fprintf(printer->out, " %-*s", is_last ? 0 : (int)widths[column], head->title);
        } else {
            fprintf(printer->out, " %*s", (int)widths[column], head->title);
        }
        fputs(is_last ? "" : " ", printer->out);
    }
    text_end(printer, REPORT_FAINT);
    fputc('\n', printer->out);
}

static void text_print_cell(const struct text_printer *printer, const struct report_table *table,
                            const struct report_cell *cell, size_t column, size_t width,
                            size_t position)
{
    enum report_unit unit = table->columns[column].unit;
    bool is_last = column + 1 == table->column_count;
    size_t room = printer->width > position + 20 ? printer->width - position : 20;
    fputc(' ', printer->out);
    if (unit == REPORT_PLACE) {
        if (cell->is_set) {
            size_t used = text_put_place(printer, cell->frame, REPORT_STRONG, room);
            if (cell->text != NULL && room > used + TEXT_CALLERS_MIN) {
                fputs("  ", printer->out);
                text_put(printer, REPORT_PLAIN, cell->text, room - used - 2);
            }
        } else {
            text_put(printer, REPORT_FAINT, "(no stack)", 0);
        }
    } else if (unit == REPORT_TEXT) {
        size_t written =
            cell->is_set ? text_put(printer, cell->tone, cell->text, is_last ? room : width) : 0;
        if (!is_last && written < width) {
            fprintf(printer->out, "%*s", (int)(width - written), "");
        }
    } else {
        char text[64];
        cell_format_number(text, sizeof(text), unit, cell);
        text_begin(printer, cell->tone);
        fprintf(printer->out, "%*s", (int)width, text);
        text_end(printer, cell->tone);
    }
    fputs(is_last ? "" : " ", printer->out);
}

static void text_print_table(const struct text_printer *printer, const struct report_table *table)
{
    size_t widths[TEXT_COLUMNS_MAX] = {0};
    if (table->row_count == 0 || table->column_count > TEXT_COLUMNS_MAX) {
        return;
    }
    text_measure(table, widths);
    text_print_titles(printer, table, widths);
    for (size_t i = 0; i < table->row_count; i++) {
        const struct report_row *row = &table->rows[i];
        size_t position = 2;
        fputc(' ', printer->out);
        for (size_t column = 0; column < table->column_count; column++) {
            text_print_cell(printer, table, &row->cells[column], column, widths[column], position);
            if (column + 1 < table->column_count) {
                position += widths[column] + 2;
            }
        }
        fputc('\n', printer->out);
        text_print_below(printer, table, row);
    }
}

/* ---- the rest ------------------------------------------------------------ */

static void text_print_facts(const struct text_printer *printer, const struct report_item *item)
{
    size_t widest = 0;
    for (size_t i = 0; i < item->fact_count; i++) {
        size_t width = text_columns(item->facts[i].label);
        widest = width > widest ? width : widest;
    }
    for (size_t i = 0; i < item->fact_count; i++) {
        fprintf(printer->out, "  ");
        text_begin(printer, REPORT_FAINT);
        fprintf(printer->out, "%-*s", (int)widest, item->facts[i].label);
        text_end(printer, REPORT_FAINT);
        fprintf(printer->out, "  ");
        text_put(printer, item->facts[i].tone, item->facts[i].text, 0);
        fputc('\n', printer->out);
    }
}

static void text_print_small_chart(const struct text_printer *printer,
                                   const struct report_chart *chart)
{
    size_t count = printer->width > 100 ? 60 : printer->width - 40;
    fputs("  ", printer->out);
    text_put(printer, REPORT_FAINT, chart->label, 0);
    fputs("  ", printer->out);
    (void)chart_print_sparkline(printer->out, chart, count, printer->options->has_utf8);
    fprintf(printer->out, "  %s at most\n", chart_top(chart).text);
}

static void text_print_item(const struct text_printer *printer, const struct report_item *item)
{
    FILE *out = printer->out;
    switch (item->kind) {
    case REPORT_TITLE:
        fputs("memtrack  ", out);
        text_put(printer, REPORT_STRONG, item->text, printer->width - 10);
        fputc('\n', out);
        break;
    case REPORT_SECTION:
        fputc('\n', out);
        text_put(printer, REPORT_STRONG, item->text, 0);
        if (item->remark != NULL) {
            fputs("  ", out);
            text_put(printer, REPORT_FAINT, item->remark, 0);
        }
        fputc('\n', out);
        break;
    case REPORT_PARAGRAPH:
        text_put_wrapped(printer, REPORT_FAINT, item->text, "  ");
        break;
    case REPORT_NOTE:
        text_put_wrapped(printer, item->tone, item->text,
                         item->tone == REPORT_FAINT ? "  - " : "  ! ");
        break;
    case REPORT_COMMAND:
        fputs("  ", out);
        text_put(printer, REPORT_STRONG, item->text, 0);
        if (item->remark != NULL) {
            size_t used = text_columns(item->text);
            fprintf(out, "%*s", used < 40 ? (int)(42 - used) : 2, "");
            text_put(printer, REPORT_FAINT, item->remark, 0);
        }
        fputc('\n', out);
        break;
    case REPORT_FACTS:
        text_print_facts(printer, item);
        break;
    case REPORT_TABLE:
        text_print_table(printer, item->table);
        break;
    case REPORT_CHART:
        if (item->chart->is_small) {
            text_print_small_chart(printer, item->chart);
        } else {
            chart_print(out, item->chart, printer->options);
        }
        break;
    }
}

void render_text(FILE *out, const struct report_document *document,
                 const struct render_options *options)
{
    struct text_printer printer = {
        .out = out, .options = options, .width = options->width == 0 ? 100 : options->width};
    if (printer.width < 60) {
        printer.width = 60;
    }
    for (const struct report_item *item = document->first; item != NULL; item = item->next) {
        text_print_item(&printer, item);
    }
}
