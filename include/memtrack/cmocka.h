/*
 * memtrack/cmocka.h - makes a leak gate of every cmocka test.
 *
 *   #include <cmocka.h>
 *   #include <memtrack/cmocka.h>
 *
 * and cmocka_unit_test() and its relatives fail a test whose blocks are still live after its
 * teardown, printing them with their stacks. With limits of its own:
 *
 *   memtrack_unit_test(parses, .peak_bytes = MEMTRACK_AT_MOST(64 * 1024),
 *                              .temporaries = MEMTRACK_AT_MOST(0)),
 *   memtrack_unit_test_setup_teardown(fills_cache, setup, teardown, .may_keep = true),
 *
 * What a test's setup allocates is counted with the test. See memtrack/gate.h for budgets,
 * for blocks that are meant to stay, and for runs without memtrack.
 */
#ifndef MEMTRACK_CMOCKA_H
#define MEMTRACK_CMOCKA_H

#include <memtrack/gate.h>

/* A test as the user wrote it, behind cmocka's initial_state. */
struct memtrack_cmocka_case {
    const char *name;
    const char *file; /* where it is listed */
    int line;
    void (*function)(void **state);
    int (*setup)(void **state);
    int (*teardown)(void **state);
    void *initial_state;
    struct memtrack_budget budget;
};

/* cmocka runs one test at a time. */
static struct memtrack_gate memtrack_cmocka_gate;
static const struct memtrack_cmocka_case *memtrack_cmocka_current;

static bool memtrack_cmocka_has_passed; /* the test returned: neither failed nor skipped */

static inline int memtrack_cmocka_setup(void **state)
{
    const struct memtrack_cmocka_case *test = (const struct memtrack_cmocka_case *)*state;
    memtrack_cmocka_current = test;
    memtrack_cmocka_has_passed = false;
    *state = test->initial_state;
    memtrack_gate_begin(&memtrack_cmocka_gate, test->name, &test->budget);
    return test->setup == NULL ? 0 : test->setup(state);
}

static inline bool memtrack_cmocka_check(void)
{
    if (memtrack_gate_end(&memtrack_cmocka_gate)) {
        return true;
    }
    print_error("memtrack: %s: %s\n", memtrack_cmocka_gate.name, memtrack_cmocka_gate.message);
    return false;
}

/* Without a teardown the gate is the end of the test itself. */
static inline void memtrack_cmocka_run(void **state)
{
    const struct memtrack_cmocka_case *test = memtrack_cmocka_current;
    test->function(state);
    if (test->teardown == NULL && !memtrack_cmocka_check()) {
        _fail(test->file, test->line);
    }
    memtrack_cmocka_has_passed = true;
}

static inline int memtrack_cmocka_teardown(void **state)
{
    const struct memtrack_cmocka_case *test = memtrack_cmocka_current;
    if (test->teardown == NULL) {
        return 0;
    }
    int result = test->teardown(state);
    /* A test that failed has left cmocka's message, and what it could not release. */
    return memtrack_cmocka_has_passed && !memtrack_cmocka_check() ? -1 : result;
}

#define MEMTRACK_CMOCKA_TEST(f, first, last, state, ...)                                   \
    {                                                                                      \
        #f, memtrack_cmocka_run, memtrack_cmocka_setup, memtrack_cmocka_teardown,          \
            (void *)&(struct memtrack_cmocka_case)                                         \
        {                                                                                  \
            .name = #f, .file = __FILE__, .line = __LINE__, .function = f, .setup = first, \
            .teardown = last, .initial_state = state, .budget = { __VA_ARGS__ }            \
        }                                                                                  \
    }

#define memtrack_unit_test(f, ...) MEMTRACK_CMOCKA_TEST(f, NULL, NULL, NULL, __VA_ARGS__)
#define memtrack_unit_test_setup_teardown(f, setup, teardown, ...) \
    MEMTRACK_CMOCKA_TEST(f, setup, teardown, NULL, __VA_ARGS__)

#undef cmocka_unit_test
#undef cmocka_unit_test_setup
#undef cmocka_unit_test_teardown
#undef cmocka_unit_test_setup_teardown
#undef cmocka_unit_test_prestate
#undef cmocka_unit_test_prestate_setup_teardown
#define cmocka_unit_test(f) MEMTRACK_CMOCKA_TEST(f, NULL, NULL, NULL, .may_keep = false)
#define cmocka_unit_test_setup(f, setup) \
    MEMTRACK_CMOCKA_TEST(f, setup, NULL, NULL, .may_keep = false)
#define cmocka_unit_test_teardown(f, teardown) \
    MEMTRACK_CMOCKA_TEST(f, NULL, teardown, NULL, .may_keep = false)
#define cmocka_unit_test_setup_teardown(f, setup, teardown) \
    MEMTRACK_CMOCKA_TEST(f, setup, teardown, NULL, .may_keep = false)
#define cmocka_unit_test_prestate(f, state) \
    MEMTRACK_CMOCKA_TEST(f, NULL, NULL, state, .may_keep = false)
#define cmocka_unit_test_prestate_setup_teardown(f, setup, teardown, state) \
    MEMTRACK_CMOCKA_TEST(f, setup, teardown, state, .may_keep = false)

#endif
