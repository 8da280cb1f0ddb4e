/* Claims about recorder/launch.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "recorder/launch.h"

static char variable_home[] = "HOME=/h";
static char variable_preload[] = "LD_PRELOAD=/a.so /shim.so:/b.so";
static char variable_arena[] = "MEMTRACK_ARENA=1:2:3";
static char variable_last[] = "Z=1";

static void launch_environment_adds_ours_and_keeps_order_and_the_rest(void **state)
{
    (void)state;
    char *base[] = {variable_home, variable_preload, variable_arena, variable_last, NULL};
    char **environment = launch_environment(base, "/shim.so", NULL, "9:8:7");
    assert_string_equal(environment[0], "HOME=/h");
    assert_string_equal(environment[1], "LD_PRELOAD=/shim.so:/a.so:/b.so");
    assert_string_equal(environment[2], "Z=1");
    assert_string_equal(environment[3], "MEMTRACK_ARENA=9:8:7");
    assert_null(environment[4]);
    free(environment);
}

static void launch_environment_puts_the_allocator_behind_the_shim(void **state)
{
    (void)state;
    char *base[] = {variable_home, NULL};
    char **environment = launch_environment(base, "/shim.so", "/je.so", "9");
    assert_string_equal(environment[0], "HOME=/h");
    assert_string_equal(environment[1], "LD_PRELOAD=/shim.so:/je.so");
    assert_string_equal(environment[2], "MEMTRACK_ARENA=9");
    assert_null(environment[3]);
    free(environment);
    char *empty[] = {NULL};
    environment = launch_environment(empty, "/shim.so", NULL, "9");
    assert_string_equal(environment[0], "LD_PRELOAD=/shim.so");
    assert_null(environment[2]);
    free(environment);
}

static struct launch_origin origin_now(void)
{
    struct launch_origin origin;
    launch_become_recorder(&origin);
    return origin;
}

static void launched_program_waits_for_its_go_and_gives_its_status(void **state)
{
    (void)state;
    struct launch_origin origin = origin_now();
    struct executable program;
    struct launch launch;
    struct mt_error error = {0};
    static char shell[] = "sh", option[] = "-c", command[] = "exit 9";
    char *arguments[] = {shell, option, command, NULL};
    char *environment[] = {NULL};
    assert_int_equal(executable_find("sh", NULL, &program, &error), 0);
    assert_int_equal(launch_fork(&origin, &program, arguments, environment, &launch, &error), 0);
    assert_int_equal(waitpid(launch.pid, NULL, WNOHANG), 0);
    assert_int_equal(launch_go(&launch, "sh", &error), 0);
    int status = 0;
    assert_int_equal(waitpid(launch.pid, &status, 0), launch.pid);
    assert_int_equal(WEXITSTATUS(status), 9);
    launch_restore_mask(&origin);
}

static void cancelled_launch_never_runs(void **state)
{
    (void)state;
    struct launch_origin origin = origin_now();
    struct executable program;
    struct launch launch;
    static char name[] = "true";
    char *arguments[] = {name, NULL};
    char *environment[] = {NULL};
    assert_int_equal(executable_find("true", NULL, &program, NULL), 0);
    assert_int_equal(launch_fork(&origin, &program, arguments, environment, &launch, NULL), 0);
    launch_cancel(&launch);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* reaped */
    launch_restore_mask(&origin);
}

static void failed_exec_is_told_with_its_reason(void **state)
{
    (void)state;
    struct launch_origin origin = origin_now();
    struct executable program = {.path = "/no/such/program"};
    struct launch launch;
    struct mt_error error = {0};
    static char name[] = "gone";
    char *arguments[] = {name, NULL};
    char *environment[] = {NULL};
    assert_int_equal(launch_fork(&origin, &program, arguments, environment, &launch, &error), 0);
    assert_int_not_equal(launch_go(&launch, "gone", &error), 0);
    assert_int_equal(error.status, MT_STATUS_NOT_FOUND);
    assert_non_null(strstr(error.text, "gone"));
    launch_restore_mask(&origin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launch_environment_adds_ours_and_keeps_order_and_the_rest),
        cmocka_unit_test(launch_environment_puts_the_allocator_behind_the_shim),
        cmocka_unit_test(launched_program_waits_for_its_go_and_gives_its_status),
        cmocka_unit_test(cancelled_launch_never_runs),
        cmocka_unit_test(failed_exec_is_told_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
