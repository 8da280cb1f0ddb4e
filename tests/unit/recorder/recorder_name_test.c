/* Claims about recorder_expand_name(). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "recorder/recorder.h"

static void name_expands_pid_program_and_host(void **state)
{
    (void)state;
    char name[256];
    char host[128] = "";
    assert_int_equal(
        recorder_expand_name("memtrack.%e.%p.mtk", 42, "/usr/bin/ls", name, sizeof name, NULL), 0);
    assert_string_equal(name, "memtrack.ls.42.mtk");
    assert_int_equal(recorder_expand_name("100%%-%h", 1, "x", name, sizeof name, NULL), 0);
    gethostname(host, sizeof host - 1);
    assert_string_equal(name + 5, host);
    assert_int_equal(strncmp(name, "100%-", 5), 0);
}

static void name_refuses_unknown_fields_and_what_is_too_long(void **state)
{
    (void)state;
    char name[16];
    struct mt_error error = {0};
    assert_int_equal(recorder_expand_name("a%q", 1, "x", name, sizeof name, &error), -EINVAL);
    assert_int_equal(error.status, MT_STATUS_USAGE);
    assert_int_equal(recorder_expand_name("a%", 1, "x", name, sizeof name, NULL), -EINVAL);
    assert_int_equal(
        recorder_expand_name("0123456789012345", 1, "x", name, sizeof name, NULL), -ENAMETOOLONG);
    assert_int_equal(recorder_expand_name("012345678901234", 1, "x", name, sizeof name, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_expands_pid_program_and_host),
        cmocka_unit_test(name_refuses_unknown_fields_and_what_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
