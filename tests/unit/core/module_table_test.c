#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include "support/test_arena.h"

#include "core/module_table.h"

struct fixture {
    struct arena arena;
    struct arena_image *image;
    struct module_table table;
};

static struct fixture fixture_new(void)
{
    struct fixture fixture;
    fixture.arena = test_arena_new(TEST_ARENA_BYTES);
    fixture.image = test_arena_image_new(&fixture.arena);
    module_table_open(&fixture.table, &fixture.arena, fixture.image);
    return fixture;
}

static void module_table_knows_the_executable_and_libc(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    struct capture_frame frames[4] = {{.pc = (uintptr_t)malloc + 4},
                                      {.pc = (uintptr_t)module_table_knows_the_executable_and_libc + 4},
                                      {.pc = (uintptr_t)free + 4},
                                      {.pc = 1}};
    assert_int_equal(module_table_note(&f.table, frames, 4), 0);
    assert_int_equal(module_table_note(&f.table, frames, 4), 0);
    struct arena_module module;
    assert_int_equal(module_table_read(&f.arena, f.image, 0, &module), 0);
    assert_non_null(strstr(module.path, "libc.so.6"));
    assert_true(module.build_id_bytes > 0);
    assert_int_equal(module_table_read(&f.arena, f.image, 1, &module), 0);
    assert_string_equal(module.path, "");
    assert_true(module.start <= frames[1].pc && frames[1].pc < module.end);
    assert_int_equal(module_table_read(&f.arena, f.image, 2, &module), -ENOENT);
    assert_int_equal(module_table_resolve(&f.arena, f.image, 0, frames[2].pc - 1), 0);
    assert_int_equal(module_table_resolve(&f.arena, f.image, 0, frames[1].pc - 1), 1);
    assert_int_equal(module_table_resolve(&f.arena, f.image, 0, 0), -1);
    test_arena_free(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(module_table_knows_the_executable_and_libc),
    };
    return cmocka_run_group_tests_name("module_table", tests, NULL, NULL);
}
