/*
 * report/listing.h - source text with figures beside its lines.
 *
 * Context: analyzer.
 * Memory:  all of it is one region's.
 */
#ifndef MEMTRACK_REPORT_LISTING_H
#define MEMTRACK_REPORT_LISTING_H

#include "report/document.h"

struct listing_column {
    const char *title;
    enum report_unit unit; /* REPORT_COUNT, REPORT_BYTES, REPORT_SECONDS */
    unsigned dispensable;  /* goes where there is no room: the highest first; 0: never */
};

struct listing_line {
    int64_t number;
    const char *text;      /* NULL: not known */
    const double *values;  /* one per column; NULL: none */
    double heat;           /* 0..1: how much of the whole this line is */
    bool follows;          /* directly after the line above */
};

struct listing_file {
    const char *path;
    const char *note; /* what is missing, and how to get it; NULL */
    const double *sums;
    double heat; /* 0..1 */
    const struct listing_line *lines;
    size_t line_count;
};

struct listing {
    const char *title;
    const char *subtitle;
    const struct listing_column *columns;
    size_t column_count;
    const struct listing_file *files;
    size_t file_count;
    const char *const *notes; /* after all files */
    size_t note_count;
};

#endif
