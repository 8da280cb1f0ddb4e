/*
 * recording/reader_rows.h - how each table's rows are read; for reader.c alone.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_RECORDING_READER_ROWS_H
#define MEMTRACK_RECORDING_READER_ROWS_H

#include "recording/packed.h"
#include "recording/reader.h"

#include <sqlite3.h>

union reader_row {
    struct recording_process process;
    struct recording_argument argument;
    struct recording_thread thread;
    struct recording_module module;
    struct recording_mapping mapping;
    struct recording_address address;
    struct recording_node node;
    struct recording_stack stack;
    struct recording_site site;
    struct recording_lifetime lifetime;
    struct recording_sample sample;
    struct recording_cpu cpu;
    struct recording_defect defect;
    struct recording_snapshot snapshot;
    struct recording_snapshot_process snapshot_process;
    struct recording_snapshot_site snapshot_site;
    struct recording_point point;
    struct recording_census census;
    struct recording_census_site census_site;
    struct recording_holder holder;
    struct recording_ledger ledger;
    struct recording_suppression suppression;
    struct recording_function function;
    struct recording_file file;
    struct recording_symbol_row symbol;
    struct recording_source_row source_line;
};

/* Where a packed row stands. */
struct reader_place {
    int64_t key;      /* image or process */
    int64_t snapshot; /* 0 where the table has none */
    int64_t id;       /* node or stack */
};

struct reader_table {
    const char *sql; /* one parameter if it takes a key */
    void (*decode)(sqlite3_stmt *statement, union reader_row *row);
    /* Of packed tables, instead: their statements give snapshot, chunk, data. */
    const struct packed_shape *shape;
    void (*unpack)(const struct reader_place *place, const int64_t *values, union reader_row *row);
};

extern const struct reader_table reader_tables[RECORDING_TABLES];

#endif
