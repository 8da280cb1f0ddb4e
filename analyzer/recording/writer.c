#include "recording/writer.h"

#include "foundation/region.h"
#include "recording/writer_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* An empty recording; see blank_maker.c. */
extern const unsigned char recording_blank[];
extern const size_t recording_blank_bytes;

/* A run this long is worth waiting for the disk: from then on a commit survives a power
 * failure too. Before, it survives everything but that. */
#define WRITER_DURABLE_AFTER_NS INT64_C(60000000000)

static int64_t writer_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- failures ------------------------------------------------------------ */

static int writer_errno_of(sqlite3 *database, int sqlite_code)
{
    int system_errno = sqlite3_system_errno(database);
    switch (sqlite_code & 0xff) {
    case SQLITE_FULL:
        return ENOSPC;
    case SQLITE_NOMEM:
        return ENOMEM;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return EROFS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return EBADMSG;
    default:
        return system_errno > 0 ? system_errno : EIO;
    }
}

static const char *writer_advice(int code)
{
    switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return "free some space or choose another place with -o";
    case EBUSY:
        return "another program has it open, wait until it is done";
    case EBADMSG:
        return "something else wrote into it, record again";
    default:
        return "choose another place with -o";
    }
}

/* What a person calls the file. */
static const char *writer_name(const struct recording_writer *writer)
{
    return writer->final_path != NULL ? writer->final_path : writer->path;
}

int writer_fail(struct recording_writer *writer, int sqlite_code)
{
    if (writer->failure.code == 0) {
        int code = writer_errno_of(writer->database, sqlite_code);
        const char *why = code == ENOSPC ? "no space left on the disk"
                          : code == EIO  ? sqlite3_errstr(sqlite_code)
                                         : strerror(code);
        mt_error_set(&writer->failure, -code, MT_STATUS_FAILED,
                     "%s: %s could not be written and is lost: %s; %s%s",
                     writer_name(writer), writer->what[0] != '\0' ? writer->what : "the recording", why,
                     writer->final_path != NULL ? "" : "what was written before is kept, ",
                     writer_advice(code));
    }
    return writer->failure.code;
}

int recording_writer_failure(const struct recording_writer *writer, struct mt_error *error)
{
    if (writer->failure.code != 0 && error != NULL && error->code == 0) {
        *error = writer->failure;
    }
    return writer->failure.code;
}

/* ---- statements ---------------------------------------------------------- */

void writer_start(struct recording_writer *writer, enum writer_statement statement)
{
    writer->current = NULL;
    writer->position = 0;
    if (writer->failure.code != 0) {
        return;
    }
    if (writer->statements[statement] == NULL) {
        int code =
            sqlite3_prepare_v3(writer->database, writer_sql[statement], -1,
                               SQLITE_PREPARE_PERSISTENT, &writer->statements[statement], NULL);
        if (code != SQLITE_OK) {
            writer_fail(writer, code);
            return;
        }
    }
    writer->current = writer->statements[statement];
}

void writer_real(struct recording_writer *writer, double value)
{
    if (writer->current != NULL) {
        sqlite3_bind_double(writer->current, ++writer->position, value);
    }
}

void writer_int(struct recording_writer *writer, int64_t value)
{
    if (writer->current == NULL) {
        return;
    }
    writer->position++;
    if (value == RECORDING_UNKNOWN) {
        sqlite3_bind_null(writer->current, writer->position);
    } else {
        sqlite3_bind_int64(writer->current, writer->position, value);
    }
}

void writer_text(struct recording_writer *writer, const char *text)
{
    if (writer->current != NULL) {
        sqlite3_bind_text(writer->current, ++writer->position, text, -1, SQLITE_STATIC);
    }
}

void writer_text_of(struct recording_writer *writer, const char *text, size_t bytes)
{
    if (writer->current != NULL) {
        sqlite3_bind_text(writer->current, ++writer->position, text, (int)bytes, SQLITE_STATIC);
    }
}

void writer_blob(struct recording_writer *writer, const void *bytes, size_t count)
{
    if (writer->current != NULL) {
        sqlite3_bind_blob64(writer->current, ++writer->position, bytes, count, SQLITE_STATIC);
    }
}

int writer_run(struct recording_writer *writer)
{
    if (writer->current == NULL) {
        return writer->failure.code;
    }
    int code = sqlite3_step(writer->current);
    if (code != SQLITE_DONE) {
        writer_fail(writer, sqlite3_extended_errcode(writer->database));
    }
    sqlite3_reset(writer->current);
    writer->current = NULL;
    return writer->failure.code;
}

int writer_execute(struct recording_writer *writer, const char *sql)
{
    if (writer->failure.code != 0) {
        return writer->failure.code;
    }
    int code = sqlite3_exec(writer->database, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : writer_fail(writer, code);
}

/* ---- opening and closing ------------------------------------------------- */

static struct recording_writer *writer_new(const char *path)
{
    struct recording_writer *writer = calloc(1, sizeof(*writer));
    /* "./" keeps names such as ":memory:" from meaning something else. */
    size_t room = strlen(path) + 3;
    char *name = malloc(room);
    if (writer == NULL || name == NULL) {
        free(writer);
        free(name);
        return NULL;
    }
    snprintf(name, room, "%s%s", path[0] == '/' ? "" : "./", path);
    writer->path = name;
    writer->opened_ns = writer_now_ns();
    intern_texts_init(&writer->modules);
    intern_texts_init(&writer->functions);
    intern_texts_init(&writer->files);
    return writer;
}

void recording_writer_abandon(struct recording_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    for (size_t i = 0; i < WRITER_STATEMENTS; i++) {
        sqlite3_finalize(writer->statements[i]);
    }
    sqlite3_close(writer->database);
    intern_texts_deinit(&writer->modules);
    intern_texts_deinit(&writer->functions);
    intern_texts_deinit(&writer->files);
    intern_addresses_deinit(&writer->addresses);
    writer_free_packed(writer);
    free(writer->snapshots);
    if (writer->final_path != NULL) {
        unlink(writer->path); /* never finished */
        free(writer->final_path);
    }
    free(writer->path);
    free(writer);
}

/* Write-ahead log: the file itself changes at checkpoints only. Exclusive locking keeps
 * the log's index in our memory instead of in a third file. What is written at once has no
 * log: nobody sees it before it is whole. */
static int writer_open(struct recording_writer *writer)
{
    int code = sqlite3_open_v2(writer->path, &writer->database,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) {
        return writer_fail(writer, code);
    }
    sqlite3_extended_result_codes(writer->database, 1);
    /* Defensive would insist on a journal. */
    sqlite3_db_config(writer->database, SQLITE_DBCONFIG_DEFENSIVE, writer->final_path == NULL,
                      NULL);
    sqlite3_db_config(writer->database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(writer->database, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    writer_execute(writer, "PRAGMA locking_mode=EXCLUSIVE;"
                           "PRAGMA synchronous=OFF;"
                           "PRAGMA cache_size=-16384;"
                           "PRAGMA temp_store=MEMORY;");
    return writer_execute(writer, writer->final_path != NULL
                                      ? "PRAGMA journal_mode=OFF;"
                                      : "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=4096;");
}

/* Writes the empty recording and closes the file. Returns 0 or an errno. */
static int writer_put_blank(int file)
{
    int code = 0;
    for (size_t done = 0; code == 0 && done < recording_blank_bytes;) {
        ssize_t count = write(file, recording_blank + done, recording_blank_bytes - done);
        if (count < 0 && errno != EINTR) {
            code = errno;
        }
        done += count < 0 ? 0 : (size_t)count;
    }
    if (close(file) != 0 && code == 0) {
        code = errno;
    }
    return code;
}

/* `name` is what a person calls the file. */
static int writer_reserve_file(const char *path, const char *name, bool overwrite,
                               struct mt_error *error)
{
    struct stat status;
    if (overwrite && lstat(path, &status) == 0) {
        if (!S_ISREG(status.st_mode)) {
            return mt_error_set(error, -EEXIST, MT_STATUS_FAILED,
                                "%s: not a regular file, so it is not replaced; choose another "
                                "name with -o",
                                name);
        }
        unlink(path);
    }
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    int code = errno;
    if (file >= 0) {
        code = writer_put_blank(file);
        if (code == 0) {
            return 0;
        }
        unlink(path);
    }
    if (code == EEXIST) {
        return mt_error_set(error, -code, MT_STATUS_FAILED,
                            "%s: exists already; use -f to replace it, or choose another name "
                            "with -o",
                            name);
    }
    return mt_error_set(error, -code, MT_STATUS_FAILED,
                        "%s: the recording cannot be created: %s; choose another place with -o",
                        name, strerror(code));
}

/* Companions of an older file of this name would be taken for ours. */
static void writer_remove_companions(const char *path)
{
    static const char *const suffixes[] = {"-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char *name = NULL;
        if (asprintf(&name, "%s%s", path, suffixes[i]) >= 0) {
            unlink(name);
            free(name);
        }
    }
}

/* Opens the file and writes the first facts. The schema is in the file itself from the start,
 * so that it is known for a recording even if its log gets lost. */
static int writer_begin_recording(struct recording_writer *writer, const struct recording_run *run)
{
    writer->is_marked_partial = true;
    writer->are_rows_counted = true;
    if (writer_open(writer) == 0 && recording_writer_begin(writer, "the recording") == 0) {
        recording_writer_set_run(writer, run);
        recording_writer_set_fact(writer, "complete", "0");
    }
    return recording_writer_commit(writer, NULL);
}

int recording_writer_create(const char *path, const struct recording_run *run, bool overwrite,
                            struct recording_writer **writer, struct mt_error *error)
{
    int code = writer_reserve_file(path, path, overwrite, error);
    if (code != 0) {
        return code;
    }
    writer_remove_companions(path);
    struct recording_writer *made = writer_new(path);
    if (made == NULL) {
        return mt_error_set(error, -ENOMEM, MT_STATUS_FAILED, "%s: no memory for the writer", path);
    }
    if (writer_begin_recording(made, run) == 0) {
        *writer = made;
        return 0;
    }
    code = recording_writer_failure(made, error);
    recording_writer_abandon(made);
    unlink(path);
    writer_remove_companions(path);
    return code;
}

/* Refuses what writer_reserve_file() would refuse, and changes nothing. */
static int writer_check_name(const char *path, bool overwrite, struct mt_error *error)
{
    struct stat status;
    if (lstat(path, &status) != 0 || (overwrite && S_ISREG(status.st_mode))) {
        return 0;
    }
    return mt_error_set(error, -EEXIST, MT_STATUS_FAILED,
                        overwrite ? "%s: not a regular file, so it is not replaced; choose another "
                                    "name with -o"
                                  : "%s: exists already; use -f to replace it, or choose another "
                                    "name with -o",
                        path);
}

int recording_writer_create_at_once(const char *path, const struct recording_run *run,
                                    bool overwrite, struct recording_writer **writer,
                                    struct mt_error *error)
{
    char *beside = NULL;
    int code = writer_check_name(path, overwrite, error);
    if (code != 0) {
        return code;
    }
    if (asprintf(&beside, "%s.%d.part", path, (int)getpid()) < 0) {
        return mt_error_set(error, -ENOMEM, MT_STATUS_FAILED, "%s: no memory for the writer", path);
    }
    code = writer_reserve_file(beside, path, true, error);
    struct recording_writer *made = code == 0 ? writer_new(beside) : NULL;
    free(beside);
    if (code != 0) {
        return code;
    }
    char *final_path = strdup(path);
    if (made == NULL || final_path == NULL) {
        free(final_path);
        recording_writer_abandon(made);
        return mt_error_set(error, -ENOMEM, MT_STATUS_FAILED, "%s: no memory for the writer", path);
    }
    made->final_path = final_path;
    made->replaces_file = overwrite;
    code = writer_begin_recording(made, run);
    if (code != 0) {
        recording_writer_failure(made, error);
        recording_writer_abandon(made);
        return code;
    }
    *writer = made;
    return 0;
}

/* One number of the database's header. */
static int64_t writer_pragma(struct recording_writer *writer, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;
    if (sqlite3_prepare_v2(writer->database, sql, -1, &statement, NULL) == SQLITE_OK
        && sqlite3_step(statement) == SQLITE_ROW) {
        value = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return value;
}

int recording_writer_append(const char *path, struct recording_writer **writer,
                            struct mt_error *error)
{
    if (access(path, R_OK | W_OK) != 0) {
        int code = errno;
        return mt_error_set(error, -code, code == ENOENT ? MT_STATUS_NO_INPUT : MT_STATUS_FAILED,
                            "%s: nothing can be added to it: %s", path, strerror(code));
    }
    struct recording_writer *made = writer_new(path);
    if (made == NULL) {
        return mt_error_set(error, -ENOMEM, MT_STATUS_FAILED, "%s: no memory for the writer", path);
    }
    snprintf(made->what, sizeof(made->what), "%s", "what should be added");
    int code = writer_open(made);
    if (code == 0
        && (writer_pragma(made, "PRAGMA application_id") != RECORDING_APPLICATION_ID
            || writer_pragma(made, "PRAGMA user_version") != RECORDING_VERSION)) {
        code = mt_error_set(&made->failure, -EBADMSG, MT_STATUS_DATA,
                            "%s: not a recording of this version, so nothing was added", path);
    }
    if (code == 0) {
        code = writer_load_maps(made);
    }
    if (code != 0) {
        recording_writer_failure(made, error);
        recording_writer_abandon(made);
        return code;
    }
    *writer = made;
    return 0;
}

/* ---- transactions -------------------------------------------------------- */

int recording_writer_begin(struct recording_writer *writer, const char *what)
{
    if (writer->failure.code != 0) {
        return writer->failure.code;
    }
    snprintf(writer->what, sizeof(writer->what), "%s", what);
    if (!writer->is_durable && writer_now_ns() - writer->opened_ns > WRITER_DURABLE_AFTER_NS) {
        writer->is_durable = writer_execute(writer, "PRAGMA synchronous=NORMAL") == 0;
    }
    if (writer_execute(writer, "BEGIN IMMEDIATE") != 0) {
        return writer->failure.code;
    }
    writer->is_in_transaction = true;
    if (!writer->is_marked_partial) {
        writer->is_marked_partial = true;
        recording_writer_set_fact(writer, "complete", "0");
    }
    return writer->failure.code;
}

int recording_writer_commit(struct recording_writer *writer, struct mt_error *error)
{
    if (writer->is_in_transaction) {
        writer_store_packed(writer);
        writer_execute(writer, "COMMIT");
        /* A failure inside the transaction, or of the commit itself: take all of it back. */
        if (sqlite3_get_autocommit(writer->database) == 0) {
            sqlite3_exec(writer->database, "ROLLBACK", NULL, NULL, NULL);
        }
        writer->is_in_transaction = false;
    }
    return recording_writer_failure(writer, error);
}

/* What was written at once is whole: it takes its name. */
static int writer_give_name(struct recording_writer *writer)
{
    if (writer->failure.code != 0) {
        return writer->failure.code;
    }
    sqlite3_close(writer->database);
    writer->database = NULL;
    unsigned how = writer->replaces_file ? 0 : RENAME_NOREPLACE;
    int result = renameat2(AT_FDCWD, writer->path, AT_FDCWD, writer->final_path, how);
    if (result != 0 && how != 0 && errno == EINVAL) { /* some file systems do not know it */
        errno = EEXIST;
        result = access(writer->final_path, F_OK) == 0
                     ? -1
                     : rename(writer->path, writer->final_path);
    }
    if (result != 0) {
        int code = errno;
        return mt_error_set(&writer->failure, -code, MT_STATUS_FAILED,
                            "%s: could not get its name: %s; choose another place with -o",
                            writer->final_path, strerror(code));
    }
    writer_remove_companions(writer->final_path);
    free(writer->final_path);
    writer->final_path = NULL;
    return 0;
}

int recording_writer_finish(struct recording_writer *writer, bool is_complete,
                            struct mt_error *error)
{
    if (!writer->is_in_transaction) {
        recording_writer_begin(writer, "the end of the recording");
    }
    recording_writer_set_fact(writer, "complete", is_complete ? "1" : "0");
    recording_writer_commit(writer, NULL);
    for (size_t i = 0; i < WRITER_STATEMENTS; i++) {
        sqlite3_finalize(writer->statements[i]);
        writer->statements[i] = NULL;
    }
    snprintf(writer->what, sizeof(writer->what), "%s", "the last part of the recording");
    int code = writer->final_path != NULL ? writer_give_name(writer)
                                          : writer_execute(writer, "PRAGMA journal_mode=DELETE");
    recording_writer_failure(writer, error);
    recording_writer_abandon(writer);
    return code;
}

int64_t recording_writer_size_bytes(const struct recording_writer *writer)
{
    struct stat status;
    int64_t total_bytes = stat(writer->path, &status) == 0 ? status.st_size : 0;
    char *name = NULL;
    if (asprintf(&name, "%s-wal", writer->path) >= 0) {
        total_bytes += stat(name, &status) == 0 ? status.st_size : 0;
        free(name);
    }
    return total_bytes;
}
