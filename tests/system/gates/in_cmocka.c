/*
 * in_cmocka.c - gates in cmocka, by its own macros.
 *
 * Truth
 *   passes: is_clean, keeps_on_purpose, is_excused, holds_budget, leaves_to_teardown, repeats_cleanly
 *   fails under memtrack: leaks, exceeds_peak, exceeds_allocations, makes_temporaries,
 *     grows_with_repetition
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <memtrack/cmocka.h>

static void *volatile kept;
static void *volatile chain;

static void is_clean(void **state)
{
    (void)state;
    void *volatile block = malloc(100);
    free(block);
}

static void leaks(void **state)
{
    (void)state;
    kept = malloc(77);
}

static void keeps_on_purpose(void **state)
{
    (void)state;
    kept = malloc(55);
}

static void is_excused(void **state)
{
    (void)state;
    kept = malloc(33);
    memtrack_ignore(kept);
}

static void holds_budget(void **state)
{
    is_clean(state);
}

static void exceeds_peak(void **state)
{
    (void)state;
    void *volatile block = malloc(512);
    free(block);
}

static void exceeds_allocations(void **state)
{
    is_clean(state);
    is_clean(state);
}

static void makes_temporaries(void **state)
{
    is_clean(state);
}

static void leaves_to_teardown(void **state)
{
    *state = malloc(44);
}

static int release_state(void **state)
{
    free(*state);
    return 0;
}

static void grow(void *argument)
{
    (void)argument;
    void **block = malloc(64);
    block[0] = chain; /* reachable, and a leak all the same */
    chain = block;
}

static void keep_one(void *argument)
{
    (void)argument;
    if (kept == NULL) {
        kept = malloc(4096);
        memtrack_ignore(kept);
    }
}

static void repeats_cleanly(void **state)
{
    (void)state;
    kept = NULL;
    assert_int_equal(memtrack_repeat("keep_one", keep_one, NULL, 20), 0);
}

static void grows_with_repetition(void **state)
{
    (void)state;
    assert_int_equal(memtrack_repeat("grow", grow, NULL, 20), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_clean),
        cmocka_unit_test(leaks),
        memtrack_unit_test(keeps_on_purpose, .may_keep = true),
        cmocka_unit_test(is_excused),
        memtrack_unit_test(holds_budget, .peak_bytes = MEMTRACK_AT_MOST(100),
                           .allocations = MEMTRACK_AT_MOST(1)),
        memtrack_unit_test(exceeds_peak, .peak_bytes = MEMTRACK_AT_MOST(256)),
        memtrack_unit_test(exceeds_allocations, .allocations = MEMTRACK_AT_MOST(1)),
        memtrack_unit_test(makes_temporaries, .temporaries = MEMTRACK_AT_MOST(0)),
        cmocka_unit_test_teardown(leaves_to_teardown, release_state),
        cmocka_unit_test(repeats_cleanly),
        memtrack_unit_test(grows_with_repetition, .may_keep = true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
