/*
 * recording/reader.h - the one reader of recordings.
 *
 * A recording may come from anywhere, so nothing in it is trusted: the tables must be
 * declared exactly as schema.sql declares them, views and triggers are never run, and
 * whatever SQLite finds damaged ends the table at hand and is remembered: the rows before
 * it are good. Never writes, neither to the file nor beside it.
 *
 * Context: analyzer.
 * Memory:  the reader owns what its getters return until it is closed. Rows and their
 *          texts live during the visit only.
 * Threads: one at a time.
 */
#ifndef MEMTRACK_RECORDING_READER_H
#define MEMTRACK_RECORDING_READER_H

#include "foundation/error.h"
#include "recording/rows.h"

struct recording_reader;

/* Opens `path`. Errors: MT_STATUS_NO_INPUT (missing, unreadable), MT_STATUS_DATA (not a
 * recording, another version, damaged beyond use). A recording whose writer was killed, or
 * still writes, is read as of its last commit. */
int recording_reader_open(const char *path, struct recording_reader **reader,
                          struct mt_error *error);
void recording_reader_close(struct recording_reader *reader); /* NULL is fine */

const struct recording_run *recording_reader_run(const struct recording_reader *reader);
/* A fact by key, NULL if there is none. */
const char *recording_reader_fact(const struct recording_reader *reader, const char *key);
/* The writer finished it, and nothing damaged was met so far. */
bool recording_reader_is_complete(const struct recording_reader *reader);
/* What is wrong with it in one phrase ("cut short: 8192 of 90112 bytes are there"), or
 * NULL; may come up while rows are read. */
const char *recording_reader_damage(const struct recording_reader *reader);

/* What each() can walk through; `key` selects, rows come in the order named. */
enum recording_table {
    RECORDING_TABLE_PROCESS,          /* recording_process, by id; key ignored */
    RECORDING_TABLE_ARGUMENT,         /* recording_argument of process `key` */
    RECORDING_TABLE_THREAD,           /* recording_thread of process `key` */
    RECORDING_TABLE_MODULE,           /* recording_module, by id */
    RECORDING_TABLE_MAPPING,          /* recording_mapping */
    RECORDING_TABLE_ADDRESS,          /* recording_address, by id */
    RECORDING_TABLE_NODE,             /* recording_node of image `key`, by node */
    RECORDING_TABLE_STACK,            /* recording_stack of image `key`, by stack */
    RECORDING_TABLE_SITE,             /* recording_site of process `key`, by stack */
    RECORDING_TABLE_LIFETIME,         /* recording_lifetime of process `key`, by stack */
    RECORDING_TABLE_SAMPLE,           /* recording_sample of process `key`, by stack */
    RECORDING_TABLE_CPU,              /* recording_cpu of process `key` */
    RECORDING_TABLE_DEFECT,           /* recording_defect of process `key` */
    RECORDING_TABLE_SNAPSHOT,         /* recording_snapshot, by time */
    RECORDING_TABLE_SNAPSHOT_PROCESS, /* recording_snapshot_process of process `key` */
    RECORDING_TABLE_SNAPSHOT_SITE,    /* recording_snapshot_site of process `key`, by
                                         snapshot, then stack */
    RECORDING_TABLE_POINT,            /* recording_point of process `key`, by time */
    RECORDING_TABLE_CENSUS,           /* recording_census of process `key`, by time */
    RECORDING_TABLE_CENSUS_SITE,      /* recording_census_site of census `key` */
    RECORDING_TABLE_HOLDER,           /* recording_holder of census `key` */
    RECORDING_TABLE_LEDGER,           /* recording_ledger of process `key` */
    RECORDING_TABLE_SUPPRESSION,      /* recording_suppression, by position */
    RECORDING_TABLE_FUNCTION,         /* recording_function, by id */
    RECORDING_TABLE_FILE,             /* recording_file, by id */
    RECORDING_TABLE_SYMBOL,           /* recording_symbol_row, by address, then depth */
    RECORDING_TABLE_SOURCE_LINE,      /* recording_source_row, by file, then line */
    RECORDING_TABLES
};

/* Rows that exist in this shape for readers only. */
struct recording_argument {
    int64_t position;
    const char *value;
};
struct recording_lifetime {
    int64_t stack;
    int64_t frees[RECORDING_LIFETIME_BUCKETS];
};
struct recording_suppression {
    const char *origin;
    const char *text;
};
struct recording_function {
    int64_t id;
    const char *name;
    const char *linkage_name; /* NULL */
    int64_t line;
};
struct recording_file {
    int64_t id;
    const char *path;
};
struct recording_symbol_row {
    int64_t address;
    int64_t depth;
    int64_t function; /* 0: unknown */
    int64_t file;     /* 0: unknown */
    int64_t line;
    bool is_inlined;
};
struct recording_source_row {
    int64_t file;
    int64_t line;
    const char *text;
};

/* Calls visit(context, row) for the rows of a table; visit returns 0 to go on. Returns 0,
 * or what visit returned. Damage ends the walk early, is remembered, and is no error. */
int recording_reader_each(struct recording_reader *reader, enum recording_table table, int64_t key,
                          int (*visit)(void *context, const void *row), void *context);

#endif
