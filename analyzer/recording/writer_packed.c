/*
 * The tables packed_*: rows are collected in the chunk that they belong to, a few chunks at
 * once, and reach the database when the chunk gives way to another, or at the commit.
 */
#include "recording/writer_state.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    enum writer_statement load;
    enum writer_statement store;
    bool has_two_keys;
} writer_packed_tables[PACKED_TABLES] = {
    [PACKED_NODE] = {WRITER_NODES_LOAD, WRITER_NODES, false},
    [PACKED_STACK] = {WRITER_STACKS_LOAD, WRITER_STACKS, false},
    [PACKED_SITE] = {WRITER_SITES_LOAD, WRITER_SITES, false},
    [PACKED_LIFETIME] = {WRITER_LIFETIMES_LOAD, WRITER_LIFETIMES, false},
    [PACKED_SNAPSHOT_SITE] = {WRITER_SNAPSHOT_SITES_LOAD, WRITER_SNAPSHOT_SITES, true},
};

static void writer_bind_chunk(struct recording_writer *writer, enum packed_table table,
                              enum writer_statement statement, const struct writer_chunk *chunk)
{
    writer_start(writer, statement);
    writer_int(writer, chunk->key.first);
    if (writer_packed_tables[table].has_two_keys) {
        writer_int(writer, chunk->key.second);
    }
    writer_int(writer, chunk->key.chunk);
}

static void writer_store_chunk(struct recording_writer *writer, enum packed_table table,
                               struct writer_chunk *chunk)
{
    if (!chunk->is_dirty) {
        return;
    }
    chunk->is_dirty = false;
    if (writer->packed_text == NULL) {
        writer->packed_text = malloc(PACKED_TEXT_BYTES);
        if (writer->packed_text == NULL) {
            writer_fail(writer, SQLITE_NOMEM);
            return;
        }
    }
    size_t bytes = packed_encode(chunk->rows, &packed_shapes[table], writer->packed_text);
    writer_bind_chunk(writer, table, writer_packed_tables[table].store, chunk);
    writer_text_of(writer, writer->packed_text, bytes);
    writer_run(writer);
}

/* What the database has of the chunk already. */
static void writer_load_chunk(struct recording_writer *writer, enum packed_table table,
                              struct writer_chunk *chunk)
{
    memset(chunk->rows->is_there, 0, sizeof(chunk->rows->is_there));
    writer_bind_chunk(writer, table, writer_packed_tables[table].load, chunk);
    if (writer->current == NULL) {
        return;
    }
    int code = sqlite3_step(writer->current);
    if (code == SQLITE_ROW) {
        struct packed_cursor cursor;
        const char *text = (const char *)sqlite3_column_text(writer->current, 0);
        packed_cursor_init(&cursor, text != NULL ? text : "",
                           (size_t)sqlite3_column_bytes(writer->current, 0),
                           &packed_shapes[table]);
        while (packed_cursor_next(&cursor)) {
            memcpy(chunk->rows->values[cursor.row], cursor.values,
                   sizeof(chunk->rows->values[0]));
            chunk->rows->is_there[cursor.row] = true;
        }
        code = cursor.is_damaged ? SQLITE_CORRUPT : SQLITE_DONE;
    }
    sqlite3_reset(writer->current);
    writer->current = NULL;
    if (code != SQLITE_DONE) {
        writer_fail(writer, code);
    }
}

static bool writer_is_chunk(const struct writer_chunk *chunk, const struct writer_chunk_key *key)
{
    return chunk->is_open && chunk->key.chunk == key->chunk && chunk->key.first == key->first
           && chunk->key.second == key->second;
}

/* The chunk of this key, in place of the one that was used longest ago. NULL: failure. */
static struct writer_chunk *writer_open_chunk(struct recording_writer *writer,
                                              enum packed_table table,
                                              const struct writer_chunk_key *key)
{
    struct writer_packed *packed = &writer->packed[table];
    struct writer_chunk *oldest = &packed->chunks[0];
    for (size_t i = 0; i < WRITER_CHUNKS_OPEN; i++) {
        struct writer_chunk *chunk = &packed->chunks[i];
        if (writer_is_chunk(chunk, key)) {
            chunk->used = ++packed->used;
            packed->latest = i;
            return chunk;
        }
        if (chunk->used < oldest->used) {
            oldest = chunk;
        }
    }
    writer_store_chunk(writer, table, oldest);
    if (oldest->rows == NULL) {
        oldest->rows = malloc(sizeof(*oldest->rows));
        if (oldest->rows == NULL) {
            writer_fail(writer, SQLITE_NOMEM);
            return NULL;
        }
    }
    oldest->key = *key;
    oldest->is_open = true;
    oldest->used = ++packed->used;
    packed->latest = (size_t)(oldest - packed->chunks);
    writer_load_chunk(writer, table, oldest);
    return writer->failure.code == 0 ? oldest : NULL;
}

bool writer_put_packed(struct recording_writer *writer, enum packed_table table,
                       const struct writer_row_key *key, const int64_t *values, bool replaces)
{
    if (writer->failure.code != 0) {
        return false;
    }
    struct writer_packed *packed = &writer->packed[table];
    struct writer_chunk_key place = {
        .first = key->first,
        .second = key->second,
        .chunk = key->id >> packed_shapes[table].rows_log2};
    struct writer_chunk *chunk = &packed->chunks[packed->latest];
    if (!writer_is_chunk(chunk, &place)) {
        chunk = writer_open_chunk(writer, table, &place);
        if (chunk == NULL) {
            return false;
        }
    }
    uint32_t row = (uint32_t)(key->id - (place.chunk << packed_shapes[table].rows_log2));
    bool is_new = !chunk->rows->is_there[row];
    if (!is_new && !replaces) {
        return false;
    }
    for (size_t i = 0; i < packed_shapes[table].columns; i++) {
        chunk->rows->values[row][i] = values[i] == RECORDING_UNKNOWN ? 0 : values[i];
    }
    chunk->rows->is_there[row] = true;
    chunk->is_dirty = true;
    return is_new;
}

void writer_store_packed(struct recording_writer *writer)
{
    for (size_t table = 0; table < PACKED_TABLES; table++) {
        for (size_t i = 0; i < WRITER_CHUNKS_OPEN; i++) {
            writer_store_chunk(writer, (enum packed_table)table,
                               &writer->packed[table].chunks[i]);
        }
    }
}

void writer_close_packed(struct recording_writer *writer, enum packed_table table)
{
    struct writer_packed *packed = &writer->packed[table];
    for (size_t i = 0; i < WRITER_CHUNKS_OPEN; i++) {
        writer_store_chunk(writer, table, &packed->chunks[i]);
        packed->chunks[i].is_open = false;
    }
}

void writer_free_packed(struct recording_writer *writer)
{
    for (size_t table = 0; table < PACKED_TABLES; table++) {
        for (size_t i = 0; i < WRITER_CHUNKS_OPEN; i++) {
            free(writer->packed[table].chunks[i].rows);
        }
    }
    free(writer->packed_text);
}
