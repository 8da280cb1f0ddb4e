/* malloc's notes, found in the running C library and told from look-alikes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "census/glibc_heap.h"

/* As struct malloc_state has it: 127 pairs from offset 112 on. */
static uintptr_t memory[1024];

static void arena_fill(uintptr_t *arena)
{
    for (size_t i = 0; i < 127; i++) {
        uintptr_t *pair = arena + 14 + 2 * i;
        pair[0] = pair[1] = (uintptr_t)pair - 16;
    }
}

static void arena_is_found_by_its_empty_lists(void **state)
{
    (void)state;
    memset(memory, 0, sizeof memory);
    arena_fill(memory + 100);
    assert_int_equal(glibc_heap_find_arena((uintptr_t)memory, (uintptr_t)(memory + 1024)),
                     (uintptr_t)(memory + 100));
}

static void arena_is_found_when_most_lists_are_in_use(void **state)
{
    (void)state;
    memset(memory, 0, sizeof memory);
    arena_fill(memory + 7);
    for (size_t i = 0; i < 80; i++) {
        memory[7 + 14 + 2 * i] = 0x555555560000 + i;
    }
    assert_int_equal(glibc_heap_find_arena((uintptr_t)memory, (uintptr_t)(memory + 1024)),
                     (uintptr_t)(memory + 7));
}

static void data_without_an_arena_has_none(void **state)
{
    (void)state;
    memset(memory, 0, sizeof memory);
    uintptr_t *pair = memory + 900;
    pair[0] = pair[1] = (uintptr_t)pair - 16; /* an empty list head of the program's */
    assert_int_equal(glibc_heap_find_arena((uintptr_t)memory, (uintptr_t)(memory + 1024)), 0);
    assert_int_equal(glibc_heap_find_arena((uintptr_t)memory, (uintptr_t)(memory + 20)), 0);
}

static void block_with_its_own_mapping_is_told_from_others(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* another malloc */
#endif
    static struct memory_range ranges[4096];
    struct memory_map map = {.ranges = ranges, .capacity = 4096};
    void *small = malloc(100);
    void *large = malloc((size_t)40 << 20);
    void *aligned = NULL;
    assert_int_equal(posix_memalign(&aligned, 1 << 16, (size_t)40 << 20), 0);
    assert_int_equal(memory_map_read(&map), 0);
    uintptr_t start = 0;
    uintptr_t end = 0;
    assert_false(glibc_heap_mapped_chunk(&map, (uintptr_t)small, &start, &end));
    assert_true(glibc_heap_mapped_chunk(&map, (uintptr_t)large, &start, &end));
    assert_int_equal(start, (uintptr_t)large - 16);
    assert_true(end >= (uintptr_t)large + ((size_t)40 << 20));
    assert_true(glibc_heap_mapped_chunk(&map, (uintptr_t)aligned, &start, &end));
    assert_true(start < (uintptr_t)aligned && end >= (uintptr_t)aligned + ((size_t)40 << 20));
    free(small);
    free(large);
    free(aligned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_is_found_by_its_empty_lists),
        cmocka_unit_test(arena_is_found_when_most_lists_are_in_use),
        cmocka_unit_test(data_without_an_arena_has_none),
        cmocka_unit_test(block_with_its_own_mapping_is_told_from_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
