/*
 * Made and run while building: an empty recording, and what its schema says.
 *
 * usage: blank_maker SCHEMA BLANK TABLES
 *
 * To run the schema's statements takes 2 ms, which every run would pay at its start and
 * again when its report is read. So the database that they make is a file in the program,
 * and TABLES has each table's name and statement as SQLite keeps them, each with its NUL.
 */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recording/version.h"

static char *read_text(const char *path)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL || fseek(in, 0, SEEK_END) != 0) {
        return NULL;
    }
    long size = ftell(in);
    rewind(in);
    char *text = size < 0 ? NULL : calloc(1, (size_t)size + 1);
    if (text != NULL && fread(text, 1, (size_t)size, in) != (size_t)size) {
        free(text);
        text = NULL;
    }
    fclose(in);
    return text;
}

static int write_tables(sqlite3 *database, const char *path)
{
    sqlite3_stmt *tables = NULL;
    FILE *out = fopen(path, "wb");
    int code = out == NULL ? SQLITE_CANTOPEN
                           : sqlite3_prepare_v2(
                                 database,
                                 "SELECT name, sql FROM sqlite_schema WHERE type = 'table'", -1,
                                 &tables, NULL);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(tables);
        for (int column = 0; code == SQLITE_ROW && column < 2; column++) {
            const char *text = (const char *)sqlite3_column_text(tables, column);
            if (text == NULL || fwrite(text, 1, strlen(text) + 1, out) != strlen(text) + 1) {
                code = SQLITE_IOERR;
            }
        }
    }
    sqlite3_finalize(tables);
    if (out != NULL && fclose(out) != 0) {
        code = SQLITE_IOERR;
    }
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int main(int argc, char **argv)
{
    sqlite3 *database = NULL;
    char *schema = argc == 4 ? read_text(argv[1]) : NULL;
    if (schema == NULL) {
        fprintf(stderr, "usage: blank_maker SCHEMA BLANK TABLES\n");
        return 1;
    }
    char header[160];
    /* The log is what the writer wants; one that is set already costs it no journal. */
    snprintf(header, sizeof(header),
             "PRAGMA application_id=%d; PRAGMA user_version=%d; PRAGMA journal_mode=WAL;",
             RECORDING_APPLICATION_ID, RECORDING_VERSION);
    (void)unlink(argv[2]);
    int code = sqlite3_open(argv[2], &database);
    if (code == SQLITE_OK) {
        code = sqlite3_exec(database, header, NULL, NULL, NULL);
    }
    if (code == SQLITE_OK) {
        code = sqlite3_exec(database, "BEGIN", NULL, NULL, NULL);
    }
    if (code == SQLITE_OK) {
        code = sqlite3_exec(database, schema, NULL, NULL, NULL);
    }
    if (code == SQLITE_OK) { /* what holds until the writer finishes it */
        code = sqlite3_exec(database, "INSERT INTO run(key, value) VALUES ('complete', '0')",
                            NULL, NULL, NULL);
    }
    if (code == SQLITE_OK) {
        code = sqlite3_exec(database, "COMMIT", NULL, NULL, NULL);
    }
    if (code == SQLITE_OK) {
        code = write_tables(database, argv[3]);
    }
    if (code != SQLITE_OK) {
        fprintf(stderr, "blank_maker: %s: %s\n", argv[1], sqlite3_errmsg(database));
    }
    free(schema);
    if (sqlite3_close(database) != SQLITE_OK) {
        code = SQLITE_ERROR;
    }
    return code == SQLITE_OK ? 0 : 1;
}
