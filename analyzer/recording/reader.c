#include "recording/reader.h"

#include "foundation/region.h"
#include "recording/reader_rows.h"
#include "recording/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Name and statement of each table, with their NULs; see blank_maker.c. */
extern const unsigned char recording_tables[];
extern const size_t recording_tables_bytes;

/* A row larger than this is damage or malice. */
#define READER_ROW_MAX_BYTES (64 * 1024 * 1024)
#define READER_FACTS_MAX 256u

struct reader_fact {
    const char *key;
    const char *value;
};

struct recording_reader {
    const char *path;
    struct region *region;
    sqlite3 *database;
    struct recording_run run;
    struct reader_fact facts[READER_FACTS_MAX];
    size_t fact_count;
    bool is_finished; /* `complete` is set */
    const char *damage;
};

void recording_reader_close(struct recording_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    sqlite3_close(reader->database);
    region_free(reader->region);
    free(reader);
}

static void reader_note_damage(struct recording_reader *reader, const char *what)
{
    if (reader->damage == NULL) {
        reader->damage = region_copy_text(reader->region, what);
    }
}

/* ---- the file ------------------------------------------------------------ */

static int reader_check_file(const char *path, struct stat *status, unsigned char header[100],
                             struct mt_error *error)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 || fstat(file, status) != 0) {
        int code = errno;
        if (file >= 0) {
            close(file);
        }
        return mt_error_set(error, -code, MT_STATUS_NO_INPUT, "%s: %s, name a recording (*.mtk)",
                            path, code == ENOENT ? "no such file" : strerror(code));
    }
    memset(header, 0, 100);
    ssize_t count = S_ISREG(status->st_mode) ? pread(file, header, 100, 0) : 0;
    close(file);
    if (S_ISDIR(status->st_mode)) {
        return mt_error_set(error, -EISDIR, MT_STATUS_DATA,
                            "%s: is a folder, name a recording (*.mtk) in it", path);
    }
    if (count < 100 || memcmp(header, "SQLite format 3", 16) != 0) {
        return mt_error_set(error, -EBADMSG, MT_STATUS_DATA,
                            "%s: %s, make one with `memtrack run -o FILE PROGRAM`", path,
                            status->st_size == 0 ? "is empty, so it is not a recording"
                                                 : "is not a recording");
    }
    return 0;
}

/* What the header says the file should have; 0 when it says nothing. */
static int64_t reader_expected_bytes(const unsigned char header[100])
{
    int64_t page_bytes = header[16] << 8 | header[17];
    page_bytes = page_bytes == 1 ? 65536 : page_bytes;
    int64_t pages = (int64_t)header[28] << 24 | header[29] << 16 | header[30] << 8 | header[31];
    return pages * page_bytes;
}

/* Percent-encodes what means something in a URI. */
static char *reader_uri(struct region *region, const char *path, const char *query)
{
    static const char digits[] = "0123456789abcdef";
    size_t length = strlen(path);
    char *uri = region_alloc(region, 8 + 3 * length + strlen(query));
    char *at = stpcpy(uri, path[0] == '/' ? "file:" : "file:./");
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)path[i];
        if (c <= ' ' || c >= 0x7f || strchr("%?#", c) != NULL) {
            *at++ = '%';
            *at++ = digits[c >> 4];
            *at++ = digits[c & 15];
        } else {
            *at++ = (char)c;
        }
    }
    strcpy(at, query);
    return uri;
}

static int reader_copy_file(const char *from, const char *to)
{
    int source = open(from, O_RDONLY | O_CLOEXEC);
    int target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int code = source < 0 || target < 0 ? -errno : 0;
    char buffer[65536];
    ssize_t count = 0;
    while (code == 0 && (count = read(source, buffer, sizeof(buffer))) > 0) {
        if (write(target, buffer, (size_t)count) != count) {
            code = -ENOSPC;
        }
    }
    if (count < 0) {
        code = -EIO;
    }
    if (source >= 0) {
        close(source);
    }
    if (target >= 0) {
        close(target);
    }
    return code;
}

/*
 * The writer was killed or still writes: part of the recording is in the log. SQLite would
 * merge it into the file; the evidence stays as it is, so a private copy is merged. The
 * copy's names are gone as soon as it is open.
 */
static int reader_open_copy(struct recording_reader *reader, const char *log)
{
    const char *root = getenv("TMPDIR");
    char *folder = region_format(reader->region, "%s/memtrack-XXXXXX",
                                 root != NULL && root[0] == '/' ? root : "/tmp");
    if (mkdtemp(folder) == NULL) {
        return -errno;
    }
    char *copy = region_format(reader->region, "%s/recording", folder);
    char *copy_log = region_format(reader->region, "%s/recording-wal", folder);
    int code = reader_copy_file(reader->path, copy);
    if (code == 0) {
        code = reader_copy_file(log, copy_log);
    }
    if (code == 0
        && sqlite3_open_v2(copy, &reader->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                           NULL)
               == SQLITE_OK) {
        sqlite3_db_config(reader->database, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1, NULL);
        if (sqlite3_exec(reader->database,
                         "PRAGMA locking_mode=EXCLUSIVE; SELECT 1 FROM sqlite_schema LIMIT 1", NULL,
                         NULL, NULL)
            != SQLITE_OK) {
            code = -EBADMSG;
        }
    } else if (code == 0) {
        code = -EIO;
    }
    unlink(copy);
    unlink(copy_log);
    rmdir(folder);
    if (code != 0) {
        sqlite3_close(reader->database);
        reader->database = NULL;
    }
    return code;
}

static int reader_open_database(struct recording_reader *reader, const struct stat *status,
                                const unsigned char header[100])
{
    char *log = region_format(reader->region, "%s-wal", reader->path);
    struct stat log_status;
    if (stat(log, &log_status) == 0 && log_status.st_size > 0) {
        if (reader_open_copy(reader, log) == 0) {
            return 0;
        }
        reader_note_damage(reader, "its log could not be read, so its last part is missing");
    }
    /* The file cannot change under us as far as SQLite is concerned: no locks, no
     * companions, nothing written. */
    char *uri = reader_uri(reader->region, reader->path, "?immutable=1");
    int code = sqlite3_open_v2(uri, &reader->database,
                               SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) {
        return -EIO;
    }
    int64_t expected_bytes = reader_expected_bytes(header);
    if (expected_bytes > status->st_size) {
        reader_note_damage(reader,
                           region_format(reader->region, "cut short: %lld of %lld bytes are there",
                                         (long long)status->st_size, (long long)expected_bytes));
        /* Without this SQLite refuses a file that is shorter than its header says. */
        sqlite3_db_config(reader->database, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1, NULL);
    }
    return 0;
}

static void reader_harden(sqlite3 *database)
{
    sqlite3_extended_result_codes(database, 1);
    sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
    sqlite3_limit(database, SQLITE_LIMIT_LENGTH, READER_ROW_MAX_BYTES);
    sqlite3_limit(database, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_exec(database,
                 "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY", NULL,
                 NULL, NULL);
}

/* ---- what the file claims to be ------------------------------------------ */

static int64_t reader_pragma(sqlite3 *database, const char *sql, int *code)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;
    *code = sqlite3_prepare_v2(database, sql, -1, &statement, NULL);
    if (*code == SQLITE_OK) {
        *code = sqlite3_step(statement);
        value = *code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    }
    sqlite3_finalize(statement);
    return value;
}

static int reader_beyond_use(struct recording_reader *reader, const char *why,
                             struct mt_error *error)
{
    return mt_error_set(error, -EBADMSG, MT_STATUS_DATA,
                        "%s: damaged beyond use: %s; restore it from a copy or record again",
                        reader->path, why);
}

static int reader_check_identity(struct recording_reader *reader, struct mt_error *error)
{
    int code;
    int64_t application = reader_pragma(reader->database, "PRAGMA application_id", &code);
    if (code != SQLITE_ROW) {
        return reader_beyond_use(reader, sqlite3_errstr(code), error);
    }
    if (application != RECORDING_APPLICATION_ID) {
        return mt_error_set(error, -EBADMSG, MT_STATUS_DATA,
                            "%s: is an SQLite database but not a recording, make one with "
                            "`memtrack run -o FILE PROGRAM`",
                            reader->path);
    }
    int64_t version = reader_pragma(reader->database, "PRAGMA user_version", &code);
    if (version != RECORDING_VERSION) {
        return mt_error_set(error, -EBADMSG, MT_STATUS_DATA,
                            "%s: is a recording of version %lld and this memtrack reads version "
                            "%d, use the memtrack that made it",
                            reader->path, (long long)version, RECORDING_VERSION);
    }
    return 0;
}

/* 1: this object is as schema.sql declares it; 0: not there; -1: another thing. */
static int reader_compare_object(sqlite3_stmt *lookup, const char *name, const char *sql)
{
    sqlite3_bind_text(lookup, 1, name, -1, SQLITE_STATIC);
    int result = 0;
    int count = 0;
    int code;
    while ((code = sqlite3_step(lookup)) == SQLITE_ROW) {
        const char *type = (const char *)sqlite3_column_text(lookup, 0);
        const char *found = (const char *)sqlite3_column_text(lookup, 1);
        bool is_same =
            type != NULL && strcmp(type, "table") == 0 && found != NULL && strcmp(found, sql) == 0;
        result = is_same ? 1 : -1;
        count++;
    }
    sqlite3_reset(lookup);
    return count > 1 ? -1 : result;
}

static int reader_compare_tables(struct recording_reader *reader, sqlite3_stmt *lookup,
                                 struct mt_error *error)
{
    const char *end = (const char *)recording_tables + recording_tables_bytes;
    for (const char *name = (const char *)recording_tables; name < end;) {
        const char *sql = name + strlen(name) + 1;
        int result = reader_compare_object(lookup, name, sql);
        if (result == 0) {
            return reader_beyond_use(reader, "parts of its schema are missing", error);
        }
        if (result < 0) {
            return mt_error_set(error, -EBADMSG, MT_STATUS_DATA,
                                "%s: its schema is not that of a recording (%s), so it is not "
                                "read; record again",
                                reader->path, name);
        }
        name = sql + strlen(sql) + 1;
    }
    return 0;
}

/* Tables must be ours to the letter; anything that could run code is refused. */
static int reader_check_schema(struct recording_reader *reader, struct mt_error *error)
{
    int code;
    int64_t triggers = reader_pragma(
        reader->database,
        "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' OR sql LIKE 'CREATE VIRTUAL%'",
        &code);
    if (code != SQLITE_ROW) {
        return reader_beyond_use(reader, sqlite3_errstr(code), error);
    }
    if (triggers != 0) {
        return mt_error_set(error, -EBADMSG, MT_STATUS_DATA,
                            "%s: contains triggers or virtual tables, so it is not read; record "
                            "again",
                            reader->path);
    }
    sqlite3_stmt *lookup = NULL;
    int result = 0;
    if (sqlite3_prepare_v2(reader->database, "SELECT type, sql FROM sqlite_schema WHERE name = ?",
                           -1, &lookup, NULL)
        != SQLITE_OK) {
        result = reader_beyond_use(reader, sqlite3_errmsg(reader->database), error);
    } else {
        result = reader_compare_tables(reader, lookup, error);
    }
    sqlite3_finalize(lookup);
    return result;
}

/* ---- facts --------------------------------------------------------------- */

const char *recording_reader_fact(const struct recording_reader *reader, const char *key)
{
    for (size_t i = 0; i < reader->fact_count; i++) {
        if (strcmp(reader->facts[i].key, key) == 0) {
            return reader->facts[i].value;
        }
    }
    return NULL;
}

static int64_t reader_number(const struct recording_reader *reader, const char *key,
                             int64_t if_absent)
{
    const char *value = recording_reader_fact(reader, key);
    if (value == NULL) {
        return if_absent;
    }
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    return end != value && *end == '\0' && errno == 0 ? number : if_absent;
}

static void reader_read_facts(struct recording_reader *reader)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(reader->database, "SELECT key, value FROM run ORDER BY key", -1,
                                  &statement, NULL);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(statement);
        if (code != SQLITE_ROW || reader->fact_count == READER_FACTS_MAX) {
            break;
        }
        const char *key = (const char *)sqlite3_column_text(statement, 0);
        const char *value = (const char *)sqlite3_column_text(statement, 1);
        if (key != NULL) {
            reader->facts[reader->fact_count++] =
                (struct reader_fact){.key = region_copy_text(reader->region, key),
                                     .value = region_copy_text(reader->region, value)};
        }
    }
    sqlite3_finalize(statement);
    if (code != SQLITE_DONE && code != SQLITE_ROW) {
        reader_note_damage(reader, region_format(reader->region, "the facts of the run: %s",
                                                 sqlite3_errstr(code)));
    }
    reader->is_finished = reader_number(reader, "complete", 0) == 1;
    reader->run = (struct recording_run){
        .memtrack_version = recording_reader_fact(reader, "memtrack_version"),
        .host = recording_reader_fact(reader, "host"),
        .kernel = recording_reader_fact(reader, "kernel"),
        .command = recording_reader_fact(reader, "command"),
        .working_directory = recording_reader_fact(reader, "working_directory"),
        .started_realtime_ns = reader_number(reader, "started_realtime_ns", 0),
        .tick_ns = reader_number(reader, "tick_ns", 0),
        .sample_bytes = reader_number(reader, "sample_bytes", RECORDING_UNKNOWN),
        .cpu_hz = reader_number(reader, "cpu_hz", 0),
        .depth_max = reader_number(reader, "depth_max", 0),
        .follow = recording_reader_fact(reader, "follow"),
        .leaks = recording_reader_fact(reader, "leaks"),
        .cpu_clock = recording_reader_fact(reader, "cpu_clock"),
        .allocator = recording_reader_fact(reader, "allocator"),
        .tracks_mmap = reader_number(reader, "tracks_mmap", 0),
        .memory_limit_bytes = reader_number(reader, "memory_limit_bytes", RECORDING_UNKNOWN),
        .recorder_cpu_ns = reader_number(reader, "recorder_cpu_ns", 0),
    };
}

/* ---- the interface ------------------------------------------------------- */

int recording_reader_open(const char *path, struct recording_reader **reader,
                          struct mt_error *error)
{
    struct stat status;
    unsigned char header[100];
    int code = reader_check_file(path, &status, header, error);
    if (code != 0) {
        return code;
    }
    struct recording_reader *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return mt_error_set(error, -ENOMEM, MT_STATUS_FAILED, "%s: no memory to read it", path);
    }
    made->region = region_new();
    made->path = region_copy_text(made->region, path);
    code = reader_open_database(made, &status, header);
    if (code != 0) {
        mt_error_set(error, code, MT_STATUS_DATA, "%s: cannot be read: %s", path,
                     made->database != NULL ? sqlite3_errmsg(made->database) : strerror(-code));
    } else {
        reader_harden(made->database);
        code = reader_check_identity(made, error);
        if (code == 0) {
            code = reader_check_schema(made, error);
        }
    }
    if (code != 0) {
        recording_reader_close(made);
        return code;
    }
    reader_read_facts(made);
    *reader = made;
    return 0;
}

const struct recording_run *recording_reader_run(const struct recording_reader *reader)
{
    return &reader->run;
}

bool recording_reader_is_complete(const struct recording_reader *reader)
{
    return reader->is_finished && reader->damage == NULL;
}

const char *recording_reader_damage(const struct recording_reader *reader)
{
    if (reader->damage == NULL && !reader->is_finished) {
        return "its writer was interrupted or still writes, so it may lack the end of the run";
    }
    return reader->damage;
}

/* Ids beyond this are damage: nothing counts so far. */
#define READER_CHUNK_MAX (INT64_C(1) << 40)

/* Visits the rows of one chunk; of a damaged one those before the damage. Returns 0, or what
 * visit returned. */
static int reader_unpack(const struct reader_table *how, sqlite3_stmt *statement, int64_t key,
                         int (*visit)(void *context, const void *row), void *context,
                         bool *is_damaged)
{
    struct packed_cursor cursor;
    int64_t chunk = sqlite3_column_int64(statement, 1);
    const char *text = (const char *)sqlite3_column_text(statement, 2);
    struct reader_place place = {.key = key, .snapshot = sqlite3_column_int64(statement, 0)};
    if (text == NULL || chunk < 0 || chunk > READER_CHUNK_MAX) {
        *is_damaged = true;
        return 0;
    }
    packed_cursor_init(&cursor, text, (size_t)sqlite3_column_bytes(statement, 2), how->shape);
    int result = 0;
    while (result == 0 && packed_cursor_next(&cursor)) {
        union reader_row row;
        place.id = (chunk << how->shape->rows_log2) + cursor.row;
        how->unpack(&place, cursor.values, &row);
        result = visit(context, &row);
    }
    *is_damaged = cursor.is_damaged;
    return result;
}

int recording_reader_each(struct recording_reader *reader, enum recording_table table, int64_t key,
                          int (*visit)(void *context, const void *row), void *context)
{
    const struct reader_table *how = &reader_tables[table];
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(reader->database, how->sql, -1, &statement, NULL);
    if (code == SQLITE_OK && sqlite3_bind_parameter_count(statement) == 1) {
        sqlite3_bind_int64(statement, 1, key);
    }
    int result = 0;
    while (result == 0 && (code == SQLITE_OK || code == SQLITE_ROW)) {
        code = sqlite3_step(statement);
        if (code != SQLITE_ROW) {
            break;
        }
        if (how->shape != NULL) {
            bool is_damaged = false;
            result = reader_unpack(how, statement, key, visit, context, &is_damaged);
            code = is_damaged ? SQLITE_CORRUPT : code;
        } else {
            union reader_row row;
            how->decode(statement, &row);
            result = visit(context, &row);
        }
    }
    sqlite3_finalize(statement);
    if (result == 0 && code != SQLITE_DONE) {
        reader_note_damage(
            reader, region_format(reader->region, "damaged in part: %s", sqlite3_errstr(code)));
    }
    return result;
}
