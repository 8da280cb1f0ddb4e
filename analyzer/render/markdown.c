/* Documents as GitHub-flavoured Markdown, fit for a comment on a pull request. */
#include "render/cell.h"
#include "render/chart.h"
#include "render/render.h"
#include "render/unicode.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MARKDOWN_NAME_BYTES 4096u

static bool markdown_is_letter(unsigned char c)
{
    return isalnum(c) || c == '_' || c >= 0x80;
}

/* Whether a character could be syntax where it stands: an underscore inside a word is
 * none, and names are full of them. */
static bool markdown_is_syntax(const unsigned char *text, const unsigned char *at)
{
    if (*at == '_') {
        return at == text || !markdown_is_letter(at[-1]) || !markdown_is_letter(at[1])
               || at[1] == '_' || at[-1] == '_';
    }
    return strchr("\\`*{}[]|~@", *at) != NULL;
}

/* Text in which nothing is syntax: neither Markdown's nor HTML's, nor a table's. */
static void markdown_put(FILE *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        uint32_t point;
        size_t length = unicode_decode(at, &point);
        if (length == 0) {
            fprintf(out, "\\\\x%02x", *at);
            at++;
            continue;
        }
        if (point == '<') {
            fputs("&lt;", out);
        } else if (point == '>') {
            fputs("&gt;", out);
        } else if (point == '&') {
            fputs("&amp;", out);
        } else if (point < 0x80 && markdown_is_syntax((const unsigned char *)text, at)) {
            /* A numeric entity is never syntax and never a mention. */
            fprintf(out, "&#%u;", (unsigned)point);
        } else if (point < 0x20 || point == 0x7f || unicode_is_command(point)) {
            fprintf(out, "&#92;u%04x", (unsigned)point);
        } else {
            fwrite(at, 1, length, out);
        }
        at += length;
    }
}

static void markdown_put_frame(FILE *out, const struct report_frame *frame)
{
    char text[MARKDOWN_NAME_BYTES];
    cell_format_function(text, sizeof(text), frame);
    markdown_put(out, text);
    cell_format_source(text, sizeof(text), frame, true);
    if (text[0] != '\0') {
        fputs(" ", out);
        fputs("<sub>", out);
        markdown_put(out, text);
        fputs("</sub>", out);
    }
}

static void markdown_print_cell(FILE *out, enum report_unit unit, const struct report_row *row,
                                const struct report_cell *cell)
{
    char text[64];
    if (unit == REPORT_PLACE && cell->is_set) {
        if (row->frame_count > 1) {
            fputs("<details><summary>", out);
        }
        markdown_put_frame(out, cell->frame);
        if (cell->text != NULL) {
            fputs(" ", out);
            markdown_put(out, cell->text);
        }
        if (row->frame_count > 1) {
            fputs("</summary>", out);
            for (size_t i = 0; i < row->frame_count; i++) {
                fputs(i == 0 ? "" : "<br>", out);
                markdown_put_frame(out, &row->frames[i]);
            }
            fputs("</details>", out);
        }
    } else if (unit == REPORT_TEXT && cell->is_set) {
        markdown_put(out, cell->text);
    } else {
        cell_format_number(text, sizeof(text), unit, cell);
        markdown_put(out, text);
    }
}

static void markdown_print_table(FILE *out, const struct report_table *table)
{
    if (table->row_count == 0) {
        return;
    }
    fputs("\n|", out);
    for (size_t i = 0; i < table->column_count; i++) {
        fprintf(out, " %s |", table->columns[i].title);
    }
    fputs("\n|", out);
    for (size_t i = 0; i < table->column_count; i++) {
        fputs(cell_is_text(table->columns[i].unit) ? " :-- |" : " --: |", out);
    }
    fputc('\n', out);
    for (size_t i = 0; i < table->row_count; i++) {
        const struct report_row *row = &table->rows[i];
        fputc('|', out);
        for (size_t column = 0; column < table->column_count; column++) {
            fputc(' ', out);
            markdown_print_cell(out, table->columns[column].unit, row, &row->cells[column]);
            fputs(" |", out);
        }
        fputc('\n', out);
    }
}

static void markdown_print_facts(FILE *out, const struct report_item *item)
{
    fputs("\n| | |\n| :-- | :-- |\n", out);
    for (size_t i = 0; i < item->fact_count; i++) {
        fputs("| ", out);
        markdown_put(out, item->facts[i].label);
        fputs(" | ", out);
        markdown_put(out, item->facts[i].text);
        fputs(" |\n", out);
    }
}

static void markdown_print_item(FILE *out, const struct report_item *item)
{
    switch (item->kind) {
    case REPORT_TITLE:
        fputs("## memtrack: ", out);
        markdown_put(out, item->text);
        fputc('\n', out);
        break;
    case REPORT_SECTION:
        fputs("\n### ", out);
        markdown_put(out, item->text);
        if (item->remark != NULL) {
            fputs("\n\n", out);
            markdown_put(out, item->remark);
        }
        fputc('\n', out);
        break;
    case REPORT_PARAGRAPH:
        fputc('\n', out);
        markdown_put(out, item->text);
        fputc('\n', out);
        break;
    case REPORT_NOTE:
        fputs("\n> ", out);
        markdown_put(out, item->text);
        fputc('\n', out);
        break;
    case REPORT_COMMAND:
        fputs("\n- <code>", out);
        markdown_put(out, item->text);
        fputs("</code>", out);
        if (item->remark != NULL) {
            fputs(" ", out);
            markdown_put(out, item->remark);
        }
        fputc('\n', out);
        break;
    case REPORT_FACTS:
        markdown_print_facts(out, item);
        break;
    case REPORT_TABLE:
        markdown_print_table(out, item->table);
        break;
    case REPORT_CHART:
        fputs("\n`", out);
        chart_print_sparkline(out, item->chart, 60);
        fputs("`\n", out);
        break;
    }
}

void render_markdown(FILE *out, const struct report_document *document)
{
    for (const struct report_item *item = document->first; item != NULL; item = item->next) {
        markdown_print_item(out, item);
    }
}
