/* What the reader promises about good, partial, damaged and hostile files. */
#include "recording/reader.h"
#include "recording/writer.h"
#include "support/sample_recording.h"

#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static char path[128];

static const char *path_of(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/memtrack-reader-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static void write_file(const char *name, const void *bytes, size_t count)
{
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static unsigned char *read_file(const char *name, size_t *count)
{
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *count = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*count + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *count, file), *count);
    fclose(file);
    return bytes;
}

static enum mt_status open_status(const char *name)
{
    struct recording_reader *reader = NULL;
    struct mt_error error = {0};
    if (recording_reader_open(name, &reader, &error) == 0) {
        recording_reader_close(reader);
        return MT_STATUS_OK;
    }
    assert_null(reader);
    assert_true(strlen(error.text) > 10);
    assert_null(strchr(error.text, '\n'));
    return error.status;
}

static void execute(const char *name, const char *sql)
{
    sqlite3 *database = NULL;
    assert_int_equal(sqlite3_open(name, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

static int count_row(void *context, const void *row)
{
    assert_non_null(row);
    *(size_t *)context += 1;
    return 0;
}

static size_t count_rows(struct recording_reader *reader)
{
    size_t count = 0;
    for (int table = 0; table < RECORDING_TABLES; table++) {
        for (int64_t key = 0; key < 2; key++) {
            assert_int_equal(
                recording_reader_each(reader, (enum recording_table)table, key, count_row, &count),
                0);
        }
    }
    return count;
}

static int check_site(void *context, const void *row)
{
    const struct recording_site *site = row;
    if (site->stack == 1) {
        assert_int_equal(site->allocations, 300);
        assert_int_equal(site->freed_bytes, 20000);
        assert_int_equal(site->peak_bytes, 20000);
        *(bool *)context = true;
    }
    return 0;
}

static void reader_gives_back_what_was_written(void **state)
{
    (void)state;
    sample_write_service(path_of("service.mtk"));
    struct recording_reader *reader = NULL;
    assert_int_equal(recording_reader_open(path, &reader, NULL), 0);
    assert_string_equal(recording_reader_run(reader)->host, "testhost");
    assert_int_equal(recording_reader_run(reader)->sample_bytes, RECORDING_UNKNOWN);
    assert_int_equal(recording_reader_run(reader)->tick_ns, 10000000);
    assert_true(recording_reader_is_complete(reader));
    assert_null(recording_reader_damage(reader));
    bool was_seen = false;
    assert_int_equal(recording_reader_each(reader, RECORDING_TABLE_SITE, 0, check_site, &was_seen),
                     0);
    assert_true(was_seen);
    recording_reader_close(reader);
}

static void reader_names_what_is_not_a_recording(void **state)
{
    (void)state;
    assert_int_equal(open_status(path_of("missing.mtk")), MT_STATUS_NO_INPUT);
    assert_int_equal(open_status(folder), MT_STATUS_DATA);
    write_file(path_of("nothing.mtk"), "", 0);
    assert_int_equal(open_status(path), MT_STATUS_DATA);
    write_file(path_of("text.mtk"), "heap_v2/524288\n", 15);
    assert_int_equal(open_status(path), MT_STATUS_DATA);
    assert_int_equal(mkfifo(path_of("fifo.mtk"), 0600), 0);
    assert_int_equal(open_status(path), MT_STATUS_DATA);
    execute(path_of("other.sqlite"), "CREATE TABLE run (a)");
    assert_int_equal(open_status(path), MT_STATUS_DATA);
}

static void reader_refuses_another_version_and_says_which(void **state)
{
    (void)state;
    sample_write_empty(path_of("version.mtk"));
    execute(path, "PRAGMA user_version = 99");
    struct recording_reader *reader = NULL;
    struct mt_error error = {0};
    assert_true(recording_reader_open(path, &reader, &error) < 0);
    assert_int_equal(error.status, MT_STATUS_DATA);
    assert_non_null(strstr(error.text, "99"));
}

static void reader_refuses_views_and_triggers_in_place_of_tables(void **state)
{
    (void)state;
    static const char *const attacks[] = {
        "DROP TABLE packed_site; CREATE VIEW packed_site AS SELECT 1",
        "CREATE TRIGGER t AFTER INSERT ON cpu BEGIN DELETE FROM packed_site; END",
        "DROP TABLE cpu; CREATE TABLE cpu (process, thread, stack, samples, allocator_samples)",
        "DROP TABLE packed_node",
        "CREATE VIRTUAL TABLE words USING fts5(x)",
    };
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        sample_write_empty(path_of("attack.mtk"));
        execute(path, attacks[i]);
        assert_int_equal(open_status(path), MT_STATUS_DATA);
    }
    sample_write_empty(path_of("harmless.mtk"));
    execute(path, "CREATE VIEW mine AS SELECT * FROM site; CREATE INDEX fast ON cpu(stack)");
    assert_int_equal(open_status(path), MT_STATUS_OK);
}

static void reader_survives_values_of_the_wrong_kind(void **state)
{
    (void)state;
    sample_write_service(path_of("values.mtk"));
    execute(path, "UPDATE packed_site SET chunk = 1.5 WHERE rowid = 1;"
                  "UPDATE packed_snapshot_site SET snapshot = 'first', data = x'5b5d00' "
                  "WHERE rowid = 1;"
                  "UPDATE packed_node SET chunk = -1 WHERE rowid = 1;"
                  "UPDATE packed_stack SET chunk = 9223372036854775807 WHERE rowid = 1;"
                  "UPDATE packed_site_lifetime SET data = 17;"
                  "UPDATE process SET parent = 0, pid = NULL, started_ns = -1;"
                  "UPDATE run SET value = x'ff' WHERE key = 'host'");
    struct recording_reader *reader = NULL;
    assert_int_equal(recording_reader_open(path, &reader, NULL), 0);
    assert_true(count_rows(reader) > 100);
    recording_reader_close(reader);
}

static void damaged_chunk_ends_its_table_and_is_said(void **state)
{
    (void)state;
    static const char *const damages[] = {
        "UPDATE packed_node SET data = '[0,[0,1],[1,'",
        "UPDATE packed_stack SET data = data || ']'",
        "UPDATE packed_site SET data = '[[3,1],[2,1]]'",
        "UPDATE packed_site_lifetime SET data = '[[1,' || hex(zeroblob(9000)) || ']]'",
        "UPDATE packed_snapshot_site SET data = '[[1,2,3,4,5,6,7]]'",
        "UPDATE packed_snapshot_site SET data = NULL",
    };
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        sample_write_service(path_of("chunk.mtk"));
        sqlite3 *database = NULL;
        assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
        int code = sqlite3_exec(database, damages[i], NULL, NULL, NULL);
        int changes = sqlite3_changes(database);
        sqlite3_close(database);
        if (i + 1 == sizeof(damages) / sizeof(damages[0])) {
            assert_int_equal(code, SQLITE_CONSTRAINT); /* not even SQLite would write it */
            continue;
        }
        assert_int_equal(code, SQLITE_OK);
        assert_true(changes > 0);
        struct recording_reader *reader = NULL;
        assert_int_equal(recording_reader_open(path, &reader, NULL), 0);
        assert_null(recording_reader_damage(reader));
        assert_true(count_rows(reader) > 50);
        assert_non_null(strstr(recording_reader_damage(reader), "damaged in part"));
        assert_false(recording_reader_is_complete(reader));
        recording_reader_close(reader);
    }
}

static void cut_recording_is_read_as_far_as_it_goes(void **state)
{
    (void)state;
    sample_write_service(path_of("whole.mtk"));
    struct recording_writer *writer = NULL;
    assert_int_equal(recording_writer_append(path, &writer, NULL), 0);
    assert_int_equal(recording_writer_begin(writer, "many sites"), 0);
    for (int64_t stack = 100; stack < 30000; stack++) {
        struct recording_site site = {.process = 0, .stack = stack, .allocations = stack};
        assert_int_equal(recording_writer_put_site(writer, &site), 0);
    }
    assert_int_equal(recording_writer_finish(writer, true, NULL), 0);
    size_t count;
    unsigned char *bytes = read_file(path, &count);
    size_t rounds = 0;
    size_t readable = 0;
    for (size_t length = 1; length < count; length += count / 50) {
        rounds++;
        write_file(path_of("cut.mtk"), bytes, length);
        struct recording_reader *reader = NULL;
        struct mt_error error = {0};
        if (recording_reader_open(path, &reader, &error) != 0) {
            assert_int_equal(error.status, MT_STATUS_DATA);
            continue;
        }
        readable++;
        assert_false(recording_reader_is_complete(reader));
        assert_non_null(strstr(recording_reader_damage(reader), "cut short"));
        count_rows(reader);
        recording_reader_close(reader);
    }
    free(bytes);
    /* All but cuts into the schema itself, at the very start. */
    assert_true(readable * 10 > rounds * 7);
}

/* Small and fast: a fixed sequence, so that a failure can be repeated. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void flipped_bytes_never_crash_the_reader(void **state)
{
    (void)state;
    sample_write_service(path_of("good.mtk"));
    size_t count;
    unsigned char *bytes = read_file(path, &count);
    unsigned char *damaged = malloc(count);
    assert_non_null(damaged);
    uint32_t random = 20261120;
    size_t opened = 0;
    for (int round = 0; round < 300; round++) {
        memcpy(damaged, bytes, count);
        uint32_t flips = 1 + next_random(&random) % 20;
        for (uint32_t i = 0; i < flips; i++) {
            damaged[next_random(&random) % count] = (unsigned char)next_random(&random);
        }
        write_file(path_of("flipped.mtk"), damaged, count);
        struct recording_reader *reader = NULL;
        struct mt_error error = {0};
        if (recording_reader_open(path, &reader, &error) == 0) {
            count_rows(reader);
            recording_reader_close(reader);
            opened++;
        } else {
            assert_int_equal(error.status, MT_STATUS_DATA);
        }
    }
    free(damaged);
    free(bytes);
    assert_true(opened > 50);
}

static void recording_of_a_living_writer_is_read_as_of_its_last_commit(void **state)
{
    (void)state;
    struct recording_run run = {.host = "h"};
    struct recording_writer *writer = NULL;
    assert_int_equal(recording_writer_create(path_of("living.mtk"), &run, true, &writer, NULL), 0);
    assert_int_equal(recording_writer_begin(writer, "a process"), 0);
    struct recording_process process = {.id = 0, .executable = "x"};
    assert_int_equal(recording_writer_put_process(writer, &process), 0);
    assert_int_equal(recording_writer_commit(writer, NULL), 0);
    assert_int_equal(recording_writer_begin(writer, "another"), 0);
    process.id = 1;
    assert_int_equal(recording_writer_put_process(writer, &process), 0);

    struct recording_reader *reader = NULL;
    assert_int_equal(recording_reader_open(path_of("living.mtk"), &reader, NULL), 0);
    size_t count = 0;
    recording_reader_each(reader, RECORDING_TABLE_PROCESS, 0, count_row, &count);
    assert_int_equal(count, 1);
    assert_false(recording_reader_is_complete(reader));
    recording_reader_close(reader);

    assert_int_equal(recording_writer_finish(writer, true, NULL), 0);
    assert_int_equal(recording_reader_open(path_of("living.mtk"), &reader, NULL), 0);
    count = 0;
    recording_reader_each(reader, RECORDING_TABLE_PROCESS, 0, count_row, &count);
    assert_int_equal(count, 2);
    assert_true(recording_reader_is_complete(reader));
    recording_reader_close(reader);
}

static void reading_changes_nothing_beside_the_file(void **state)
{
    (void)state;
    sample_write_service(path_of("still.mtk"));
    size_t before_count;
    unsigned char *before = read_file(path, &before_count);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(open_status(path), MT_STATUS_OK);
    size_t after_count;
    unsigned char *after = read_file(path, &after_count);
    assert_int_equal(before_count, after_count);
    assert_memory_equal(before, after, before_count);
    assert_int_not_equal(access(path_of("still.mtk-wal"), F_OK), 0);
    assert_int_not_equal(access(path_of("still.mtk-shm"), F_OK), 0);
    free(before);
    free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader_gives_back_what_was_written),
        cmocka_unit_test(reader_names_what_is_not_a_recording),
        cmocka_unit_test(reader_refuses_another_version_and_says_which),
        cmocka_unit_test(reader_refuses_views_and_triggers_in_place_of_tables),
        cmocka_unit_test(reader_survives_values_of_the_wrong_kind),
        cmocka_unit_test(damaged_chunk_ends_its_table_and_is_said),
        cmocka_unit_test(cut_recording_is_read_as_far_as_it_goes),
        cmocka_unit_test(flipped_bytes_never_crash_the_reader),
        cmocka_unit_test(recording_of_a_living_writer_is_read_as_of_its_last_commit),
        cmocka_unit_test(reading_changes_nothing_beside_the_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
