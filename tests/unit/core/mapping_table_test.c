/* Ranges that are cut, checked page by page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mapping_table.h"

#define PAGE 4096u
#define PAGES 200u
#define BASE UINT64_C(0x300000000000)

static uint32_t owner[PAGES]; /* the stack of each page's mapping; 0: none */

struct expected {
    uint64_t bytes;
};

static void check_piece(void *context, uintptr_t start, const struct live_block *piece)
{
    struct expected *expected = context;
    for (uintptr_t at = start; at < start + piece->size_bytes; at += PAGE) {
        size_t page = (at - BASE) / PAGE;
        assert_int_equal(owner[page], piece->stack);
        owner[page] = 0;
    }
    expected->bytes += piece->size_bytes;
}

static void mapping_table_releases_just_what_was_mapped(void **state)
{
    (void)state;
    srandom(3);
    for (uint32_t event = 1; event < 20000; event++) {
        size_t first = (size_t)random() % PAGES;
        size_t count = 1 + (size_t)random() % (PAGES - first);
        if (count > 30) {
            count = 30;
        }
        uint64_t mapped = 0;
        for (size_t i = first; i < first + count; i++) {
            mapped += owner[i] != 0 ? PAGE : 0;
        }
        struct expected expected = {0};
        assert_true(
            mapping_table_remove(BASE + first * PAGE, count * PAGE, check_piece, &expected));
        assert_int_equal(expected.bytes, mapped);
        if (event % 2 == 0) {
            struct live_block block = {.size_bytes = count * PAGE, .stack = event};
            assert_true(mapping_table_add(BASE + first * PAGE, &block));
            for (size_t i = first; i < first + count; i++) {
                owner[i] = event;
            }
        }
    }
}

static void mapping_table_says_when_it_is_full(void **state)
{
    (void)state;
    struct live_block block = {.size_bytes = PAGE, .stack = 1};
    size_t added = 0;
    while (mapping_table_add(BASE + UINT64_C(0x10000000) + added * 2 * PAGE, &block)) {
        added++;
        assert_true(added <= MAPPING_TABLE_MAX);
    }
    assert_true(added > MAPPING_TABLE_MAX - PAGES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapping_table_releases_just_what_was_mapped),
        cmocka_unit_test(mapping_table_says_when_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
