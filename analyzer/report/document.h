/*
 * report/document.h - a report as a document: sections, facts, tables, charts, notes.
 *
 * Analyses give typed results, a report arranges them into a document, renderers print
 * documents: text, Markdown and CSV know nothing of analyses, and a new analysis needs no
 * renderer. (JSON has the contract's own shapes: report/tree.h.)
 *
 * Texts may contain anything (names come from programs): renderers neutralise what their
 * format or the terminal would take for a command.
 *
 * Context: analyzer.
 * Memory:  the document owns everything in it; texts given are copied unless said.
 * Threads: one at a time.
 */
#ifndef MEMTRACK_REPORT_DOCUMENT_H
#define MEMTRACK_REPORT_DOCUMENT_H

#include "foundation/region.h"

#include <stdbool.h>
#include <stdint.h>

enum report_kind {
    REPORT_TITLE,
    REPORT_SECTION,
    REPORT_PARAGRAPH,
    REPORT_FACTS,
    REPORT_TABLE,
    REPORT_CHART,
    REPORT_NOTE,
    REPORT_COMMAND
};

/* What a cell's value is; the renderer chooses units, alignment and digits. */
enum report_unit {
    REPORT_TEXT,
    REPORT_COUNT,
    REPORT_ID, /* a number that names: a pid, an index */
    REPORT_BYTES,
    REPORT_PERCENT, /* number, 0..100 */
    REPORT_SECONDS, /* number */
    REPORT_DELTA_COUNT,
    REPORT_DELTA_BYTES,
    REPORT_RATE_BYTES, /* number, bytes per second */
    REPORT_PLACE       /* a frame: function and file:line */
};

enum report_tone {
    REPORT_PLAIN,
    REPORT_STRONG,
    REPORT_FAINT,
    REPORT_GOOD,
    REPORT_WARNING,
    REPORT_BAD
};

/* A line of a stack. Texts are borrowed and must outlive the document. */
struct report_frame {
    const char *function; /* NULL: unknown */
    const char *file;     /* NULL: unknown */
    int64_t line;         /* 0: unknown */
    const char *module;   /* path; NULL: unknown */
    uint64_t module_offset;
    const char *source; /* text of the line, or NULL */
    bool is_inlined;
};

struct report_cell {
    bool is_set; /* false: nothing to say, shown empty */
    int64_t integer;
    double number;
    const char *text;                 /* REPORT_PLACE: callers that tell it from its like, or NULL */
    const struct report_frame *frame; /* REPORT_PLACE */
    enum report_tone tone;
};

struct report_column {
    const char *title; /* borrowed */
    const char *name;  /* for machines (CSV); borrowed */
    enum report_unit unit;
};

struct report_row {
    struct report_cell *cells;         /* one per column */
    const struct report_frame *frames; /* shown below the row, innermost first */
    size_t frame_count;
    const struct report_frame *callers; /* of the row's place, innermost first; not shown */
    size_t caller_count;
    const char *below; /* a remark below the row, or NULL */
};

struct report_table {
    const struct report_column *columns; /* borrowed */
    size_t column_count;
    struct report_row *rows;
    size_t row_count;
    size_t row_capacity;
    bool is_data; /* the table that CSV prints */
};

struct report_fact {
    const char *label;
    const char *text;
    enum report_tone tone;
};

/* A value over time; each point covers the interval since the point before. */
struct report_chart_point {
    double seconds;
    double low;
    double high;
};
struct report_chart {
    const char *label;
    enum report_unit unit;
    const struct report_chart_point *points; /* borrowed */
    size_t point_count;
    double start_seconds;
    double end_seconds;
    double mark_seconds; /* a moment to point at; negative: none */
    const char *mark_label;
    bool is_small;       /* one line, with its label, also where there is room for more */
    double scale_top;    /* charts that are compared have one scale: its top, and ... */
    double scale_seconds; /* ... its length; 0: the chart's own */
};

struct report_item {
    enum report_kind kind;
    enum report_tone tone;
    const char *text;   /* title, section, paragraph, note, command */
    const char *remark; /* section: beside the title; command: what it does */
    struct report_fact *facts;
    size_t fact_count;
    size_t fact_capacity;
    struct report_table *table;
    struct report_chart *chart;
    struct report_item *next;
};

struct report_document {
    struct region *region;
    struct report_item *first;
    struct report_item *last;
};

struct report_document *report_document_new(void);
void report_document_free(struct report_document *document); /* NULL is fine */

void report_add_title(struct report_document *document, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* remark may be NULL. */
void report_add_section(struct report_document *document, const char *title, const char *remark);
void report_add_paragraph(struct report_document *document, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void report_add_note(struct report_document *document, enum report_tone tone, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));
void report_add_command(struct report_document *document, const char *command,
                        const char *explanation);

struct report_item *report_add_facts(struct report_document *document);
void report_add_fact(struct report_document *document, struct report_item *facts,
                     enum report_tone tone, const char *label, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

struct report_table *report_add_table(struct report_document *document,
                                      const struct report_column *columns, size_t column_count);
/* A row of unset cells. */
struct report_row *report_add_row(struct report_document *document, struct report_table *table);
void report_set_integer(struct report_row *row, size_t column, int64_t value);
void report_set_number(struct report_row *row, size_t column, double value);
/* text is borrowed. */
void report_set_text(struct report_row *row, size_t column, const char *text);
void report_set_place(struct report_row *row, size_t column, const struct report_frame *frame);

struct report_chart *report_add_chart(struct report_document *document, const char *label,
                                      enum report_unit unit);

#endif
