/* Damaged and hostile files: an answer or none, never a crash, never an endless loop. */
#include "symbolize/symbolizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define QUERIES 400u
#define CHANGES_PER_FILE 12u

static uint64_t chance_state = 88172645463325252u;

static uint64_t chance(uint64_t below)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return chance_state % below;
}

static char *read_fixture(const char *name, const char *file, size_t *size)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s/%s", FIXTURE_FOLDER, name, file);
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        return NULL;
    }
    char *bytes = malloc(1u << 20);
    assert_non_null(bytes);
    *size = fread(bytes, 1, 1u << 20, in);
    fclose(in);
    return bytes;
}

static void count_answer(void *context, const struct symbolizer_answer *answer)
{
    size_t *answers = context;
    (*answers)++;
    for (size_t i = 0; i < answer->frame_count; i++) {
        const struct symbolizer_frame *frame = &answer->frames[i];
        /* Touches every byte: a string that is not ours shows under ASan. */
        *answers += frame->function != NULL && strlen(frame->function) > 1u << 20;
        *answers += frame->file != NULL && strlen(frame->file) > 1u << 20;
    }
}

static void resolve_file(const char *path)
{
    struct symbolizer *symbolizer;
    struct symbolizer_module *module;
    const struct symbolizer_options options = {.thread_count = 1};
    assert_int_equal(symbolizer_new(&options, &symbolizer), 0);
    const struct symbolizer_module_file file = {.path = path};
    int result = symbolizer_module_open(symbolizer, &file, &module);
    if (result == 0) {
        struct symbolizer_query queries[QUERIES];
        for (size_t i = 0; i < QUERIES; i++) {
            queries[i] = (struct symbolizer_query){.offset = 0x1000 + i * 2};
        }
        size_t answers = 0;
        result = symbolizer_resolve(module, queries, QUERIES, count_answer, &answers);
        if (result == 0) {
            assert_int_equal(answers, QUERIES);
        }
        symbolizer_data_symbol(module, 0x4010, NULL);
        symbolizer_module_quality(module);
    }
    assert_true(result <= 0);
    symbolizer_free(symbolizer);
}

static void write_file(const char *path, const char *bytes, size_t size)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

/* Rounds per form: raise it by hand (argument of the program) for a long hunt. */
static unsigned rounds = 60;

/* Writes damaged copies of good[0..size) to `path` and resolves `program` with each. */
static void damage_bytes(const char *good, size_t size, const char *path, const char *program,
                         bool is_cut)
{
    char *bad = malloc(size);
    assert_non_null(bad);
    for (unsigned i = 0; i < rounds; i++) {
        memcpy(bad, good, size);
        size_t kept = is_cut ? chance(size) : size;
        for (unsigned j = 0; !is_cut && j < CHANGES_PER_FILE; j++) {
            /* Most bytes are code and padding: half of the hits go to the last half, where
             * the debug sections and section headers are. */
            size_t at = chance(2) == 0 ? chance(size) : size / 2 + chance(size - size / 2);
            bad[at] = chance(3) == 0 ? (char)0xff : (char)chance(256);
        }
        write_file(path, bad, kept);
        resolve_file(program);
    }
    free(bad);
}

static void damage_fixture(const char *name, bool is_cut)
{
    char path[] = "/tmp/symbolize_damage_XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    size_t size;
    char *good = read_fixture(name, "program", &size);
    if (good != NULL) {
        damage_bytes(good, size, path, path, is_cut);
    }
    free(good);
    unlink(path);
}

static const char *const forms[] = {"g++-dwarf5", "g++-dwarf4", "clang++-dwarf5", "g++-split5",
                                    "g++-zlib",   "zstd",       "dwz",            "g++-lto",
                                    "symbols"};

static void files_with_changed_bytes_are_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        damage_fixture(forms[i], false);
    }
}

static void files_cut_short_are_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        damage_fixture(forms[i], true);
    }
}

/* The program is sound, its package is not. */
static void damaged_packages_are_survived(void **state)
{
    (void)state;
    static const char *const packages[] = {"dwp4", "dwp5"};
    for (size_t i = 0; i < 2; i++) {
        char folder[] = "/tmp/symbolize_package_XXXXXX";
        char program[64];
        char package[64];
        assert_non_null(mkdtemp(folder));
        snprintf(program, sizeof(program), "%s/program", folder);
        snprintf(package, sizeof(package), "%s/program.dwp", folder);
        size_t size;
        char *bytes = read_fixture(packages[i], "program", &size);
        if (bytes != NULL) {
            write_file(program, bytes, size);
            free(bytes);
            bytes = read_fixture(packages[i], "program.dwp", &size);
            assert_non_null(bytes);
            damage_bytes(bytes, size, package, program, false);
            damage_bytes(bytes, size, package, program, true);
        }
        free(bytes);
        unlink(package);
        unlink(program);
        rmdir(folder);
    }
}

static void odd_files_are_refused(void **state)
{
    (void)state;
    resolve_file("/dev/null");
    resolve_file("/dev/zero");
    resolve_file("/proc/self/maps");
    resolve_file("/tmp");
    resolve_file("");
    resolve_file("[vdso]");
    resolve_file("/no/such/file");
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        rounds = (unsigned)strtoul(argv[1], NULL, 10);
    }
    if (argc > 2) {
        chance_state ^= strtoull(argv[2], NULL, 10) * 0x9e3779b97f4a7c15u;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_with_changed_bytes_are_survived),
        cmocka_unit_test(files_cut_short_are_survived),
        cmocka_unit_test(damaged_packages_are_survived),
        cmocka_unit_test(odd_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
