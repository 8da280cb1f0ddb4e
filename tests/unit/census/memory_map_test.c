/* What is read from /proc/self/maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "census/memory_map.h"

enum { CAPACITY = 4096 };

static struct memory_range ranges[CAPACITY];

static void kinds_are_told_from_names_and_permissions(void **state)
{
    (void)state;
    static const char text[] =
        "00400000-00401000 r-xp 00000000 08:01 17   /usr/bin/a b [heap]\n"
        "00600000-00601000 rw-p 00002000 08:01 17                       /usr/bin/x (deleted)\n"
        "01000000-01021000 rw-p 00000000 00:00 0                        [heap]\n"
        "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n"
        "7f0000001000-7f0000002000 ---p 00000000 00:00 0\n"
        "7f0000002000-7f0000003000 rw-s 00000000 00:01 3                /dev/zero (deleted)\n"
        "7f0000003000-7f0000004000 rw-s 00000000 00:01 4                /memfd:arena (deleted)\n"
        "7f0000004000-7f0000005000 rw-p 00000000 00:05 5                /dev/nvidia0\n"
        "7f0000005000-7f0000006000 rw-p 00000000 00:00 0                [anon:pool of it]\n"
        "7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                [stack]\n"
        "7ffd000fe000-7ffd00100000 r-xp 00000000 00:00 0                [vdso]";
    static const uint8_t kinds[] = {MEMORY_MODULE,    MEMORY_MODULE,           MEMORY_BREAK,
                                    MEMORY_ANONYMOUS, MEMORY_ANONYMOUS,        MEMORY_SHARED_ANONYMOUS,
                                    MEMORY_OTHER,     MEMORY_OTHER,            MEMORY_ANONYMOUS,
                                    MEMORY_STACK,     MEMORY_OTHER};
    struct memory_map map = {.ranges = ranges, .capacity = CAPACITY};
    assert_int_equal(memory_map_parse(&map, text, sizeof text - 1), 0);
    assert_int_equal(map.count, sizeof kinds);
    for (size_t i = 0; i < sizeof kinds; i++) {
        assert_int_equal(map.ranges[i].kind, kinds[i]);
    }
    assert_true(map.ranges[0].is_executable && !map.ranges[0].is_writable);
    assert_int_equal(map.ranges[1].file_offset, 0x2000);
    assert_false(map.ranges[4].is_readable);
    assert_ptr_equal(memory_map_find(&map, 0x7f0000001fff), &map.ranges[4]);
    assert_null(memory_map_find(&map, 0x7f0000006000));
    assert_null(memory_map_find(&map, 0));
    assert_null(memory_map_find(&map, UINTPTR_MAX));
}

static void lines_without_sense_are_left_out(void **state)
{
    (void)state;
    static const char text[] = "\nnonsense\n-\n5000-4000 rw-p 0 00:00 0\n1000-2000 rw-p\n"
                               "1000-2000 rw-p 00000000 00:00 0\n1000-zz00 rw-p 0 0:0 0\n";
    struct memory_map map = {.ranges = ranges, .capacity = CAPACITY};
    assert_int_equal(memory_map_parse(&map, text, sizeof text - 1), 0);
    assert_int_equal(map.count, 1);
    assert_int_equal(map.ranges[0].start, 0x1000);
}

static void more_mappings_than_room_are_an_error(void **state)
{
    (void)state;
    static const char text[] = "1000-2000 rw-p 0 00:00 0\n2000-3000 rw-p 0 00:00 0\n";
    struct memory_map map = {.ranges = ranges, .capacity = 1};
    assert_true(memory_map_parse(&map, text, sizeof text - 1) < 0);
}

static void own_mappings_are_found(void **state)
{
    (void)state;
    struct memory_map map = {.ranges = ranges, .capacity = CAPACITY};
    static int global;
    int local = 0;
    assert_int_equal(memory_map_read(&map), 0);
    const struct memory_range *range = memory_map_find(&map, (uintptr_t)&global);
    assert_non_null(range);
    assert_true(range->is_writable);
    range = memory_map_find(&map, (uintptr_t)&local);
    assert_non_null(range);
    assert_int_equal(range->kind, MEMORY_STACK);
    range = memory_map_find(&map, (uintptr_t)own_mappings_are_found);
    assert_non_null(range);
    assert_true(range->is_executable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_told_from_names_and_permissions),
        cmocka_unit_test(lines_without_sense_are_left_out),
        cmocka_unit_test(more_mappings_than_room_are_an_error),
        cmocka_unit_test(own_mappings_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
