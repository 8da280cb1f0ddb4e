/*
 * recording/writer_state.h - what the files of the writer share; nobody else includes it.
 *
 * Context: recorder, analyzer.
 */
#ifndef MEMTRACK_RECORDING_WRITER_STATE_H
#define MEMTRACK_RECORDING_WRITER_STATE_H

#include "recording/intern.h"
#include "recording/packed.h"
#include "recording/writer.h"

#include <sqlite3.h>

/* One prepared statement each; see writer_sql[] in writer_rows.c. */
enum writer_statement {
    WRITER_RUN,
    WRITER_PROCESS,
    WRITER_ARGUMENTS_DELETE,
    WRITER_ARGUMENT,
    WRITER_THREAD,
    WRITER_MODULE,
    WRITER_MAPPING,
    WRITER_ADDRESS,
    WRITER_NODES,
    WRITER_NODES_LOAD,
    WRITER_STACKS,
    WRITER_STACKS_LOAD,
    WRITER_SITES,
    WRITER_SITES_LOAD,
    WRITER_LIFETIMES,
    WRITER_LIFETIMES_LOAD,
    WRITER_SAMPLE,
    WRITER_CPU,
    WRITER_DEFECT,
    WRITER_SNAPSHOT,
    WRITER_SNAPSHOT_PROCESS,
    WRITER_SNAPSHOT_SITES,
    WRITER_SNAPSHOT_SITES_LOAD,
    WRITER_POINT,
    WRITER_POINTS_DELETE,
    WRITER_CENSUS,
    WRITER_CENSUS_SITE,
    WRITER_CENSUS_SITES_DELETE,
    WRITER_HOLDERS_DELETE,
    WRITER_HOLDER,
    WRITER_LEDGER,
    WRITER_SUPPRESSION,
    WRITER_FUNCTION,
    WRITER_FILE,
    WRITER_SYMBOL,
    WRITER_ADDRESS_RESOLVED,
    WRITER_MODULE_DEBUG,
    WRITER_SOURCE_LINE,
    WRITER_SNAPSHOT_SITES_OF,
    WRITER_SNAPSHOT_ROWS,
    WRITER_SNAPSHOT_SITES_DELETE,
    WRITER_SNAPSHOT_PROCESSES_DELETE,
    WRITER_LEDGER_DELETE,
    WRITER_SNAPSHOT_DELETE,
    WRITER_STATEMENTS
};

struct writer_snapshot {
    int64_t snapshot;
    int64_t time_ns;
    int64_t rows;
    bool is_pinned; /* labelled, or a census belongs to it */
};

/* Chunks of a packed table whose rows are being collected. */
#define WRITER_CHUNKS_OPEN 6u

struct writer_chunk_key {
    int64_t first;  /* image or process */
    int64_t second; /* snapshot; 0 where the table has none */
    int64_t chunk;
};

struct writer_chunk {
    struct writer_chunk_key key;
    struct packed_chunk *rows;
    uint64_t used; /* when, counted in changes of the chunk at hand */
    bool is_open;
    bool is_dirty; /* the database does not have all of it */
};

struct writer_packed {
    struct writer_chunk chunks[WRITER_CHUNKS_OPEN];
    size_t latest; /* index of the one used last */
    uint64_t used;
};

struct recording_writer {
    char *path;
    char *final_path; /* what `path` is called when it is finished; NULL: the same */
    bool replaces_file; /* that of the final path */
    sqlite3 *database;
    sqlite3_stmt *statements[WRITER_STATEMENTS];
    sqlite3_stmt *current; /* being bound */
    int position;          /* of the last parameter bound */
    bool is_in_transaction;
    bool is_durable; /* commits reach the disk, not only the kernel */
    bool is_marked_partial;
    int64_t opened_ns;
    char what[160];
    struct mt_error failure; /* sticks; code 0: none */

    struct intern_texts modules;   /* path NUL build-id */
    struct intern_texts functions; /* name NUL linkage name NUL line */
    struct intern_texts files;
    struct intern_addresses addresses;

    struct writer_snapshot *snapshots; /* in order of `snapshot` */
    size_t snapshot_count;
    size_t snapshot_capacity;
    int64_t snapshot_rows; /* in all of them */
    bool are_rows_counted; /* false: it is appended to, and `rows` of older ones are unknown */

    struct writer_packed packed[PACKED_TABLES];
    char *packed_text; /* PACKED_TEXT_BYTES */
};

extern const char *const writer_sql[WRITER_STATEMENTS];

/* Records the database's error under the writer's name and the transaction's `what`.
 * Returns the code that sticks. */
int writer_fail(struct recording_writer *writer, int sqlite_code);

/* Binds parameters from left to right, then runs:
 *     writer_start(w, WRITER_X); writer_int(w, a); writer_text(w, b); return writer_run(w);
 * After a failure all of them do nothing. */
void writer_start(struct recording_writer *writer, enum writer_statement statement);
void writer_int(struct recording_writer *writer, int64_t value); /* RECORDING_UNKNOWN: NULL */
void writer_real(struct recording_writer *writer, double value);
void writer_text(struct recording_writer *writer, const char *text);
void writer_text_of(struct recording_writer *writer, const char *text, size_t bytes);
void writer_blob(struct recording_writer *writer, const void *bytes, size_t count);
int writer_run(struct recording_writer *writer);

/* Runs SQL without results. Returns 0 or the error that sticks. */
int writer_execute(struct recording_writer *writer, const char *sql);

/* The key of a packed row: in the chunk of image or process, (snapshot,) id / 256. */
struct writer_row_key {
    int64_t first;
    int64_t second;
    int64_t id;
};
/* Puts a row of values[0..columns of the table); one that is there is replaced or stays.
 * Returns whether the row is new. */
bool writer_put_packed(struct recording_writer *writer, enum packed_table table,
                       const struct writer_row_key *key, const int64_t *values, bool replaces);
/* All rows reach the database. */
void writer_store_packed(struct recording_writer *writer);
/* As that, for one table, whose rows are read from the database again after this. */
void writer_close_packed(struct recording_writer *writer, enum packed_table table);
void writer_free_packed(struct recording_writer *writer);

/* Fills the maps from the tables of a recording that is appended to. */
int writer_load_maps(struct recording_writer *writer);

#endif
