/* Claims about recorder/ledger.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "recorder/ledger.h"

static const char smaps[] =
    "55d0c0000000-55d0c0010000 r-xp 00000000 08:01 123 /usr/bin/program\n"
    "Size:                 64 kB\nRss:                  60 kB\nVmFlags: rd ex\n"
    "55d0c1000000-55d0c1100000 rw-p 00000000 00:00 0                          [heap]\n"
    "Rss:                 800 kB\n"
    "7f0000000000-7f0000001000 ---p 00000000 00:00 0 \n"
    "Rss:                   0 kB\n"
    "7f0000001000-7f0000801000 rw-p 00000000 00:00 0 \n"
    "Rss:                  40 kB\n"
    "7f0001000000-7f0002000000 rw-p 00000000 00:00 0 \n"
    "Rss:                 500 kB\n"
    "7f0010000000-7f4010000000 rw-s 00000000 00:01 77 /memfd:memtrack (deleted)\n"
    "Rss:                 300 kB\n"
    "7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0                          [stack]\n"
    "Rss:                  20 kB\n"
    "7ffe00100000-7ffe00102000 r-xp 00000000 00:00 0                          [vdso]\n"
    "Rss:                   8 kB\n";

static struct resident mappings_of(const char *text)
{
    struct resident mappings;
    char *copy = strdup(text);
    FILE *file = fmemopen(copy, strlen(copy), "r");
    assert_non_null(file);
    assert_int_equal(ledger_parse(file, &mappings), 0);
    fclose(file);
    free(copy);
    return mappings;
}

static void ledger_tells_heap_stacks_files_and_memtrack_apart(void **state)
{
    (void)state;
    struct resident mappings = mappings_of(smaps);
    assert_int_equal(mappings.rss_bytes, (60 + 800 + 40 + 500 + 300 + 20 + 8) * 1024);
    assert_int_equal(mappings.anonymous_bytes, (800 + 500) * 1024);
    assert_int_equal(mappings.stack_bytes, (40 + 20) * 1024);
    assert_int_equal(mappings.file_bytes, (60 + 8) * 1024);
    assert_int_equal(mappings.memtrack_bytes, 300 * 1024);
}

static int64_t sum_of(const struct ledger_input *input, const char *wanted, int64_t *found)
{
    struct ledger_item items[LEDGER_ITEMS];
    int64_t sum = 0;
    int count = ledger_make(input, items);
    assert_in_range(count, 1, LEDGER_ITEMS);
    for (int i = 0; i < count; i++) {
        sum += items[i].bytes;
        if (strcmp(items[i].name, wanted) == 0) {
            *found = items[i].bytes;
        }
    }
    return sum;
}

static void ledger_adds_up_to_the_resident_size(void **state)
{
    (void)state;
    struct ledger_input input = {.resident = mappings_of(smaps),
                                 .live_bytes = 600000,
                                 .own_bytes = 100000,
                                 .has_figures = true,
                                 .figures_allocated_bytes = 650000,
                                 .figures_active_bytes = 819200};
    int64_t found = -1;
    assert_int_equal(sum_of(&input, "rounding", &found), input.resident.rss_bytes);
    assert_int_equal(found, 50000);
    assert_int_equal(sum_of(&input, "allocator-free", &found), input.resident.rss_bytes);
    assert_int_equal(found, 169200);
    assert_int_equal(sum_of(&input, "own-mappings", &found), input.resident.rss_bytes);
    assert_int_equal(found, 1300 * 1024 - 100000 - 819200);
    assert_int_equal(sum_of(&input, "unexplained", &found), input.resident.rss_bytes);
    assert_int_equal(found, 0);
}

static void ledger_counts_an_allocators_unused_pages_as_free(void **state)
{
    (void)state;
    struct ledger_input input = {.resident = mappings_of(smaps),
                                 .live_bytes = 600000,
                                 .has_figures = true,
                                 .figures_allocated_bytes = 650000,
                                 .figures_active_bytes = 700000,
                                 .figures_resident_bytes = 900000};
    int64_t found = -1;
    assert_int_equal(sum_of(&input, "allocator-free", &found), input.resident.rss_bytes);
    assert_int_equal(found, 250000);
    /* What it believes to be resident and is not. */
    input.figures_resident_bytes = 50000000;
    assert_int_equal(sum_of(&input, "allocator-free", &found), input.resident.rss_bytes);
    assert_int_equal(found, 1300 * 1024 - 650000);
    assert_int_equal(sum_of(&input, "own-mappings", &found), input.resident.rss_bytes);
    assert_int_equal(found, 0);
    assert_int_equal(sum_of(&input, "unexplained", &found), input.resident.rss_bytes);
    assert_int_equal(found, 0);
}

static void ledger_reads_text_in_pieces_of_any_size(void **state)
{
    (void)state;
    struct resident whole = mappings_of(smaps);
    for (size_t piece = 1; piece < 70; piece++) {
        struct resident_parser parser;
        resident_begin(&parser);
        for (size_t at = 0; at < sizeof smaps - 1; at += piece) {
            size_t left = sizeof smaps - 1 - at;
            resident_feed(&parser, smaps + at, left < piece ? left : piece);
        }
        assert_memory_equal(&parser.resident, &whole, sizeof whole);
    }
}

static void ledger_shows_memory_never_touched_as_negative_rest(void **state)
{
    (void)state;
    struct ledger_input input = {.resident = mappings_of(smaps), .live_bytes = 50000000};
    int64_t found = 0;
    assert_int_equal(sum_of(&input, "unexplained", &found), input.resident.rss_bytes);
    assert_true(found < 0);
}

static void ledger_survives_nonsense(void **state)
{
    (void)state;
    struct resident mappings = mappings_of("Rss: 5 kB\nnonsense\n-\nRss: kB\n 1-2\n");
    assert_int_equal(mappings.rss_bytes, 5 * 1024);
    assert_int_equal(mappings_of("x").rss_bytes, 0);
}

static void ledger_reads_this_process(void **state)
{
    (void)state;
    struct resident mappings;
    assert_int_equal(ledger_read(getpid(), &mappings), 0);
    assert_true(mappings.rss_bytes > 100000);
    assert_true(mappings.stack_bytes > 0);
    assert_true(mappings.file_bytes > 0);
    assert_true(ledger_read(0x3fffffff, &mappings) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ledger_tells_heap_stacks_files_and_memtrack_apart),
        cmocka_unit_test(ledger_adds_up_to_the_resident_size),
        cmocka_unit_test(ledger_counts_an_allocators_unused_pages_as_free),
        cmocka_unit_test(ledger_reads_text_in_pieces_of_any_size),
        cmocka_unit_test(ledger_shows_memory_never_touched_as_negative_rest),
        cmocka_unit_test(ledger_survives_nonsense),
        cmocka_unit_test(ledger_reads_this_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
