/* What packed rows promise: SQLite's own JSON is the oracle for what is written, and no text
 * whatever misleads the cursor. */
#include "recording/packed.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct packed_shape dense = {.columns = 2, .rows_log2 = 6, .is_dense = true};
static const struct packed_shape sparse = {.columns = 5, .rows_log2 = 8};

static struct packed_chunk chunk;
static char text[PACKED_TEXT_BYTES + 1];

static size_t encode(const struct packed_shape *shape)
{
    size_t bytes = packed_encode(&chunk, shape, text);
    assert_true(bytes <= PACKED_TEXT_BYTES);
    text[bytes] = '\0';
    return bytes;
}

/* Walks a text that was copied to its exact size, so that a sanitizer sees what is read
 * beyond it. Returns how many rows there were. */
static size_t walk(const char *from, size_t bytes, const struct packed_shape *shape,
                   bool *is_damaged)
{
    char *copy = malloc(bytes + 1);
    assert_non_null(copy);
    memcpy(copy, from, bytes);
    copy[bytes] = '\0';
    struct packed_cursor cursor;
    packed_cursor_init(&cursor, copy, bytes, shape);
    size_t rows = 0;
    int64_t last = -1;
    while (packed_cursor_next(&cursor)) {
        assert_true((int64_t)cursor.row > last);
        assert_true(cursor.row >> shape->rows_log2 == 0);
        last = cursor.row;
        rows++;
    }
    *is_damaged = cursor.is_damaged;
    assert_false(packed_cursor_next(&cursor)); /* the end stays the end */
    free(copy);
    return rows;
}

static void put(uint32_t row, int64_t first, int64_t second)
{
    chunk.is_there[row] = true;
    chunk.values[row][0] = first;
    chunk.values[row][1] = second;
}

static void texts_are_as_documented(void **state)
{
    (void)state;
    memset(&chunk, 0, sizeof(chunk));
    encode(&dense);
    assert_string_equal(text, "[]");
    put(1, 0, 5);
    put(2, 1, 0);
    put(4, 0, 0);
    encode(&dense);
    assert_string_equal(text, "[0,[0,5],[1],0,[]]");
    encode(&sparse);
    assert_string_equal(text, "[[1,0,5],[2,1],[4]]");
    put(255, INT64_MIN, INT64_MAX);
    encode(&sparse);
    assert_string_equal(text, "[[1,0,5],[2,1],[4],[255,-9223372036854775808,9223372036854775807]]");
}

/* Small and fast: a fixed sequence, so that a failure can be repeated. */
static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 11;
}

static void fill_by_chance(uint64_t *random, const struct packed_shape *shape)
{
    memset(&chunk, 0, sizeof(chunk));
    for (uint32_t row = 0; row >> shape->rows_log2 == 0; row++) {
        chunk.is_there[row] = next_random(random) % 3 != 0;
        for (size_t i = 0; i < shape->columns && chunk.is_there[row]; i++) {
            uint64_t value = next_random(random) << 11 ^ next_random(random);
            value >>= next_random(random) % 64;
            chunk.values[row][i] = next_random(random) % 4 == 0 ? 0 : (int64_t)value;
        }
    }
}

static void what_was_written_is_read_again(void **state)
{
    (void)state;
    uint64_t random = 4;
    for (int round = 0; round < 200; round++) {
        const struct packed_shape *shape = round % 2 ? &dense : &sparse;
        fill_by_chance(&random, shape);
        struct packed_cursor cursor;
        packed_cursor_init(&cursor, text, encode(shape), shape);
        for (uint32_t row = 0; row >> shape->rows_log2 == 0; row++) {
            if (!chunk.is_there[row]) {
                continue;
            }
            assert_true(packed_cursor_next(&cursor));
            assert_int_equal(cursor.row, row);
            assert_memory_equal(cursor.values, chunk.values[row],
                                shape->columns * sizeof(cursor.values[0]));
        }
        assert_false(packed_cursor_next(&cursor));
        assert_false(cursor.is_damaged);
    }
}

/* The oracle: SQLite's sum over what json_each() finds. */
static void sqlite_reads_the_same_numbers(void **state)
{
    (void)state;
    uint64_t random = 8;
    sqlite3 *database = NULL;
    sqlite3_stmt *sum = NULL;
    assert_int_equal(sqlite3_open(":memory:", &database), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database,
                                        "SELECT count(*), sum(((r.value ->> 0) + 1) * "
                                        "(coalesce(r.value ->> 4, 0) % 1000003)) "
                                        "FROM json_each(?) r",
                                        -1, &sum, NULL),
                     SQLITE_OK);
    for (int round = 0; round < 50; round++) {
        fill_by_chance(&random, &sparse);
        size_t bytes = encode(&sparse);
        int64_t expected = 0;
        int64_t rows = 0;
        for (uint32_t row = 0; row < PACKED_ROWS_MAX; row++) {
            rows += chunk.is_there[row];
            expected += chunk.is_there[row] ? (row + 1) * (chunk.values[row][3] % 1000003) : 0;
        }
        sqlite3_bind_text(sum, 1, text, (int)bytes, SQLITE_STATIC);
        assert_int_equal(sqlite3_step(sum), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int64(sum, 0), rows);
        assert_int_equal(sqlite3_column_int64(sum, 1), expected);
        sqlite3_reset(sum);
    }
    sqlite3_finalize(sum);
    sqlite3_close(database);
}

static void damage_ends_the_walk_behind_the_good_rows(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t rows;
        bool is_dense;
    } cases[] = {
        {"", 0, false},
        {"[", 0, false},
        {"]", 0, false},
        {"null", 0, false},
        {"[]]", 0, false},
        {"[] ", 0, false},
        {"[,]", 0, false},
        {"[[]]", 0, false},                          /* sparse, and no id */
        {"[[1,2],]", 1, false},
        {"[[1,2][2,3]]", 1, false},
        {"[[1,2],[2,3]", 2, false},                  /* cut */
        {"[[1,2],[2,3", 1, false},
        {"[[1,2],[2,", 1, false},
        {"[[1,2],[1,3]]", 1, false},                 /* the same id twice */
        {"[[2,2],[1,3]]", 1, false},                 /* backwards */
        {"[[1,2],[256,3]]", 1, false},               /* beyond the chunk */
        {"[[1,2],[-1,3]]", 1, false},
        {"[[1,2],[2,3,4,5,6,7,8]]", 1, false},       /* more columns than there are */
        {"[[1,2],[2,9223372036854775808]]", 1, false},
        {"[[1,2],[2,-9223372036854775809]]", 1, false},
        {"[[1,2],[2,99999999999999999999999999]]", 1, false},
        {"[[1,2],[2,-]]", 1, false},
        {"[[1,2],[2,-0]]", 1, false},
        {"[[1,2],[2,03]]", 1, false},
        {"[[1,2],[2,1.5]]", 1, false},
        {"[[1,2],[2,1e9]]", 1, false},
        {"[[1,2],[2,null]]", 1, false},
        {"[[1,2],[2,\"3\"]]", 1, false},
        {"[[1,2],[2,[3]]]", 1, false},
        {"[[1,2],0]", 1, false},                     /* holes are for dense ones */
        {"[[1,2],[2 ,3]]", 1, false},
        {"[[1,2],1]", 1, true},
        {"[[1,2],0,[,1]]", 1, true},
        {"[[1,2],[1,2,3]]", 1, true},
        {"[[1,2],{}]", 1, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool is_damaged = false;
        size_t rows = walk(cases[i].text, strlen(cases[i].text),
                           cases[i].is_dense ? &dense : &sparse, &is_damaged);
        if (rows != cases[i].rows || !is_damaged) {
            fail_msg("%s: %zu rows, damaged %d", cases[i].text, rows, is_damaged);
        }
    }
    bool is_damaged = false;
    assert_int_equal(walk("[[1,2],[2\0,3]]", 14, &sparse, &is_damaged), 1);
    assert_true(is_damaged);
}

static void chunk_has_no_more_rows_than_it_can(void **state)
{
    (void)state;
    char *at = text;
    *at++ = '[';
    for (int i = 0; i < 64; i++) {
        at = stpcpy(at, i > 0 ? ",[1]" : "[1]");
    }
    bool is_damaged = true;
    strcpy(at, "]");
    assert_int_equal(walk(text, strlen(text), &dense, &is_damaged), 64);
    assert_false(is_damaged);
    strcpy(at, ",[1]]");
    assert_int_equal(walk(text, strlen(text), &dense, &is_damaged), 64);
    assert_true(is_damaged);
    strcpy(at, ",0]");
    assert_int_equal(walk(text, strlen(text), &dense, &is_damaged), 64);
    assert_true(is_damaged);
}

/* Any text at all: cut anywhere, with anything put anywhere. */
static void no_text_misleads_the_cursor(void **state)
{
    (void)state;
    static const char letters[] = "0123456789-,[]{}.e \"n";
    uint64_t random = 20261120;
    size_t damaged = 0;
    for (int round = 0; round < 20000; round++) {
        const struct packed_shape *shape = round % 2 ? &dense : &sparse;
        if (round % 100 < 2) {
            fill_by_chance(&random, shape);
            for (uint32_t row = 12; row < PACKED_ROWS_MAX; row++) {
                chunk.is_there[row] = false;
            }
        }
        size_t bytes = encode(shape);
        for (uint64_t flips = next_random(&random) % 4; flips > 0; flips--) {
            text[next_random(&random) % bytes] =
                next_random(&random) % 2
                    ? letters[next_random(&random) % (sizeof(letters) - 1)]
                    : (char)next_random(&random);
        }
        if (next_random(&random) % 3 == 0) {
            bytes = next_random(&random) % (bytes + 1);
        }
        bool is_damaged = false;
        walk(text, bytes, shape, &is_damaged);
        damaged += is_damaged;
    }
    assert_true(damaged > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_as_documented),
        cmocka_unit_test(what_was_written_is_read_again),
        cmocka_unit_test(sqlite_reads_the_same_numbers),
        cmocka_unit_test(damage_ends_the_walk_behind_the_good_rows),
        cmocka_unit_test(chunk_has_no_more_rows_than_it_can),
        cmocka_unit_test(no_text_misleads_the_cursor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
