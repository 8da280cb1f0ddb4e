#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

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

static uint32_t note(struct fixture *f, uintptr_t address)
{
    struct capture_frame frame = {.pc = address + 1};
    return module_table_note(&f->table, &frame, 1);
}

static uint32_t module_count(const struct fixture *f)
{
    struct arena_module module;
    uint32_t count = 0;
    while (module_table_read(&f->arena, f->image, count, &module) == 0) {
        count++;
    }
    return count;
}

/* True if `address` under `epoch` belongs to a module with this path. */
static bool resolves_to(const struct fixture *f, uint32_t epoch, uintptr_t address, const char *path)
{
    struct arena_module module;
    int32_t index = module_table_resolve(&f->arena, f->image, epoch, address);
    return index >= 0 && module_table_read(&f->arena, f->image, (uint32_t)index, &module) == 0
           && strcmp(module.path, path) == 0 && module.start <= address && address < module.end;
}

/* Opens one of the test libraries and finds an address in it: they all load at the same
 * place, which is the point. Returns NULL when it does not. */
static void *library_try(const char *path, uintptr_t *address)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    *address = handle == NULL ? 0 : (uintptr_t)dlsym(handle, "module_colour");
    return *address >> 24 == 0x20 ? handle : NULL;
}

static void *library_open(const char *path, uintptr_t *address)
{
    void *handle = library_try(path, address);
    assert_non_null(handle);
    return handle;
}

/* Returns the epoch in which the library's frames are noted while it is open. */
static uint32_t library_note(struct fixture *f, const char *path, uintptr_t *address)
{
    void *handle = library_open(path, address);
    uint32_t epoch = note(f, *address);
    dlclose(handle);
    return epoch;
}

static void module_table_knows_the_executable_and_libc(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    uintptr_t self = (uintptr_t)module_table_knows_the_executable_and_libc;
    uintptr_t libc = (uintptr_t)dlsym(RTLD_NEXT, "gnu_get_libc_version");
    struct capture_frame frames[4] = {{.pc = libc + 4}, {.pc = self + 4}, {.pc = libc + 9}, {.pc = 1}};
    assert_int_equal(module_table_note(&f.table, frames, 4), 0);
    assert_int_equal(module_table_note(&f.table, frames, 4), 0);
    assert_int_equal(module_count(&f), 2);
    struct arena_module module;
    assert_int_equal(module_table_read(&f.arena, f.image, 0, &module), 0);
    assert_non_null(strstr(module.path, "libc.so.6"));
    assert_true(resolves_to(&f, 0, self, ""));
    assert_int_equal(module_table_resolve(&f.arena, f.image, 0, libc), 0);
    assert_int_equal(module_table_resolve(&f.arena, f.image, 0, 0), -1);
    assert_int_equal(module_table_resolve(&f.arena, f.image, 0, UINT64_MAX), -1);
    assert_int_equal(module_table_read(&f.arena, f.image, 2, &module), -ENOENT);
    test_arena_free(&f.arena);
}

/* What binutils print, as hexadecimal text. */
static void readelf_build_id(const char *path, char *text, size_t size)
{
    char command[4200];
    snprintf(command, sizeof command, "readelf -n '%s' | sed -n 's/.*Build ID: //p'", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(text, (int)size, pipe));
    text[strcspn(text, "\n")] = '\0';
    pclose(pipe);
}

static void module_table_reads_the_build_ids_that_readelf_prints(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    uintptr_t red;
    void *handle = library_open(module_red_path, &red);
    note(&f, red);
    note(&f, (uintptr_t)dlsym(RTLD_NEXT, "gnu_get_libc_version"));
    dlclose(handle);
    for (uint32_t i = 0; i < 2; i++) {
        struct arena_module module;
        char expected[128];
        char text[2 * ARENA_BUILD_ID_MAX + 1] = "";
        assert_int_equal(module_table_read(&f.arena, f.image, i, &module), 0);
        readelf_build_id(module.path, expected, sizeof expected);
        for (uint32_t byte = 0; byte < module.build_id_bytes; byte++) {
            sprintf(text + 2 * byte, "%02x", module.build_id[byte]);
        }
        assert_string_equal(text, expected);
    }
    test_arena_free(&f.arena);
}

static void module_table_names_the_vdso(void **state)
{
    (void)state;
    uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);
    struct dl_find_object found;
    if (vdso == 0 || _dl_find_object((void *)vdso, &found) != 0) {
        skip(); /* a machine without one */
    }
    struct fixture f = fixture_new();
    note(&f, vdso + 64);
    assert_true(resolves_to(&f, 0, vdso + 64, "[vdso]"));
    test_arena_free(&f.arena);
}

static void module_table_keeps_the_epoch_when_a_file_comes_back(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    uintptr_t address;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(library_note(&f, module_red_path, &address), 0);
    }
    assert_int_equal(module_count(&f), 1);
    assert_true(resolves_to(&f, 0, address, module_red_path));
    test_arena_free(&f.arena);
}

static void check_replacement(const char *first, const char *second)
{
    struct fixture f = fixture_new();
    uintptr_t address;
    uintptr_t same_address;
    uintptr_t self = (uintptr_t)check_replacement;
    assert_int_equal(note(&f, self), 0);
    assert_int_equal(library_note(&f, first, &address), 0);
    assert_int_equal(library_note(&f, second, &same_address), 1);
    assert_int_equal(address, same_address);
    assert_int_equal(module_table_epoch(&f.table), 1);
    assert_int_equal(module_table_parent(f.image, 1), 0);
    assert_true(resolves_to(&f, 0, address, first));
    assert_true(resolves_to(&f, 1, address, second));
    assert_true(resolves_to(&f, 1, self, "")); /* inherited */
    /* To and fro for ever: no more epochs, no more modules. */
    for (int i = 0; i < 50; i++) {
        assert_int_equal(library_note(&f, first, &address), 0);
        assert_int_equal(library_note(&f, second, &address), 1);
    }
    assert_int_equal(module_count(&f), 3);
    assert_int_equal(atomic_load(&f.image->epoch_count), 1);
    assert_int_equal(atomic_load(&f.image->modules_dropped), 0);
    test_arena_free(&f.arena);
}

static void module_table_begins_an_epoch_when_another_file_takes_the_place(void **state)
{
    (void)state;
    check_replacement(module_red_path, module_blue_path);
}

static void module_table_tells_files_without_build_id_by_path(void **state)
{
    (void)state;
    check_replacement(module_plain_red_path, module_plain_blue_path);
    check_replacement(module_plain_red_path, module_blue_path);
}

static void module_table_refresh_sees_a_replacement_before_any_frame_of_it(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    uintptr_t address;
    assert_int_equal(library_note(&f, module_red_path, &address), 0);
    assert_int_equal(module_table_refresh(&f.table), 0);
    void *handle = library_open(module_blue_path, &address);
    assert_int_equal(module_table_refresh(&f.table), 1);
    assert_true(resolves_to(&f, 1, address, module_blue_path));
    assert_int_equal(note(&f, address), 1);
    dlclose(handle);
    handle = library_open(module_red_path, &address);
    assert_int_equal(module_table_refresh(&f.table), 0);
    dlclose(handle);
    test_arena_free(&f.arena);
}

static void module_table_does_not_take_generated_code_for_a_closed_module(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    uintptr_t address;
    assert_int_equal(library_note(&f, module_red_path, &address), 0);
    /* No module is there now: what runs there was generated. */
    assert_int_equal(note(&f, address), 1);
    assert_true(resolves_to(&f, 1, address, "[anonymous]"));
    assert_true(resolves_to(&f, 0, address, module_red_path));
    assert_int_equal(note(&f, address + 5), 1);
    assert_int_equal(module_count(&f), 2);
    assert_int_equal(library_note(&f, module_red_path, &address), 0);
    assert_int_equal(library_note(&f, module_blue_path, &address), 2);
    test_arena_free(&f.arena);
}

static void module_table_ignores_generated_code_elsewhere(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    assert_int_equal(note(&f, 0x1234), 0);
    assert_int_equal(note(&f, UINTPTR_MAX - 1), 0);
    assert_int_equal(module_count(&f), 0);
    test_arena_free(&f.arena);
}

/* In a child: opens a library, meets the others, and notes it. Exits with 0 if what
 * it noted resolves to its own library, and to nobody else's afterwards. */
static void child_notes(struct fixture *f, const char *path, _Atomic uint32_t *ready,
                        uint32_t children)
{
    uintptr_t address;
    if (library_try(path, &address) == NULL) {
        _exit(2);
    }
    atomic_fetch_add(ready, 1);
    for (int i = 0; i < 20000 && atomic_load(ready) < children; i++) {
        usleep(50);
    }
    uint32_t epoch = note(f, address);
    bool is_right = resolves_to(f, epoch, address, path);
    atomic_fetch_add(ready, 1);
    for (int i = 0; i < 20000 && atomic_load(ready) < 2 * children; i++) {
        usleep(50);
    }
    is_right = is_right && resolves_to(f, epoch, address, path) && note(f, address) == epoch;
    _exit(is_right ? 0 : 1);
}

static void module_table_serves_children_with_different_libraries_at_one_place(void **state)
{
    (void)state;
    enum { CHILDREN = 4 };
    const char *paths[CHILDREN] = {module_red_path, module_blue_path, module_plain_red_path,
                                   module_blue_path};
    for (int round = 0; round < 30; round++) {
        struct fixture f = fixture_new();
        _Atomic uint32_t *ready = arena_at(&f.arena, arena_extent_new(&f.arena, 64), 64);
        assert_int_equal(note(&f, (uintptr_t)child_notes), 0);
        pid_t pids[CHILDREN];
        for (int i = 0; i < CHILDREN; i++) {
            pids[i] = fork();
            if (pids[i] == 0) {
                child_notes(&f, paths[i], ready, CHILDREN);
            }
        }
        for (int i = 0; i < CHILDREN; i++) {
            int status;
            assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
            assert_int_equal(status, 0);
        }
        assert_int_equal(module_table_epoch(&f.table), 0);
        /* Three different files there: at least two epochs besides the first. */
        assert_in_range(atomic_load(&f.image->epoch_count), 2, CHILDREN);
        test_arena_free(&f.arena);
    }
}

static void module_table_goes_on_when_tables_are_full(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    uintptr_t address;
    uintptr_t self = (uintptr_t)check_replacement;
    /* No module slot: unresolved, counted, the epoch stays. */
    atomic_store(&f.image->module_slots, ARENA_MODULES_MAX);
    assert_int_equal(note(&f, self), 0);
    assert_int_equal(module_table_resolve(&f.arena, f.image, 0, self), -1);
    assert_int_equal(atomic_load(&f.image->modules_dropped), 1);
    atomic_store(&f.image->module_slots, 0);
    assert_int_equal(library_note(&f, module_red_path, &address), 0);
    /* No epoch left: nothing resolves any more, rather than wrongly. */
    atomic_store(&f.image->epoch_count, ARENA_EPOCHS_MAX - 1);
    uint32_t epoch = library_note(&f, module_blue_path, &address);
    assert_int_equal(epoch, ARENA_EPOCH_UNKNOWN);
    assert_int_equal(module_table_resolve(&f.arena, f.image, epoch, address), -1);
    assert_int_equal(note(&f, self), ARENA_EPOCH_UNKNOWN);
    test_arena_free(&f.arena);
}

static void module_table_readers_survive_hostile_contents(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    uintptr_t address;
    srandom(7);
    for (int round = 0; round < 300; round++) {
        library_note(&f, module_red_path, &address);
        note(&f, (uintptr_t)check_replacement);
        uint64_t *words = (uint64_t *)(void *)f.image;
        size_t count = offsetof(struct arena_image, stack_chunk) / sizeof *words;
        for (int i = 0; i < 2000; i++) {
            size_t at = (size_t)random() % count;
            uint64_t value = (uint64_t)random() << 40 ^ (uint64_t)random() << 8;
            words[at] = random() % 3 == 0 ? value : random() % 3 == 0 ? value % 65536 : value % 8 << 16;
        }
        struct arena_module module;
        for (uint32_t i = 0; i < 5000; i += 7) {
            if (module_table_read(&f.arena, f.image, i, &module) == 0) {
                assert_true(strnlen(module.path, sizeof module.path) < sizeof module.path);
                assert_true(module.build_id_bytes <= ARENA_BUILD_ID_MAX);
            }
        }
        for (uint32_t i = 0; i < 200; i++) {
            uint32_t epoch = (uint32_t)random() % 5000;
            int32_t index = module_table_resolve(&f.arena, f.image, epoch, (uint64_t)random());
            assert_in_range(index + 1, 0, ARENA_MODULES_MAX);
            assert_true(module_table_parent(f.image, epoch) < (int64_t)epoch);
        }
        /* The writers, too, must live with it. */
        note(&f, address);
        note(&f, (uintptr_t)check_replacement);
        memset(words, 0, count * sizeof *words);
        module_table_open(&f.table, &f.arena, f.image);
    }
    test_arena_free(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(module_table_knows_the_executable_and_libc),
        cmocka_unit_test(module_table_reads_the_build_ids_that_readelf_prints),
        cmocka_unit_test(module_table_names_the_vdso),
        cmocka_unit_test(module_table_keeps_the_epoch_when_a_file_comes_back),
        cmocka_unit_test(module_table_begins_an_epoch_when_another_file_takes_the_place),
        cmocka_unit_test(module_table_tells_files_without_build_id_by_path),
        cmocka_unit_test(module_table_refresh_sees_a_replacement_before_any_frame_of_it),
        cmocka_unit_test(module_table_does_not_take_generated_code_for_a_closed_module),
        cmocka_unit_test(module_table_ignores_generated_code_elsewhere),
        cmocka_unit_test(module_table_serves_children_with_different_libraries_at_one_place),
        cmocka_unit_test(module_table_goes_on_when_tables_are_full),
        cmocka_unit_test(module_table_readers_survive_hostile_contents),
    };
    return cmocka_run_group_tests_name("module_table", tests, NULL, NULL);
}
