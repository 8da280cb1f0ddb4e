/* Symbols: what is still unresolved, and bulk storage of what was found. */
#include "foundation/region.h"
#include "recording/writer_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- maps of a recording that is appended to ----------------------------- */

static void writer_load_module(struct recording_writer *writer, sqlite3_stmt *row)
{
    const char *path = (const char *)sqlite3_column_text(row, 1);
    const void *build_id = sqlite3_column_blob(row, 2);
    size_t id_bytes = (size_t)sqlite3_column_bytes(row, 2);
    path = path != NULL ? path : "";
    size_t path_bytes = strlen(path) + 1;
    char *key = malloc(path_bytes + id_bytes);
    if (key == NULL) {
        writer_fail(writer, SQLITE_NOMEM);
        return;
    }
    memcpy(key, path, path_bytes);
    if (id_bytes > 0) {
        memcpy(key + path_bytes, build_id, id_bytes);
    }
    intern_texts_put(&writer->modules, key, path_bytes + id_bytes, sqlite3_column_int64(row, 0));
    free(key);
}

static char *writer_function_key(const char *name, const char *linkage_name, int64_t line,
                                 size_t *bytes)
{
    char *key = NULL;
    int length = asprintf(&key, "%s%c%s%c%lld", name != NULL ? name : "", 1,
                          linkage_name != NULL ? linkage_name : "", 1, (long long)line);
    *bytes = length < 0 ? 0 : (size_t)length;
    return length < 0 ? NULL : key;
}

static void writer_load_function(struct recording_writer *writer, sqlite3_stmt *row)
{
    size_t bytes;
    char *key = writer_function_key((const char *)sqlite3_column_text(row, 1),
                                    (const char *)sqlite3_column_text(row, 2),
                                    sqlite3_column_int64(row, 3), &bytes);
    if (key == NULL) {
        writer_fail(writer, SQLITE_NOMEM);
        return;
    }
    intern_texts_put(&writer->functions, key, bytes, sqlite3_column_int64(row, 0));
    free(key);
}

static void writer_load_file(struct recording_writer *writer, sqlite3_stmt *row)
{
    const char *path = (const char *)sqlite3_column_text(row, 1);
    path = path != NULL ? path : "";
    intern_texts_put(&writer->files, path, strlen(path), sqlite3_column_int64(row, 0));
}

static void writer_load_address(struct recording_writer *writer, sqlite3_stmt *row)
{
    intern_addresses_put(&writer->addresses, (uint32_t)sqlite3_column_int64(row, 1),
                         (uint64_t)sqlite3_column_int64(row, 2),
                         (uint32_t)sqlite3_column_int64(row, 0));
}

static void writer_load_snapshot(struct recording_writer *writer, sqlite3_stmt *row)
{
    writer->snapshots = mt_grow(writer->snapshots, &writer->snapshot_capacity,
                                writer->snapshot_count + 1, sizeof(*writer->snapshots));
    struct writer_snapshot *snapshot = &writer->snapshots[writer->snapshot_count++];
    *snapshot = (struct writer_snapshot){
        .snapshot = sqlite3_column_int64(row, 0),
        .time_ns = sqlite3_column_int64(row, 1),
        .is_pinned = sqlite3_column_int(row, 2) != 0,
    };
}

int writer_load_maps(struct recording_writer *writer)
{
    static const struct {
        const char *sql;
        void (*load)(struct recording_writer *writer, sqlite3_stmt *row);
    } maps[] = {
        {"SELECT id, path, build_id FROM module", writer_load_module},
        {"SELECT id, name, linkage_name, line FROM function", writer_load_function},
        {"SELECT id, path FROM file", writer_load_file},
        {"SELECT id, module, offset FROM address", writer_load_address},
        {"SELECT snapshot, time_ns, label IS NOT NULL OR snapshot IN "
         "(SELECT snapshot FROM census WHERE snapshot IS NOT NULL) FROM snapshot "
         "ORDER BY snapshot",
         writer_load_snapshot},
    };
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        sqlite3_stmt *statement = NULL;
        int code = sqlite3_prepare_v2(writer->database, maps[i].sql, -1, &statement, NULL);
        while (code == SQLITE_OK || code == SQLITE_ROW) {
            code = sqlite3_step(statement);
            if (code == SQLITE_ROW) {
                maps[i].load(writer, statement);
            }
        }
        sqlite3_finalize(statement);
        if (code != SQLITE_DONE) {
            return writer_fail(writer, code);
        }
    }
    return writer->failure.code;
}

/* ---- walks --------------------------------------------------------------- */

static void writer_read_module(sqlite3_stmt *row, struct recording_module *module)
{
    *module = (struct recording_module){
        .id = sqlite3_column_int64(row, 2),
        .path = (const char *)sqlite3_column_text(row, 3),
        .build_id = sqlite3_column_blob(row, 4),
        .build_id_bytes = (size_t)sqlite3_column_bytes(row, 4),
        .kind = sqlite3_column_int64(row, 5),
        .debug_info = (const char *)sqlite3_column_text(row, 6),
        .hint = (const char *)sqlite3_column_text(row, 7),
    };
}

int recording_writer_each_unresolved(struct recording_writer *writer,
                                     int (*visit)(void *context,
                                                  const struct recording_address *address,
                                                  const struct recording_module *module),
                                     void *context)
{
    if (writer->failure.code != 0) {
        return writer->failure.code;
    }
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(
        writer->database,
        "SELECT a.id, a.offset, a.module, m.path, m.build_id, m.kind, m.debug_info, m.hint "
        "FROM address a LEFT JOIN module m ON m.id = a.module WHERE a.is_resolved = 0 "
        "ORDER BY a.module, a.offset",
        -1, &statement, NULL);
    int result = 0;
    while (result == 0 && (code == SQLITE_OK || code == SQLITE_ROW)) {
        code = sqlite3_step(statement);
        if (code != SQLITE_ROW) {
            break;
        }
        struct recording_module module;
        writer_read_module(statement, &module);
        struct recording_address address = {
            .id = sqlite3_column_int64(statement, 0),
            .module = module.id,
            .offset = (uint64_t)sqlite3_column_int64(statement, 1),
        };
        result = visit(context, &address, module.id != 0 ? &module : NULL);
    }
    sqlite3_finalize(statement);
    if (result == 0 && code != SQLITE_DONE) {
        return writer_fail(writer, code);
    }
    return result;
}

int recording_writer_each_source(struct recording_writer *writer, size_t limit,
                                 int (*visit)(void *context, const char *file, int64_t line),
                                 void *context)
{
    if (writer->failure.code != 0) {
        return writer->failure.code;
    }
    sqlite3_stmt *statement = NULL;
    int code =
        sqlite3_prepare_v2(writer->database,
                           "SELECT f.path, s.line FROM symbol s JOIN file f ON f.id = s.file "
                           "WHERE s.line > 0 GROUP BY s.file, s.line "
                           "ORDER BY count(*) DESC, f.path, s.line LIMIT ?",
                           -1, &statement, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_int64(statement, 1, (int64_t)limit);
    }
    int result = 0;
    while (result == 0 && (code == SQLITE_OK || code == SQLITE_ROW)) {
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
            result = visit(context, (const char *)sqlite3_column_text(statement, 0),
                           sqlite3_column_int64(statement, 1));
        }
    }
    sqlite3_finalize(statement);
    if (result == 0 && code != SQLITE_DONE) {
        return writer_fail(writer, code);
    }
    return result;
}

/* ---- storage ------------------------------------------------------------- */

static int64_t writer_add_function(struct recording_writer *writer,
                                   const struct recording_symbol *symbol)
{
    if (symbol->function == NULL) {
        return RECORDING_UNKNOWN;
    }
    size_t bytes;
    char *key =
        writer_function_key(symbol->function, symbol->linkage_name, symbol->function_line, &bytes);
    if (key == NULL) {
        writer_fail(writer, SQLITE_NOMEM);
        return RECORDING_UNKNOWN;
    }
    bool is_new;
    int64_t id = intern_texts_get(&writer->functions, key, bytes, &is_new);
    free(key);
    if (is_new) {
        writer_start(writer, WRITER_FUNCTION);
        writer_int(writer, id);
        writer_text(writer, symbol->function);
        writer_text(writer, symbol->linkage_name);
        writer_int(writer, symbol->function_line);
        writer_run(writer);
    }
    return id;
}

static int64_t writer_add_file(struct recording_writer *writer, const char *path)
{
    if (path == NULL) {
        return RECORDING_UNKNOWN;
    }
    bool is_new;
    int64_t id = intern_texts_get(&writer->files, path, strlen(path), &is_new);
    if (is_new) {
        writer_start(writer, WRITER_FILE);
        writer_int(writer, id);
        writer_text(writer, path);
        writer_run(writer);
    }
    return id;
}

int recording_writer_put_symbols(struct recording_writer *writer, int64_t address,
                                 const struct recording_symbol *chain, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t function = writer_add_function(writer, &chain[i]);
        int64_t file = writer_add_file(writer, chain[i].file);
        writer_start(writer, WRITER_SYMBOL);
        writer_int(writer, address);
        writer_int(writer, (int64_t)i);
        writer_int(writer, function);
        writer_int(writer, file);
        writer_int(writer, chain[i].line);
        writer_int(writer, chain[i].is_inlined);
        writer_run(writer);
    }
    writer_start(writer, WRITER_ADDRESS_RESOLVED);
    writer_int(writer, address);
    return writer_run(writer);
}

int recording_writer_set_module_debug(struct recording_writer *writer, int64_t module,
                                      const char *debug_info, const char *hint)
{
    writer_start(writer, WRITER_MODULE_DEBUG);
    writer_text(writer, debug_info);
    writer_text(writer, hint);
    writer_int(writer, module);
    return writer_run(writer);
}

int recording_writer_put_source_line(struct recording_writer *writer,
                                     const struct recording_source_line *line)
{
    int64_t file = writer_add_file(writer, line->file);
    writer_start(writer, WRITER_SOURCE_LINE);
    writer_int(writer, file);
    writer_int(writer, line->line);
    writer_text(writer, line->text);
    return writer_run(writer);
}
