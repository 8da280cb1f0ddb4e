/* Tables as comma-separated values. Source: RFC 4180. */
#include "render/cell.h"
#include "render/render.h"
#include "render/unicode.h"

#include <stdio.h>
#include <string.h>

#define CSV_NAME_BYTES 4096u

/* Inside a quoted field. Control characters become blanks. */
static void csv_put_inside(FILE *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *plain = at; /* from here on it goes out as it is */
    while (*at != '\0') {
        uint32_t point;
        size_t length = unicode_decode(at, &point);
        const char *instead = NULL;
        if (length == 0) {
            length = 1;
            instead = "\xef\xbf\xbd";
        } else if (point == '"') {
            instead = "\"\"";
        } else if (point < 0x20 || point == 0x7f || unicode_is_command(point)) {
            instead = " ";
        }
        if (instead != NULL) {
            fwrite(plain, 1, (size_t)(at - plain), out);
            fputs(instead, out);
            plain = at + length;
        }
        at += length;
    }
    fwrite(plain, 1, (size_t)(at - plain), out);
}

/* A spreadsheet takes what starts so for a formula. */
static bool csv_is_formula(const char *text)
{
    return text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL;
}

static void csv_put(FILE *out, const char *text)
{
    fputc('"', out);
    if (csv_is_formula(text)) {
        fputc('\'', out);
    }
    csv_put_inside(out, text);
    fputc('"', out);
}

static void csv_print_cell(FILE *out, enum report_unit unit, const struct report_cell *cell)
{
    char text[CSV_NAME_BYTES];
    if (!cell->is_set) {
        return;
    }
    switch (unit) {
    case REPORT_TEXT:
        csv_put(out, cell->text);
        break;
    case REPORT_PLACE:
        cell_format_function(text, sizeof(text), cell->frame);
        csv_put(out, text);
        break;
    case REPORT_COUNT:
    case REPORT_ID:
    case REPORT_BYTES:
    case REPORT_DELTA_COUNT:
    case REPORT_DELTA_BYTES:
        fprintf(out, "%lld", (long long)cell->integer);
        break;
    case REPORT_PERCENT:
    case REPORT_SECONDS:
    case REPORT_RATE_BYTES:
        fprintf(out, "%.9g", cell->number);
        break;
    }
}

/* Innermost first, separated by ";" as collapsed stacks are. */
static void csv_print_stack(FILE *out, const struct report_row *row)
{
    char text[CSV_NAME_BYTES];
    fputc('"', out);
    for (size_t i = 0; i < row->frame_count; i++) {
        const struct report_frame *frame = &row->frames[i];
        fputs(i == 0 ? "" : "; ", out);
        cell_format_function(text, sizeof(text), frame);
        if (i == 0 && csv_is_formula(text)) {
            fputc('\'', out);
        }
        csv_put_inside(out, text);
        cell_format_source(text, sizeof(text), frame, false);
        if (text[0] != '\0') {
            fputs(" (", out);
            csv_put_inside(out, text);
            fputc(')', out);
        }
    }
    fputc('"', out);
}

static void csv_print_table(FILE *out, const struct report_table *table)
{
    bool has_frames = false;
    for (size_t i = 0; i < table->row_count; i++) {
        has_frames |= table->rows[i].frame_count > 0;
    }
    has_frames |= table->is_data;
    for (size_t i = 0; i < table->column_count; i++) {
        fprintf(out, "%s%s", i == 0 ? "" : ",", table->columns[i].name);
    }
    fputs(has_frames ? ",stack\n" : "\n", out);
    for (size_t i = 0; i < table->row_count; i++) {
        const struct report_row *row = &table->rows[i];
        for (size_t column = 0; column < table->column_count; column++) {
            fputs(column == 0 ? "" : ",", out);
            csv_print_cell(out, table->columns[column].unit, &row->cells[column]);
        }
        if (has_frames) {
            fputc(',', out);
            csv_print_stack(out, row);
        }
        fputc('\n', out);
    }
}

void render_csv(FILE *out, const struct report_document *document)
{
    for (const struct report_item *item = document->first; item != NULL; item = item->next) {
        if (item->kind == REPORT_TABLE && item->table->is_data) {
            csv_print_table(out, item->table);
            return;
        }
    }
    bool is_first = true;
    for (const struct report_item *item = document->first; item != NULL; item = item->next) {
        if (item->kind == REPORT_TABLE) {
            fputs(is_first ? "" : "\n", out);
            csv_print_table(out, item->table);
            is_first = false;
        }
    }
}
