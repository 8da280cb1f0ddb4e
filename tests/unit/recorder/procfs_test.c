/* Claims about recorder/procfs.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "recorder/procfs.h"

static void procfs_parses_a_stat_line_with_a_hostile_name(void **state)
{
    (void)state;
    struct procfs_stat stat;
    const char *line = "42 (evil) Z 1 (x) S 7 42 42 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 1 0 "
                       "123456 1000 50 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 "
                       "0 0 0 0 0 0 0 9\n";
    assert_true(procfs_parse_stat(line, &stat));
    assert_int_equal(stat.state, 'S');
    assert_int_equal(stat.user_ns, 1500000000);
    assert_int_equal(stat.system_ns, 250000000);
    assert_int_equal(stat.started_ns, UINT64_C(1234560000000));
    assert_int_equal(stat.wait_status, 9);
}

static void procfs_refuses_what_is_no_stat_line(void **state)
{
    (void)state;
    struct procfs_stat stat;
    static const char *const lines[] = {"", "42", "42 (", "42 (a)", "42 (a) ", "42 (a) S",
                                        "42 (a) S x y z", ")))"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_false(procfs_parse_stat(lines[i], &stat));
    }
}

static void procfs_reads_this_process(void **state)
{
    (void)state;
    struct procfs procfs;
    struct procfs_stat stat;
    uint64_t rss_bytes = 0;
    procfs_open(&procfs, getpid());
    assert_true(procfs_read_rss(&procfs, &rss_bytes));
    assert_in_range(rss_bytes, 100000, UINT64_C(1) << 36);
    assert_true(procfs_read_stat(&procfs, &stat));
    assert_int_equal(stat.state, 'R');
    assert_true(procfs_read_peak_rss(getpid()) >= rss_bytes / 2);
    procfs_close(&procfs);
    assert_false(procfs_read_rss(&procfs, &rss_bytes));
}

static void procfs_reads_another_process_and_the_latest_pid(void **state)
{
    (void)state;
    struct procfs_stat stat;
    assert_true(procfs_stat_process(getppid(), &stat));
    assert_false(procfs_stat_process(0, &stat));
    assert_true(procfs_latest_pid() > 0);
}

static void procfs_knows_a_memory_limit(void **state)
{
    (void)state;
    assert_true(procfs_memory_limit_bytes() > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(procfs_parses_a_stat_line_with_a_hostile_name),
        cmocka_unit_test(procfs_refuses_what_is_no_stat_line),
        cmocka_unit_test(procfs_reads_this_process),
        cmocka_unit_test(procfs_reads_another_process_and_the_latest_pid),
        cmocka_unit_test(procfs_knows_a_memory_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
