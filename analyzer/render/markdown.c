/* Documents as GitHub-flavoured Markdown, fit for a comment on a pull request. */
#include "render/cell.h"
#include "render/chart.h"
#include "render/cxx_name.h"
#include "render/render.h"
#include "render/unicode.h"
#include "report/quantity.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARKDOWN_NAME_BYTES 4096u
#define MARKDOWN_BYTES_MAX 64800u /* GitHub takes 65 536 characters; room for the last note */
#define MARKDOWN_CHART_COLUMNS 60u

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

/* How much is shown of a document. */
struct markdown {
    FILE *out;
    size_t name_columns; /* longer names are shortened as C++ names, then cut in the middle */
    size_t frames_max;   /* frames of a stack; 0: no stacks */
    size_t rows_max;     /* rows of a table */
    bool has_cut;        /* something was left out */
};

static void markdown_put_name(struct markdown *markdown, const char *name, size_t columns)
{
    char text[MARKDOWN_NAME_BYTES];
    snprintf(text, sizeof(text), "%s", name);
    cxx_name_shorten(text, columns);
    size_t length = strlen(text);
    if (length <= columns) {
        markdown_put(markdown->out, text);
        return;
    }
    size_t half = columns / 2;
    size_t front = half;
    const char *tail = text + length - half;
    while (front > 0 && ((unsigned char)text[front] & 0xc0) == 0x80) {
        front--;
    }
    while (((unsigned char)*tail & 0xc0) == 0x80) {
        tail++;
    }
    text[front] = '\0';
    markdown_put(markdown->out, text);
    fputs("\xe2\x80\xa6", markdown->out);
    markdown_put(markdown->out, tail);
}

static void markdown_put_frame(struct markdown *markdown, const struct report_frame *frame)
{
    char text[MARKDOWN_NAME_BYTES];
    cell_format_function(text, sizeof(text), frame);
    markdown_put_name(markdown, text, markdown->name_columns);
    cell_format_source(text, sizeof(text), frame, true);
    if (text[0] != '\0') {
        fputs(" <sub>", markdown->out);
        markdown_put_name(markdown, text, markdown->name_columns);
        fputs("</sub>", markdown->out);
    }
}

static void markdown_print_stack(struct markdown *markdown, const struct report_row *row)
{
    for (size_t i = 0; i < row->frame_count; i++) {
        if (i == markdown->frames_max) {
            fprintf(markdown->out, "<br>&hellip; %zu more", row->frame_count - i);
            markdown->has_cut = true;
            return;
        }
        fputs(i == 0 ? "" : "<br>", markdown->out);
        markdown_put_frame(markdown, &row->frames[i]);
    }
}

static void markdown_print_place(struct markdown *markdown, const struct report_row *row,
                                 const struct report_cell *cell)
{
    bool has_stack = row->frame_count > 1 && markdown->frames_max > 0;
    markdown->has_cut |= row->frame_count > 1 && !has_stack;
    fputs(has_stack ? "<details><summary>" : "", markdown->out);
    markdown_put_frame(markdown, cell->frame);
    if (cell->text != NULL) {
        fputc(' ', markdown->out);
        markdown_put(markdown->out, cell->text);
    }
    if (has_stack) {
        fputs("</summary>", markdown->out);
        markdown_print_stack(markdown, row);
        fputs("</details>", markdown->out);
    }
}

static void markdown_print_cell(struct markdown *markdown, enum report_unit unit,
                                const struct report_row *row, const struct report_cell *cell)
{
    char text[64];
    if (unit == REPORT_PLACE && cell->is_set) {
        markdown_print_place(markdown, row, cell);
    } else if (unit == REPORT_TEXT && cell->is_set) {
        markdown_put_name(markdown, cell->text, 2 * markdown->name_columns);
    } else {
        cell_format_number(text, sizeof(text), unit, cell);
        markdown_put(markdown->out, text);
    }
}

static void markdown_print_table(struct markdown *markdown, const struct report_table *table)
{
    FILE *out = markdown->out;
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
    for (size_t i = 0; i < table->row_count && i < markdown->rows_max; i++) {
        const struct report_row *row = &table->rows[i];
        fputc('|', out);
        for (size_t column = 0; column < table->column_count; column++) {
            fputc(' ', out);
            markdown_print_cell(markdown, table->columns[column].unit, row, &row->cells[column]);
            fputs(" |", out);
        }
        fputc('\n', out);
    }
    if (table->row_count > markdown->rows_max) {
        fprintf(out, "\n%zu more rows\n", table->row_count - markdown->rows_max);
        markdown->has_cut = true;
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

static void markdown_print_chart(FILE *out, const struct report_chart *chart)
{
    if (chart->point_count > 0 && chart->end_seconds > chart->start_seconds) {
        fputs("\n`", out);
        (void)chart_print_sparkline(out, chart, MARKDOWN_CHART_COLUMNS, true);
        fputs("` ", out);
        markdown_put(out, chart->label);
        fprintf(out, ", %s at most, %s\n", chart_top(chart).text,
                quantity_seconds(chart->end_seconds).text);
    }
}

static void markdown_print_item(struct markdown *markdown, const struct report_item *item)
{
    FILE *out = markdown->out;
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
        markdown_print_table(markdown, item->table);
        break;
    case REPORT_CHART:
        markdown_print_chart(out, item->chart);
        break;
    }
}

/* Prints as much of the document as fits into `bytes`, whole items only. */
static void markdown_print_document(struct markdown *markdown,
                                    const struct report_document *document, size_t bytes)
{
    FILE *out = markdown->out;
    for (const struct report_item *item = document->first; item != NULL; item = item->next) {
        char *text = NULL;
        size_t length = 0;
        markdown->out = open_memstream(&text, &length);
        if (markdown->out == NULL) {
            break;
        }
        markdown_print_item(markdown, item);
        fclose(markdown->out);
        if (length <= bytes) {
            fwrite(text, 1, length, out);
            bytes -= length;
        } else {
            markdown->has_cut = true;
        }
        free(text);
    }
    markdown->out = out;
}

/* Comments have a limit, and a cut one would end within a table: less and less of each table
 * is shown until all of the document fits. */
void render_markdown(FILE *out, const struct report_document *document)
{
    static const struct markdown levels[] = {
        {.name_columns = 120, .frames_max = SIZE_MAX, .rows_max = SIZE_MAX},
        {.name_columns = 100, .frames_max = 12, .rows_max = 50},
        {.name_columns = 80, .frames_max = 6, .rows_max = 20},
        {.name_columns = 80, .frames_max = 0, .rows_max = 20},
        {.name_columns = 60, .frames_max = 0, .rows_max = 5},
    };
    const size_t count = sizeof(levels) / sizeof(levels[0]);
    for (size_t i = 0; i < count; i++) {
        struct markdown markdown = levels[i];
        char *text = NULL;
        size_t length = 0;
        bool is_last = i + 1 == count;
        markdown.out = open_memstream(&text, &length);
        if (markdown.out == NULL) {
            return;
        }
        markdown_print_document(&markdown, document, is_last ? MARKDOWN_BYTES_MAX : SIZE_MAX);
        fclose(markdown.out);
        if (length <= MARKDOWN_BYTES_MAX) {
            fwrite(text, 1, length, out);
            if (markdown.has_cut) {
                fputs("\n> Shortened to the length that comments may have; `--format text` and "
                      "`json` leave nothing out.\n",
                      out);
            }
            free(text);
            return;
        }
        free(text);
    }
}
