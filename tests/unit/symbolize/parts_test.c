/* The symbolizer's parts: interval map, string pool, demangler, source lines. */
#include "symbolize/demangle.h"
#include "symbolize/interval_map.h"
#include "symbolize/string_pool.h"
#include "symbolize/symbolizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void interval_map_finds_innermost_of_nested_ranges(void **state)
{
    (void)state;
    struct interval intervals[] = {
        {.low = 0x100, .high = 0x200, .value = 0, .depth = 0},
        {.low = 0x120, .high = 0x160, .value = 1, .depth = 1},
        {.low = 0x130, .high = 0x140, .value = 2, .depth = 2},
        {.low = 0x140, .high = 0x150, .value = 3, .depth = 2},
        {.low = 0x180, .high = 0x200, .value = 4, .depth = 1},
        {.low = 0x300, .high = 0x310, .value = 5, .depth = 0},
        {.low = 0x305, .high = 0x305, .value = 6, .depth = 1},
    };
    struct interval_map map;
    assert_int_equal(interval_map_init(&map, intervals, 7), 0);
    const struct {
        uint64_t address;
        uint32_t value;
    } expected[] = {{0x0ff, INTERVAL_MAP_NONE}, {0x100, 0}, {0x11f, 0}, {0x120, 1},
                    {0x12f, 1},                 {0x130, 2}, {0x13f, 2}, {0x140, 3},
                    {0x14f, 3},                 {0x150, 1}, {0x15f, 1}, {0x160, 0},
                    {0x17f, 0},                 {0x180, 4}, {0x1ff, 4}, {0x200, INTERVAL_MAP_NONE},
                    {0x2ff, INTERVAL_MAP_NONE}, {0x300, 5}, {0x305, 5}, {0x310, INTERVAL_MAP_NONE}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_int_equal(interval_map_find(&map, expected[i].address), expected[i].value);
    }
    interval_map_deinit(&map);
}

/* Against a plain search: the smallest range that contains the address, of random trees. */
static void interval_map_agrees_with_plain_search(void **state)
{
    (void)state;
    srand(7);
    for (unsigned round = 0; round < 200; round++) {
        struct interval intervals[40];
        struct interval copy[40];
        size_t count = 1;
        intervals[0] = (struct interval){.low = 10, .high = 10 + 500, .value = 0, .depth = 0};
        while (count < 40) {
            const struct interval *parent = &intervals[(size_t)rand() % count];
            uint64_t size = parent->high - parent->low;
            struct interval child = {.value = (uint32_t)count, .depth = parent->depth + 1};
            child.low = parent->low + (uint64_t)rand() % size;
            child.high = child.low + 1 + (uint64_t)rand() % (parent->high - child.low);
            bool overlaps = false;
            for (size_t i = 0; i < count; i++) {
                const struct interval *other = &intervals[i];
                bool is_apart = child.high <= other->low || other->high <= child.low;
                bool is_inside = other->depth < child.depth && other->low <= child.low
                                 && child.high <= other->high;
                overlaps = overlaps || (!is_apart && !is_inside);
            }
            if (overlaps) {
                if (rand() % 50 == 0) {
                    break;
                }
                continue;
            }
            intervals[count++] = child;
        }
        memcpy(copy, intervals, sizeof(copy));
        struct interval_map map;
        assert_int_equal(interval_map_init(&map, copy, count), 0);
        for (uint64_t address = 0; address < 600; address++) {
            const struct interval *best = NULL;
            for (size_t i = 0; i < count; i++) {
                const struct interval *at = &intervals[i];
                if (address >= at->low && address < at->high
                    && (best == NULL || at->depth > best->depth)) {
                    best = at;
                }
            }
            assert_int_equal(interval_map_find(&map, address),
                             best == NULL ? INTERVAL_MAP_NONE : best->value);
        }
        interval_map_deinit(&map);
    }
}

static void interval_map_keeps_both_ends_of_overlapping_ranges(void **state)
{
    (void)state;
    struct interval intervals[] = {{.low = 0, .high = 100, .value = 1},
                                   {.low = 50, .high = 200, .value = 2},
                                   {.low = 50, .high = 200, .value = 3}};
    struct interval_map map;
    assert_int_equal(interval_map_init(&map, intervals, 3), 0);
    assert_int_equal(interval_map_find(&map, 49), 1);
    assert_int_equal(interval_map_find(&map, 50), 2);
    assert_int_equal(interval_map_find(&map, 150), 2);
    assert_int_equal(interval_map_find(&map, 200), INTERVAL_MAP_NONE);
    interval_map_deinit(&map);
    assert_int_equal(interval_map_init(&map, NULL, 0), 0);
    assert_int_equal(interval_map_find(&map, 0), INTERVAL_MAP_NONE);
}

static void string_pool_returns_same_address_for_equal_text(void **state)
{
    (void)state;
    struct string_pool pool;
    assert_int_equal(string_pool_init(&pool), 0);
    char text[32];
    const char *first[5000];
    for (int i = 0; i < 5000; i++) {
        int length = snprintf(text, sizeof(text), "name_%d", i);
        first[i] = string_pool_intern(&pool, text, (size_t)length);
        assert_string_equal(first[i], text);
    }
    for (int i = 0; i < 5000; i++) {
        int length = snprintf(text, sizeof(text), "name_%d", i);
        assert_ptr_equal(string_pool_intern(&pool, text, (size_t)length), first[i]);
    }
    assert_ptr_equal(string_pool_intern(&pool, "name_7 and more", 6), first[7]);
    assert_string_equal(string_pool_intern(&pool, "", 0), "");
    string_pool_deinit(&pool);
}

static void paths_lose_dots_and_doubled_slashes(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/a/b/c.c", "/a/b/c.c"},     {"/a/./b//c.c", "/a/b/c.c"}, {"/a/b/../c.c", "/a/c.c"},
        {"/a/../../c.c", "/c.c"},     {"../../x/c.c", "../../x/c.c"}, {"./c.c", "c.c"},
        {"a/../../b/./c", "../b/c"},  {"/..", "/"},                {"/a/b/..", "/a"},
        {"/a/.hidden/c", "/a/.hidden/c"}, {"/a/..b/c", "/a/..b/c"}, {"../a/../../b", "../../b"},
        {"//a", "/a"},                {"a/..", ""},
    };
    struct string_pool pool;
    assert_int_equal(string_pool_init(&pool), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *path = string_pool_intern(&pool, cases[i][0], strlen(cases[i][0]));
        assert_string_equal(string_pool_normalized_path(&pool, path), cases[i][1]);
        assert_ptr_equal(string_pool_normalized_path(&pool, path),
                         string_pool_normalized_path(&pool, path));
    }
    string_pool_deinit(&pool);
}

static void names_are_demangled_or_left_alone(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"_ZN2ns1fEi", "ns::f(int)"},
        {"_ZNSt6vectorIiSaIiEE9push_backEOi", "std::vector<int, std::allocator<int> >::push_back(int&&)"},
        {"_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad::h0123456789abcdef"},
        {"_RNvC6_123foo3bar", "123foo::bar"},
        {"main", NULL},
        {"_Znonsense", NULL},
        {"", NULL},
        {"_", NULL},
        {"_Z", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = demangle_name(cases[i][0]);
        if (cases[i][1] == NULL) {
            assert_null(text);
        } else {
            assert_non_null(text);
            assert_string_equal(text, cases[i][1]);
        }
        free(text);
    }
}

/* Each pair doubles the text: unbounded, this would print 2^200 names. */
static void demangling_gives_up_on_exponential_names(void **state)
{
    (void)state;
    char name[1200] = "_Z1fSt4pairIiiE";
    for (int i = 0; i < 200; i++) {
        char more[32];
        const char *digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        int number = i;
        char base36[3] = {digits[number / 36], digits[number % 36], 0};
        snprintf(more, sizeof(more), "S_IS%s_S%s_E", i == 0 ? "" : base36, i == 0 ? "" : base36);
        if (strlen(name) + strlen(more) < sizeof(name)) {
            strcat(name, more);
        }
    }
    char *text = demangle_name(name);
    if (text != NULL) {
        assert_true(strlen(text) <= DEMANGLE_TEXT_MAX_BYTES);
    }
    free(text);

    /* Deep nesting, the second past the length that is tried at all. */
    for (size_t length = 3000; length < 20000; length += 14000) {
        char *deep = calloc(1, length + 8);
        assert_non_null(deep);
        memcpy(deep, "_Z1f", 4);
        memset(deep + 4, 'P', length);
        deep[length + 4] = 'i';
        text = demangle_name(deep);
        if (length > 4096) {
            assert_null(text);
        }
        free(text);
        free(deep);
    }
}

static void source_lines_are_read_and_bounded(void **state)
{
    (void)state;
    char folder[] = "/tmp/symbolize_test_XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[64];
    snprintf(path, sizeof(path), "%s/a.c", folder);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs("first\n\r\n  third\t\xff\r\n", out);
    for (int i = 0; i < 2000; i++) {
        fputc('x', out);
    }
    fputs("\nlast", out);
    fclose(out);
    const struct symbolizer_source_root roots[] = {{.from = "/moved/away/", .to = folder}};
    const struct symbolizer_options options = {.source_roots = roots, .source_root_count = 1};
    struct symbolizer *symbolizer;
    assert_int_equal(symbolizer_new(&options, &symbolizer), 0);
    assert_string_equal(symbolizer_source_line(symbolizer, path, 1), "first");
    assert_string_equal(symbolizer_source_line(symbolizer, path, 2), "");
    assert_string_equal(symbolizer_source_line(symbolizer, path, 3), "  third\t\xff");
    assert_int_equal(strlen(symbolizer_source_line(symbolizer, path, 4)), 512);
    assert_string_equal(symbolizer_source_line(symbolizer, path, 5), "last");
    assert_null(symbolizer_source_line(symbolizer, path, 6));
    assert_null(symbolizer_source_line(symbolizer, path, 0));
    assert_null(symbolizer_source_line(symbolizer, folder, 1));
    assert_null(symbolizer_source_line(symbolizer, "/no/such/file", 1));
    assert_null(symbolizer_source_line(symbolizer, "/dev/zero", 1));
    assert_null(symbolizer_source_line(symbolizer, "relative.c", 1));
    assert_string_equal(symbolizer_source_line(symbolizer, "/moved/away/a.c", 1), "first");
    assert_null(symbolizer_source_line(symbolizer, "/moved/awayyy/a.c", 1));
    symbolizer_free(symbolizer);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interval_map_finds_innermost_of_nested_ranges),
        cmocka_unit_test(interval_map_agrees_with_plain_search),
        cmocka_unit_test(interval_map_keeps_both_ends_of_overlapping_ranges),
        cmocka_unit_test(string_pool_returns_same_address_for_equal_text),
        cmocka_unit_test(paths_lose_dots_and_doubled_slashes),
        cmocka_unit_test(names_are_demangled_or_left_alone),
        cmocka_unit_test(demangling_gives_up_on_exponential_names),
        cmocka_unit_test(source_lines_are_read_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
