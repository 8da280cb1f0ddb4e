#include "render/listing.h"

#include "render/unicode.h"
#include "report/quantity.h"

#include <stdlib.h>
#include <string.h>

#define COLUMN_WIDTH 11
#define COLUMNS_MAX 32u
#define NUMBER_COLUMNS 10u /* the line's number, and blanks around it */
#define SOURCE_COLUMNS_MIN 44u
#define HOT 0.20
#define WARM 0.02

static struct quantity format_value(enum report_unit unit, double value)
{
    struct quantity nothing = {""};
    if (value <= 0) {
        return nothing;
    }
    return unit == REPORT_BYTES     ? quantity_bytes((int64_t)value)
           : unit == REPORT_SECONDS ? quantity_seconds(value)
                                    : quantity_count((int64_t)value);
}

/* Tabs would break the columns. */
static char *expand_tabs(const char *text)
{
    size_t length = strlen(text);
    char *copy = malloc(length * 4 + 1);
    size_t used = 0;
    for (size_t i = 0; copy != NULL && i < length; i++) {
        if (text[i] == '\t') {
            memcpy(copy + used, "    ", 4);
            used += 4;
        } else {
            copy[used++] = text[i];
        }
    }
    if (copy != NULL) {
        copy[used] = '\0';
    }
    return copy;
}

/* Code reads from its beginning: what is too long ends early. */
static void cut_end(char *text, size_t columns)
{
    size_t letters = 0;
    for (char *at = text; *at != '\0'; at++) {
        bool is_start = ((unsigned char)*at & 0xc0) != 0x80;
        letters += is_start ? 1 : 0;
        if (letters > columns) {
            *at = '\0';
            return;
        }
    }
}

/* ---- terminal -------------------------------------------------------------------- */

static const char *heat_color(const struct render_options *options, double heat)
{
    return !options->has_color ? "" : heat >= HOT ? "\x1b[1;31m" : heat >= WARM ? "\x1b[33m" : "";
}

static const char *color_end(const char *start)
{
    return start[0] != '\0' ? "\x1b[0m" : "";
}

/* Which columns are shown, and how wide; 0: not at all. */
struct layout {
    int widths[COLUMNS_MAX];
    size_t taken; /* by all of them and the line's number */
    bool has_cut; /* columns with values are not shown */
};

static void layout_hide(struct layout *layout, size_t column)
{
    layout->taken -= (size_t)layout->widths[column];
    layout->widths[column] = 0;
}

static bool has_values(const struct listing *listing, size_t column)
{
    for (size_t i = 0; i < listing->file_count; i++) {
        if (listing->files[i].sums[column] > 0) {
            return true;
        }
    }
    return false;
}

/* With --wide all columns; else those that say something, and as many as leave room for code. */
static struct layout make_layout(const struct listing *listing,
                                 const struct render_options *options)
{
    struct layout layout = {.taken = NUMBER_COLUMNS};
    size_t count = listing->column_count < COLUMNS_MAX ? listing->column_count : COLUMNS_MAX;
    unsigned rank = 0;
    for (size_t i = 0; i < count; i++) {
        layout.widths[i] = COLUMN_WIDTH;
        layout.taken += COLUMN_WIDTH;
        rank = listing->columns[i].dispensable > rank ? listing->columns[i].dispensable : rank;
    }
    for (size_t i = 0; !options->is_wide && i < count; i++) {
        if (!has_values(listing, i)) {
            layout_hide(&layout, i);
        }
    }
    for (; !options->is_wide && rank > 0 && layout.taken + SOURCE_COLUMNS_MIN > options->width;
         rank--) {
        for (size_t i = 0; i < count; i++) {
            if (listing->columns[i].dispensable == rank && layout.widths[i] > 0) {
                layout_hide(&layout, i);
                layout.has_cut = true;
            }
        }
    }
    return layout;
}

static void print_values(FILE *out, const struct listing *listing, const struct layout *layout,
                         const double *values)
{
    for (size_t i = 0; i < listing->column_count && i < COLUMNS_MAX; i++) {
        struct quantity text =
            format_value(listing->columns[i].unit, values != NULL ? values[i] : 0);
        if (layout->widths[i] > 0) {
            fprintf(out, "%*s", layout->widths[i], text.text);
        }
    }
}

static void print_line(FILE *out, const struct listing *listing, const struct layout *layout,
                       const struct listing_line *line, const struct render_options *options)
{
    size_t room = options->width > layout->taken + 12 ? options->width - layout->taken : 12;
    const char *color = heat_color(options, line->heat);
    const char *faint = options->has_color && line->values == NULL ? "\x1b[2m" : "";
    char *text = line->text != NULL ? expand_tabs(line->text) : NULL;
    fputs(color, out);
    print_values(out, listing, layout, line->values);
    fprintf(out, "%s %s%7lld  ", color_end(color), faint, (long long)line->number);
    if (text != NULL) {
        if (!options->is_wide) {
            cut_end(text, room);
        }
        render_safe_text(out, text, 0, options->has_utf8);
    }
    fprintf(out, "%s\n", color_end(faint));
    free(text);
}

static void print_file(FILE *out, const struct listing *listing, const struct layout *layout,
                       const struct listing_file *file, const struct render_options *options)
{
    const char *strong = options->has_color ? "\x1b[1m" : "";
    fputs(strong, out);
    render_safe_text(out, file->path, 0, options->has_utf8);
    fprintf(out, "%s\n", color_end(strong));
    if (file->note != NULL) {
        fprintf(out, "  (%s)\n", file->note);
    }
    fputs(options->has_color ? "\x1b[4m" : "", out);
    for (size_t i = 0; i < listing->column_count && i < COLUMNS_MAX; i++) {
        if (layout->widths[i] > 0) {
            fprintf(out, "%*s", layout->widths[i], listing->columns[i].title);
        }
    }
    fprintf(out, " %7s  %s%s\n", "Line", "Source", options->has_color ? "\x1b[0m" : "");
    print_values(out, listing, layout, file->sums);
    fprintf(out, " %7s\n", "all");
    for (size_t i = 0; i < file->line_count; i++) {
        if (i > 0 && !file->lines[i].follows) {
            fprintf(out, "%*s %7s\n", (int)(layout->taken - NUMBER_COLUMNS), "", "...");
        }
        print_line(out, listing, layout, &file->lines[i], options);
    }
    fputc('\n', out);
}

/* A sentence over as many lines as it takes. */
static void print_note(FILE *out, const char *note, const struct render_options *options)
{
    char line[1024];
    size_t width = options->width < sizeof(line) && options->width > 0 ? options->width
                                                                      : sizeof(line) - 1;
    while (!options->is_wide && strlen(note) > width) {
        size_t length = width;
        while (length > 0 && note[length] != ' ') {
            length--;
        }
        if (length == 0) {
            break; /* one long word: a path */
        }
        memcpy(line, note, length);
        line[length] = '\0';
        render_safe_text(out, line, 0, options->has_utf8);
        fputc('\n', out);
        note += length + 1;
    }
    render_safe_text(out, note, 0, options->has_utf8);
    fputc('\n', out);
}

void render_listing_text(FILE *out, const struct listing *listing,
                         const struct render_options *options)
{
    struct layout layout = make_layout(listing, options);
    for (size_t i = 0; i < listing->file_count; i++) {
        print_file(out, listing, &layout, &listing->files[i], options);
    }
    for (size_t i = 0; i < listing->note_count; i++) {
        print_note(out, listing->notes[i], options);
    }
    if (layout.has_cut) {
        print_note(out, "More columns have figures: use a wider terminal, or --wide", options);
    }
}

/* ---- HTML ------------------------------------------------------------------------ */

static void put_html(FILE *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        uint32_t point;
        size_t length = unicode_decode(at, &point);
        if (length == 0) {
            fputs("&#xfffd;", out);
            at++;
            continue;
        }
        if (point == '\t') {
            fputs("    ", out);
        } else if (point < 0x20 || point == 0x7f || unicode_is_command(point)) {
            fputc(' ', out);
        } else if (point < 0x80 && strchr("<>&\"'", (int)point) != NULL) {
            fprintf(out, "&#%u;", (unsigned)point);
        } else {
            fwrite(at, 1, length, out);
        }
        at += length;
    }
}

static void put_html_values(FILE *out, const struct listing *listing, const double *values)
{
    for (size_t i = 0; i < listing->column_count; i++) {
        fprintf(out, "<td>%s</td>",
                format_value(listing->columns[i].unit, values != NULL ? values[i] : 0).text);
    }
}

static void put_html_file(FILE *out, const struct listing *listing,
                          const struct listing_file *file, bool is_open)
{
    fprintf(out, "<details%s><summary>", is_open ? " open" : "");
    put_html(out, file->path);
    fputs("</summary>\n", out);
    if (file->note != NULL) {
        fputs("<p>", out);
        put_html(out, file->note);
        fputs("</p>\n", out);
    }
    fputs("<table><thead><tr>", out);
    for (size_t i = 0; i < listing->column_count; i++) {
        fprintf(out, "<th>%s</th>", listing->columns[i].title);
    }
    fputs("<th>Line</th><th class=\"s\">Source</th></tr></thead>\n<tbody><tr class=\"all\">", out);
    put_html_values(out, listing, file->sums);
    fputs("<td>all</td><td></td></tr>\n", out);
    for (size_t i = 0; i < file->line_count; i++) {
        const struct listing_line *line = &file->lines[i];
        if (i > 0 && !line->follows) {
            fprintf(out, "<tr class=\"gap\"><td colspan=\"%zu\">...</td></tr>\n",
                    listing->column_count + 2);
        }
        fprintf(out, "<tr%s>",
                line->heat >= HOT    ? " class=\"hot\""
                : line->heat >= WARM ? " class=\"warm\""
                                     : "");
        put_html_values(out, listing, line->values);
        fprintf(out, "<td>%lld</td><td class=\"s\">", (long long)line->number);
        put_html(out, line->text != NULL ? line->text : "");
        fputs("</td></tr>\n", out);
    }
    fputs("</tbody></table></details>\n", out);
}

void render_listing_html(FILE *out, const struct listing *listing)
{
    static const char style[] =
        ":root{color-scheme:light dark}"
        "body{font:14px system-ui,sans-serif;margin:1rem}"
        "summary{font-weight:bold;cursor:pointer;padding:.4rem 0}"
        "table{border-collapse:collapse;font:12px ui-monospace,monospace}"
        "td,th{text-align:right;padding:0 .6rem;white-space:pre}"
        "th{border-bottom:1px solid;position:sticky;top:0;background:Canvas}"
        ".s{text-align:left}.all{font-weight:bold}.gap{opacity:.5}"
        ".warm{background:#f0a03033}.hot{background:#e0303055}"
        "div{overflow-x:auto}";
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "style-src 'unsafe-inline'\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
          out);
    put_html(out, listing->title);
    fprintf(out, "</title><style>%s</style></head><body>\n<h1>", style);
    put_html(out, listing->title);
    fputs("</h1>\n<p>", out);
    put_html(out, listing->subtitle != NULL ? listing->subtitle : "");
    fputs("</p>\n<div>\n", out);
    for (size_t i = 0; i < listing->file_count; i++) {
        put_html_file(out, listing, &listing->files[i], i < 3);
    }
    fputs("</div>\n", out);
    for (size_t i = 0; i < listing->note_count; i++) {
        fputs("<p>", out);
        put_html(out, listing->notes[i]);
        fputs("</p>\n", out);
    }
    fputs("</body></html>\n", out);
}
