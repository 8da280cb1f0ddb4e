/* When a mark counts: only while the hook that set it is still on the stack. */
#include "core/cpu_mark.h"
#include "core/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uintptr_t here(void)
{
    return (uintptr_t)__builtin_frame_address(0);
}

static bool __attribute__((noinline)) covers_from_below(void)
{
    return cpu_mark_covers(here());
}

static void __attribute__((noinline)) jump_out_of_a_hook(jmp_buf back)
{
    CPU_MARK_ENTER();
    longjmp(back, 1);
}

static bool __attribute__((noinline)) covers_inside_a_hook(void)
{
    CPU_MARK_ENTER();
    return covers_from_below();
}

static void no_mark_covers_nothing(void **state)
{
    (void)state;
    cpu_mark.frame = 0;
    assert_false(cpu_mark_covers(here()));
    assert_false(cpu_mark_covers(0));
}

static void mark_covers_what_the_hook_calls(void **state)
{
    (void)state;
    assert_true(covers_inside_a_hook());
    cpu_mark.frame = 0;
}

static void mark_of_a_hook_left_by_longjmp_covers_nothing_above(void **state)
{
    (void)state;
    jmp_buf back;
    if (setjmp(back) == 0) {
        jump_out_of_a_hook(back);
    }
    assert_int_not_equal(cpu_mark.frame, 0);
    assert_false(cpu_mark_covers(here()));
    cpu_mark.frame = 0;
}

static void mark_does_not_cover_other_stacks(void **state)
{
    (void)state;
    static char other_stack[64];
    CPU_MARK_ENTER();
    assert_false(cpu_mark_covers((uintptr_t)other_stack));
    assert_false(cpu_mark_covers(cpu_mark.frame - CPU_MARK_DEPTH_MAX_BYTES));
    assert_true(cpu_mark_covers(cpu_mark.frame - CPU_MARK_DEPTH_MAX_BYTES + 1));
    cpu_mark.frame = 0;
}

static void leaving_takes_the_mark_off_and_keeps_no_sample(void **state)
{
    (void)state;
    CPU_MARK_ENTER();
    atomic_store(&cpu_mark.pending, 3);
    atomic_store(&cpu_mark.pending_system, 1);
    const struct capture_origin origin = {0};
    cpu_mark_leave(NULL, 0, &origin); /* no record: they are lost */
    assert_int_equal(cpu_mark.frame, 0);
    assert_int_equal(atomic_load(&cpu_mark.pending), 0);
    assert_int_equal(atomic_load(&cpu_mark.pending_system), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_mark_covers_nothing),
        cmocka_unit_test(mark_covers_what_the_hook_calls),
        cmocka_unit_test(mark_of_a_hook_left_by_longjmp_covers_nothing_above),
        cmocka_unit_test(mark_does_not_cover_other_stacks),
        cmocka_unit_test(leaving_takes_the_mark_off_and_keeps_no_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
