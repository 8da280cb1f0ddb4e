/*
 * in_cmocka.c - gates in cmocka, by its own macros.
 *
 * Truth
 *   passes: is_clean, keeps_on_purpose, is_excused, is_excused_whole, holds_budget,
 *     leaves_to_teardown, repeats_cleanly, keeps_what_is_reachable, runs_threads, has_the_group,
 *     is_skipped, passes inside
 *   fails under memtrack: leaks, exceeds_peak, exceeds_allocations, makes_temporaries,
 *     grows_with_repetition, loses, leaks_in_a_thread, exceeds_around_others, is_listed_by_hand,
 *     leaks_after_teardown
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

static void is_excused_whole(void **state)
{
    (void)state;
    MEMTRACK_EXCUSED
    {
        void **blocks = malloc(100 * sizeof *blocks);
        for (int i = 0; i < 100; i++) {
            blocks[i] = malloc(10);
        }
        kept = blocks;
    }
}

static void *volatile reachable;

static void keeps_what_is_reachable(void **state)
{
    (void)state;
    reachable = malloc(66);
}

static void lose(void)
{
    kept = malloc(78);
    kept = NULL;
}

static void loses(void **state)
{
    volatile char rest[8192];
    (void)state;
    lose();
    memset((void *)rest, 0, sizeof rest);
}

static void *allocate_here(void *argument)
{
    is_clean(argument);
    return NULL;
}

static void *leak_here(void *argument)
{
    leaks(argument);
    return NULL;
}

static void run_threads(void *(*function)(void *argument))
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, function, NULL);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void runs_threads(void **state)
{
    (void)state;
    run_threads(allocate_here); /* the C library keeps what it made for them */
}

static void leaks_in_a_thread(void **state)
{
    (void)state;
    run_threads(leak_here);
}

/* The largest block is released before the inner gates mark moments of their own. */
static void exceeds_around_others(void **state)
{
    const struct memtrack_budget budget = {.peak_bytes = MEMTRACK_AT_MOST(256)};
    struct memtrack_gate inner;
    void *volatile block = malloc(512);
    free(block);
    for (int i = 0; i < 100; i++) {
        memtrack_gate_begin(&inner, "inner", &budget);
        is_clean(state);
        assert_true(memtrack_gate_end(&inner));
    }
}

static void has_the_group(void **state)
{
    assert_string_equal(*state, "the group");
}

static void is_listed_by_hand(void **state)
{
    has_the_group(state);
    kept = malloc(45);
}

static void is_skipped(void **state)
{
    (void)state;
    kept = malloc(46);
    skip();
}

static void leaks_after_teardown(void **state)
{
    *state = malloc(44);
    kept = malloc(47);
}

static int set_group_up(void **state)
{
    char *name = malloc(10);
    assert_non_null(name);
    *state = memcpy(name, "the group", 10);
    return 0;
}

static int tear_group_down(void **state)
{
    assert_string_equal(*state, "the group");
    free(*state);
    return 0;
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
        cmocka_unit_test(is_excused_whole),
        memtrack_unit_test(keeps_what_is_reachable, .may_keep_reachable = true),
        memtrack_unit_test(loses, .may_keep_reachable = true),
        cmocka_unit_test(runs_threads),
        cmocka_unit_test(leaks_in_a_thread),
        memtrack_unit_test(exceeds_around_others, .peak_bytes = MEMTRACK_AT_MOST(256)),
        cmocka_unit_test(has_the_group),
        {"is_listed_by_hand", is_listed_by_hand, NULL, NULL, NULL},
        {"passes inside", has_the_group, NULL, NULL, NULL},
        cmocka_unit_test(is_skipped),
        cmocka_unit_test_teardown(leaks_after_teardown, release_state),
    };
    return cmocka_run_group_tests(tests, set_group_up, tear_group_down);
}
