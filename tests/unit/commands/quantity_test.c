/* Claims about commands/quantity.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "commands/quantity.h"

static void quantity_reads_sizes_in_powers_of_1024(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {{"0", 0},          {"512", 512},         {"512k", 524288},
                 {"512K", 524288},  {"64KB", 65536},      {"1.5M", 1572864},
                 {"2GiB", UINT64_C(2) << 30}, {"1 k", 1024}, {"3T", UINT64_C(3) << 40}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bytes = 1;
        struct mt_error error = {0};
        assert_int_equal(quantity_parse_bytes("--sample", cases[i].text, &bytes, &error), 0);
        assert_int_equal(bytes, cases[i].bytes);
        assert_int_equal(error.code, 0);
    }
}

static void quantity_reads_times_and_takes_bare_numbers_for_seconds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } cases[] = {{"500ms", 500000000},
                 {"10s", UINT64_C(10000000000)},
                 {"5m", UINT64_C(300000000000)},
                 {"2h", UINT64_C(7200000000000)},
                 {"1d", UINT64_C(86400000000000)},
                 {"1.5", 1500000000},
                 {"250us", 250000},
                 {"7ns", 7}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ns = 1;
        struct mt_error error = {0};
        assert_int_equal(quantity_parse_time("--snapshot-every", cases[i].text, &ns, &error), 0);
        assert_int_equal(ns, cases[i].ns);
    }
}

static void quantity_refuses_what_is_no_quantity_and_names_the_option(void **state)
{
    (void)state;
    static const char *const texts[] = {"",     "k",      "-1",   "+1",   "1x",    "1.2.3",
                                        "0x10", "1e3",    "inf",  "nan",  "99999999999999999T",
                                        "1kk",  "1,5",    ".",    " 1",
                                        "1234567890123456789012345678901234567890"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint64_t value = 0;
        struct mt_error error = {0};
        assert_true(quantity_parse_bytes("--sample", texts[i], &value, &error) < 0);
        assert_int_equal(error.status, MT_STATUS_USAGE);
        assert_non_null(strstr(error.text, "--sample"));
        error = (struct mt_error){0};
        assert_true(quantity_parse_time("--every", texts[i], &value, &error) < 0);
        assert_int_equal(error.status, MT_STATUS_USAGE);
    }
}

static void quantity_holds_numbers_to_their_range(void **state)
{
    (void)state;
    uint64_t number = 0;
    assert_int_equal(quantity_parse_number("--depth", "128", 1, 1024, &number, NULL), 0);
    assert_int_equal(number, 128);
    static const char *const texts[] = {"0", "1025", "", "12a", "-1", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct mt_error error = {0};
        assert_true(quantity_parse_number("--depth", texts[i], 1, 1024, &number, &error) < 0);
        assert_int_equal(error.status, MT_STATUS_USAGE);
    }
    assert_int_equal(number, 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantity_reads_sizes_in_powers_of_1024),
        cmocka_unit_test(quantity_reads_times_and_takes_bare_numbers_for_seconds),
        cmocka_unit_test(quantity_refuses_what_is_no_quantity_and_names_the_option),
        cmocka_unit_test(quantity_holds_numbers_to_their_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
