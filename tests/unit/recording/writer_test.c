/* The writer's promises, checked with plain SQLite on what it wrote. */
#include "recording/writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/memtrack-writer-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static const struct recording_run test_run = {.memtrack_version = "test",
                                              .host = "h",
                                              .tick_ns = 10000000,
                                              .sample_bytes = RECORDING_UNKNOWN};

static struct recording_writer *create(const char *path)
{
    struct recording_writer *writer = NULL;
    struct mt_error error = {0};
    assert_int_equal(recording_writer_create(path, &test_run, false, &writer, &error), 0);
    return writer;
}

/* The first column of the first row, or -1. */
static int64_t query(const char *path, const char *sql)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &statement, NULL), SQLITE_OK);
    int64_t value = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return value;
}

static void put_counts(struct recording_writer *writer, int64_t snapshot, int64_t stack,
                       int64_t allocations)
{
    struct recording_snapshot_site row = {
        .snapshot = snapshot, .process = 0, .stack = stack, .allocations = allocations};
    assert_int_equal(recording_writer_add_snapshot_site(writer, &row), 0);
}

static void add_snapshot(struct recording_writer *writer, int64_t number, int64_t time_ns,
                         const char *label)
{
    struct recording_snapshot snapshot = {
        .snapshot = number, .time_ns = time_ns, .label = label, .cause = "periodic"};
    assert_int_equal(recording_writer_add_snapshot(writer, &snapshot), 0);
}

static void writer_leaves_one_file_marked_complete(void **state)
{
    (void)state;
    const char *path = path_of("one.mtk");
    struct recording_writer *writer = create(path);
    assert_int_equal(recording_writer_finish(writer, true, NULL), 0);
    assert_int_equal(query(path, "SELECT value FROM run WHERE key = 'complete'"), 1);
    assert_int_equal(query(path, "PRAGMA application_id"), RECORDING_APPLICATION_ID);
    assert_int_not_equal(access(path_of("one.mtk-wal"), F_OK), 0);
    assert_int_not_equal(access(path_of("one.mtk-journal"), F_OK), 0);
}

static void writer_refuses_an_existing_file_unless_told(void **state)
{
    (void)state;
    const char *path = path_of("twice.mtk");
    assert_int_equal(recording_writer_finish(create(path), true, NULL), 0);
    struct recording_writer *writer = NULL;
    struct mt_error error = {0};
    assert_int_equal(recording_writer_create(path, &test_run, false, &writer, &error), -EEXIST);
    assert_non_null(strstr(error.text, "-f"));
    assert_null(writer);
    assert_int_equal(recording_writer_create(path, &test_run, true, &writer, NULL), 0);
    recording_writer_abandon(writer);
}

static size_t files_in_folder(void)
{
    DIR *list = opendir(folder);
    assert_non_null(list);
    size_t count = 0;
    while (readdir(list) != NULL) {
        count++;
    }
    closedir(list);
    return count;
}

static void recording_written_at_once_appears_whole_or_not_at_all(void **state)
{
    (void)state;
    const char *path = path_of("at-once.mtk");
    size_t files = files_in_folder();
    struct recording_writer *writer = NULL;
    struct mt_error error = {0};
    assert_int_equal(recording_writer_create_at_once(path, &test_run, false, &writer, NULL), 0);
    assert_int_not_equal(access(path, F_OK), 0);
    recording_writer_abandon(writer);
    assert_int_equal(files_in_folder(), files); /* nothing is left of it */

    assert_int_equal(recording_writer_create_at_once(path, &test_run, false, &writer, NULL), 0);
    assert_int_equal(recording_writer_begin(writer, "a snapshot"), 0);
    add_snapshot(writer, 0, 0, NULL);
    put_counts(writer, 0, 1, 10);
    assert_int_equal(recording_writer_finish(writer, true, NULL), 0);
    assert_int_equal(files_in_folder(), files + 1);
    assert_int_equal(query(path, "SELECT allocations FROM snapshot_site"), 10);
    assert_int_equal(query(path, "SELECT value FROM run WHERE key = 'complete'"), 1);
    assert_int_equal(query(path, "SELECT 1 FROM pragma_integrity_check WHERE "
                                 "integrity_check = 'ok'"),
                     1);

    assert_int_equal(recording_writer_create_at_once(path, &test_run, false, &writer, &error),
                     -EEXIST);
    assert_int_equal(recording_writer_create_at_once(path, &test_run, true, &writer, NULL), 0);
    assert_int_equal(query(path, "SELECT count(*) FROM snapshot"), 1); /* the old one still */
    assert_int_equal(recording_writer_finish(writer, true, NULL), 0);
    assert_int_equal(query(path, "SELECT count(*) FROM snapshot"), 0);
    assert_int_equal(files_in_folder(), files + 1);

    /* Somebody else takes the name while it is being written. */
    path = path_of("taken.mtk");
    assert_int_equal(recording_writer_create_at_once(path, &test_run, false, &writer, NULL), 0);
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    error = (struct mt_error){0};
    assert_int_equal(recording_writer_finish(writer, true, &error), -EEXIST);
    assert_non_null(strstr(error.text, "taken.mtk"));
    assert_int_equal(files_in_folder(), files + 2);
}

static void writer_gives_equal_modules_and_addresses_one_id_across_append(void **state)
{
    (void)state;
    const char *path = path_of("append.mtk");
    const uint8_t build_id[] = {1, 2, 3};
    struct recording_module module = {
        .path = "/lib/libc.so.6", .build_id = build_id, .build_id_bytes = 3};
    struct recording_module other = {.path = "/lib/libc.so.6"};
    struct recording_writer *writer = create(path);
    assert_int_equal(recording_writer_begin(writer, "modules"), 0);
    int64_t id = recording_writer_add_module(writer, &module);
    assert_true(id > 0);
    assert_int_equal(recording_writer_add_module(writer, &module), id);
    assert_int_not_equal(recording_writer_add_module(writer, &other), id);
    int64_t address = recording_writer_add_address(writer, id, 0x1000);
    assert_int_equal(recording_writer_add_address(writer, id, 0x1000), address);
    assert_int_equal(recording_writer_finish(writer, true, NULL), 0);

    assert_int_equal(recording_writer_append(path, &writer, NULL), 0);
    assert_int_equal(recording_writer_begin(writer, "more"), 0);
    assert_int_equal(recording_writer_add_module(writer, &module), id);
    assert_int_equal(recording_writer_add_address(writer, id, 0x1000), address);
    assert_true(recording_writer_add_address(writer, id, 0x1001) > address);
    assert_int_equal(recording_writer_commit(writer, NULL), 0);
    recording_writer_abandon(writer);
    assert_int_equal(query(path, "SELECT count(*) FROM module"), 2);
    assert_int_equal(query(path, "SELECT kind FROM module LIMIT 1"), RECORDING_MODULE_LIBC);
    assert_int_equal(query(path, "SELECT value FROM run WHERE key = 'complete'"), 0);
}

static void removed_snapshot_leaves_the_states_of_the_others(void **state)
{
    (void)state;
    const char *path = path_of("thin.mtk");
    struct recording_writer *writer = create(path);
    assert_int_equal(recording_writer_begin(writer, "snapshots"), 0);
    for (int64_t i = 0; i < 3; i++) {
        add_snapshot(writer, i, i * 1000000000, NULL);
    }
    put_counts(writer, 0, 1, 10);
    put_counts(writer, 1, 1, 20);
    put_counts(writer, 1, 2, 5);
    put_counts(writer, 2, 2, 6);
    assert_int_equal(recording_writer_remove_snapshot(writer, 1), 0);
    assert_int_equal(recording_writer_remove_snapshot(writer, 1), -ENOENT);
    assert_int_equal(recording_writer_finish(writer, true, NULL), 0);
    assert_int_equal(query(path, "SELECT count(*) FROM snapshot_site"), 3);
    assert_int_equal(query(path, "SELECT allocations FROM snapshot_site WHERE snapshot=0"), 10);
    assert_int_equal(
        query(path, "SELECT allocations FROM snapshot_site WHERE snapshot=2 AND stack=1"), 20);
    assert_int_equal(
        query(path, "SELECT allocations FROM snapshot_site WHERE snapshot=2 AND stack=2"), 6);
}

static void thinning_keeps_ends_labels_and_the_recent_past(void **state)
{
    (void)state;
    const char *path = path_of("thinned.mtk");
    struct recording_writer *writer = create(path);
    assert_int_equal(recording_writer_begin(writer, "snapshots"), 0);
    for (int64_t i = 0; i < 1000; i++) {
        add_snapshot(writer, i, i * 1000000000, i == 333 ? "mark" : NULL);
        put_counts(writer, i, 1, i);
    }
    assert_int_equal(recording_writer_thin_snapshots(writer, 100, INT64_MAX), 900);
    assert_int_equal(recording_writer_finish(writer, true, NULL), 0);
    assert_int_equal(query(path, "SELECT count(*) FROM snapshot"), 100);
    assert_int_equal(query(path, "SELECT count(*) FROM snapshot WHERE snapshot IN (0, 333, 999)"),
                     3);
    int64_t recent = query(path, "SELECT count(*) FROM snapshot WHERE snapshot >= 900");
    int64_t old = query(path, "SELECT count(*) FROM snapshot WHERE snapshot < 500");
    assert_true(recent > 2 * old);
    assert_true(old >= 5);
}

static void writer_killed_at_any_moment_keeps_what_was_committed(void **state)
{
    (void)state;
    for (int round = 0; round < 8; round++) {
        char name[32];
        snprintf(name, sizeof(name), "killed%d.mtk", round);
        const char *path = path_of(name);
        int ready[2];
        assert_int_equal(pipe(ready), 0);
        pid_t child = fork();
        if (child == 0) {
            struct recording_writer *writer = create(path);
            for (int64_t i = 0;; i++) {
                recording_writer_begin(writer, "a snapshot");
                add_snapshot(writer, i, i, NULL);
                for (int64_t stack = 1; stack <= 500; stack++) {
                    put_counts(writer, i, stack, i);
                }
                recording_writer_commit(writer, NULL);
                if (write(ready[1], "x", 1) != 1) {
                    _exit(1);
                }
            }
        }
        char byte;
        for (int i = 0; i <= round * 3; i++) {
            assert_int_equal(read(ready[0], &byte, 1), 1);
        }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(ready[0]);
        close(ready[1]);
        int64_t snapshots = query(path, "SELECT count(*) FROM snapshot");
        assert_true(snapshots > round * 3);
        assert_int_equal(query(path, "SELECT count(*) FROM snapshot_site"), snapshots * 500);
        assert_int_equal(query(path, "SELECT value FROM run WHERE key = 'complete'"), 0);
    }
}

static void recording_without_its_log_is_still_known_for_one(void **state)
{
    (void)state;
    const char *path = path_of("lost-log.mtk");
    struct recording_writer *writer = create(path);
    char command[512];
    snprintf(command, sizeof(command), "cp '%s' '%s.copy'", path, path);
    assert_int_equal(system(command), 0);
    recording_writer_abandon(writer);
    path = path_of("lost-log.mtk.copy");
    assert_int_equal(query(path, "PRAGMA application_id"), RECORDING_APPLICATION_ID);
    assert_int_equal(query(path, "SELECT value FROM run WHERE key = 'complete'"), 0);
}

static void full_disk_names_what_is_lost_and_keeps_the_rest(void **state)
{
    (void)state;
    const char *path = path_of("full.mtk");
    struct recording_writer *writer = create(path);
    assert_int_equal(recording_writer_begin(writer, "the first snapshot"), 0);
    add_snapshot(writer, 0, 0, NULL);
    assert_int_equal(recording_writer_commit(writer, NULL), 0);
    /* A limit on file sizes stands in for the full disk. */
    assert_int_equal(recording_writer_begin(writer, "the second snapshot"), 0);
    add_snapshot(writer, 1, 1, NULL);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){0, 0});
        struct mt_error error = {0};
        int code = recording_writer_commit(writer, &error);
        _exit(code < 0 && strstr(error.text, "the second snapshot") != NULL ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    recording_writer_abandon(writer);
    assert_int_equal(query(path, "SELECT count(*) FROM snapshot"), 1);
}

static int count_address(void *context, const struct recording_address *address,
                         const struct recording_module *module)
{
    assert_non_null(module);
    assert_true(address->id > 0);
    *(int *)context += 1;
    return 0;
}

static void unresolved_addresses_are_listed_until_symbols_are_stored(void **state)
{
    (void)state;
    const char *path = path_of("symbols.mtk");
    struct recording_writer *writer = create(path);
    assert_int_equal(recording_writer_begin(writer, "symbols"), 0);
    struct recording_module module = {.path = "/bin/x"};
    int64_t id = recording_writer_add_module(writer, &module);
    int64_t first = recording_writer_add_address(writer, id, 16);
    recording_writer_add_address(writer, id, 32);
    int count = 0;
    assert_int_equal(recording_writer_each_unresolved(writer, count_address, &count), 0);
    assert_int_equal(count, 2);
    struct recording_symbol chain[] = {
        {.function = "inner", .file = "/src/a.c", .line = 3, .is_inlined = true},
        {.function = "outer", .file = "/src/a.c", .line = 9}};
    assert_int_equal(recording_writer_put_symbols(writer, first, chain, 2), 0);
    count = 0;
    assert_int_equal(recording_writer_each_unresolved(writer, count_address, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(recording_writer_finish(writer, true, NULL), 0);
    assert_int_equal(query(path, "SELECT count(*) FROM file"), 1);
    assert_int_equal(query(path, "SELECT count(*) FROM symbol JOIN function ON function.id = "
                                 "symbol.function WHERE name IN ('inner', 'outer')"),
                     2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writer_leaves_one_file_marked_complete),
        cmocka_unit_test(writer_refuses_an_existing_file_unless_told),
        cmocka_unit_test(recording_written_at_once_appears_whole_or_not_at_all),
        cmocka_unit_test(writer_gives_equal_modules_and_addresses_one_id_across_append),
        cmocka_unit_test(removed_snapshot_leaves_the_states_of_the_others),
        cmocka_unit_test(thinning_keeps_ends_labels_and_the_recent_past),
        cmocka_unit_test(writer_killed_at_any_moment_keeps_what_was_committed),
        cmocka_unit_test(recording_without_its_log_is_still_known_for_one),
        cmocka_unit_test(full_disk_names_what_is_lost_and_keeps_the_rest),
        cmocka_unit_test(unresolved_addresses_are_listed_until_symbols_are_stored),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
