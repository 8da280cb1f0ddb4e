/*
 * memtrack/cmocka.h - makes a leak gate of every cmocka test.
 *
 *   #include <cmocka.h>
 *   #include <memtrack/cmocka.h>
 *
 * and cmocka_run_group_tests() fails each test whose blocks are still live after its
 * teardown, printing them with their stacks. With limits of its own:
 *
 *   memtrack_unit_test(parses, .peak_bytes = MEMTRACK_AT_MOST(64 * 1024),
 *                              .temporaries = MEMTRACK_AT_MOST(0)),
 *   memtrack_unit_test_setup_teardown(fills_cache, setup, teardown, .may_keep = true),
 *
 * What a test's setup allocates is counted with the test; what the group's setup allocates
 * is not. A test that fails or is skipped is not judged. See memtrack/gate.h for budgets,
 * for blocks that are meant to stay, and for runs without memtrack.
 *
 * The array of tests and the call that runs it may be in different files, as long as both
 * include this header. For C; cmocka 1.1 and later.
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

/* cmocka runs one test at a time. One for the whole program: tests of one file may be run
 * by another. */
struct memtrack_cmocka_run {
    struct memtrack_gate gate;
    const struct memtrack_cmocka_case *current;
    bool has_passed; /* the test returned: neither failed nor skipped */
    int (*group_setup)(void **state);
    int (*group_teardown)(void **state);
    void *group_state; /* what the group's setup left */
};
extern struct memtrack_cmocka_run memtrack_cmocka;
MEMTRACK_SHARED struct memtrack_cmocka_run memtrack_cmocka;

int memtrack_cmocka_setup(void **state);
void memtrack_cmocka_test(void **state);
int memtrack_cmocka_teardown(void **state);

/* The state is a test's case: cmocka hands on what the group's setup left in its place, so
 * that is kept from it (memtrack_cmocka_group_setup). */
MEMTRACK_SHARED int memtrack_cmocka_setup(void **state)
{
    const struct memtrack_cmocka_case *test = (const struct memtrack_cmocka_case *)*state;
    memtrack_cmocka.current = test;
    memtrack_cmocka.has_passed = false;
    *state = memtrack_cmocka.group_state != NULL ? memtrack_cmocka.group_state
                                                 : test->initial_state;
    memtrack_gate_begin(&memtrack_cmocka.gate, test->name, &test->budget);
    return test->setup == NULL ? 0 : test->setup(state);
}

static inline bool memtrack_cmocka_check(void)
{
    struct memtrack_gate *gate = &memtrack_cmocka.gate;
    if (memtrack_gate_end(gate)) {
        return true;
    }
    print_error("memtrack: %s: %s\n", gate->name, gate->message);
    return false;
}

/* Without a teardown the gate is the end of the test itself. */
MEMTRACK_SHARED void memtrack_cmocka_test(void **state)
{
    const struct memtrack_cmocka_case *test = memtrack_cmocka.current;
    test->function(state);
    if (test->teardown == NULL && !memtrack_cmocka_check()) {
        _fail(test->file, test->line);
    }
    memtrack_cmocka.has_passed = true;
}

MEMTRACK_SHARED int memtrack_cmocka_teardown(void **state)
{
    const struct memtrack_cmocka_case *test = memtrack_cmocka.current;
    if (test->teardown == NULL) {
        return 0;
    }
    int result = test->teardown(state);
    /* A test that failed has left cmocka's message, and what it could not release. */
    if (result != 0 || !memtrack_cmocka.has_passed || memtrack_cmocka_check()) {
        return result;
    }
    print_error("%s:%d: error: Failure!\n", test->file, test->line);
    return -1;
}

/* ---- groups --------------------------------------------------------------- */

static inline int memtrack_cmocka_group_setup(void **state)
{
    int result = memtrack_cmocka.group_setup(state);
    memtrack_cmocka.group_state = *state;
    *state = NULL;
    return result;
}

static inline int memtrack_cmocka_group_teardown(void **state)
{
    *state = memtrack_cmocka.group_state;
    return memtrack_cmocka.group_teardown(state);
}

/* Runs a group, with a gate also around tests that were not listed by the macros below. */
static inline int memtrack_cmocka_run_group(const char *name, const struct CMUnitTest *tests,
                                            size_t count, int (*setup)(void **state),
                                            int (*teardown)(void **state), const char *file,
                                            int line)
{
    struct CMUnitTest *gated = (struct CMUnitTest *)calloc(count + 1, sizeof *gated);
    struct memtrack_cmocka_case *cases =
        (struct memtrack_cmocka_case *)calloc(count + 1, sizeof *cases);
    if (gated == NULL || cases == NULL) {
        print_error("memtrack: %s: no memory for its gates\n", name);
        free(gated);
        free(cases);
        return (int)count;
    }
    for (size_t i = 0; i < count; i++) {
        const struct CMUnitTest *test = &tests[i];
        gated[i] = *test;
        if (test->setup_func != memtrack_cmocka_setup) {
            cases[i].name = test->name;
            cases[i].file = file;
            cases[i].line = line;
            cases[i].function = test->test_func;
            cases[i].setup = test->setup_func;
            cases[i].teardown = test->teardown_func;
            cases[i].initial_state = test->initial_state;
            gated[i].initial_state = &cases[i];
        }
        gated[i].setup_func = memtrack_cmocka_setup;
        gated[i].test_func = memtrack_cmocka_test;
        gated[i].teardown_func = memtrack_cmocka_teardown;
    }
    struct memtrack_cmocka_run outer = memtrack_cmocka; /* a test may run a group */
    memtrack_cmocka.group_setup = setup;
    memtrack_cmocka.group_teardown = teardown;
    memtrack_cmocka.group_state = NULL;
    int failed = _cmocka_run_group_tests(
        name, gated, count, setup == NULL ? NULL : memtrack_cmocka_group_setup,
        teardown == NULL ? NULL : memtrack_cmocka_group_teardown);
    memtrack_cmocka = outer;
    free(gated);
    free(cases);
    return failed;
}

/* Both of cmocka's macros that run a group end in this name. */
#undef _cmocka_run_group_tests
#define _cmocka_run_group_tests(name, tests, count, setup, teardown) \
    memtrack_cmocka_run_group(name, tests, count, setup, teardown, __FILE__, __LINE__)

/* ---- tests ---------------------------------------------------------------- */

#define MEMTRACK_CMOCKA_TEST(f, first, last, state, ...)                                   \
    {                                                                                      \
        #f, memtrack_cmocka_test, memtrack_cmocka_setup, memtrack_cmocka_teardown,         \
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
