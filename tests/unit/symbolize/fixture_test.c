/* The same program in every form of debug information: the answers must be the same. */
#include "symbolize/symbolizer.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FRAMES_MAX 4

/* What must come out at a mark, innermost first. */
struct truth {
    const char *mark;
    struct {
        const char *function; /* the answer must contain it */
        const char *line;     /* label in fixture.cpp */
    } frames[FRAMES_MAX];
};

static const struct truth truths[] = {
    {"mark_inner",
     {{"fixture::Buffer::grow<long>(long)", "inner"},
      {"reserve", "call_grow"},
      {"fixture::outer(int)", "call_reserve"}}},
    {"mark_plain", {{"fixture::outer(int)", "plain"}}},
    {"mark_lambda", {{"operator()", "lambda"}}},
    {"mark_local", {{"square", "local"}}},
    {"mark_member", {{"fixture::Shape::corners() const", "member"}}},
    {"mark_c_name", {{"fixture_c_name", "c_name"}}},
};
#define TRUTHS (sizeof(truths) / sizeof(truths[0]))

struct got {
    enum symbolizer_quality quality;
    size_t count;
    struct symbolizer_frame frames[FRAMES_MAX];
};

static void keep(void *context, const struct symbolizer_answer *answer)
{
    struct got *got = (struct got *)context + answer->index;
    got->quality = answer->quality;
    got->count = answer->frame_count;
    for (size_t i = 0; i < answer->frame_count && i < FRAMES_MAX; i++) {
        got->frames[i] = answer->frames[i];
    }
}

static char *fixture_path(const char *name, const char *file)
{
    char *path;
    assert_true(asprintf(&path, "%s/%s/%s", FIXTURE_FOLDER, name, file) >= 0);
    return path;
}

static bool fixture_exists(const char *name)
{
    char *path = fixture_path(name, "program");
    bool exists = access(path, R_OK) == 0;
    free(path);
    return exists;
}

static unsigned line_of(const char *label)
{
    char *path = fixture_path(".", "fixture.cpp");
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    free(path);
    char text[256];
    char wanted[64];
    size_t wanted_length = (size_t)snprintf(wanted, sizeof(wanted), "// LINE %s", label);
    unsigned line = 0;
    unsigned found = 0;
    while (fgets(text, sizeof(text), in) != NULL) {
        line++;
        const char *at = strstr(text, wanted);
        if (at != NULL && strchr(":\n ", at[wanted_length]) != NULL) {
            found = line;
        }
    }
    fclose(in);
    assert_int_not_equal(found, 0);
    return found;
}

/* Value of a symbol of FIXTURE/program; the stripped ones are copies of g++-dwarf5. */
static uint64_t symbol_value(const char *name, const char *symbol)
{
    char *path = fixture_path(name, "program");
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(descriptor, ELF_C_READ_MMAP, NULL);
    assert_non_null(elf);
    uint64_t value = 0;
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        assert_non_null(gelf_getshdr(section, &header));
        if (header.sh_type != SHT_SYMTAB) {
            continue;
        }
        Elf_Data *data = elf_getdata(section, NULL);
        for (int i = 0; i < (int)(header.sh_size / header.sh_entsize); i++) {
            GElf_Sym entry;
            assert_non_null(gelf_getsym(data, i, &entry));
            if (strcmp(elf_strptr(elf, header.sh_link, entry.st_name), symbol) == 0) {
                value = entry.st_value;
            }
        }
    }
    elf_end(elf);
    close(descriptor);
    assert_int_not_equal(value, 0);
    return value;
}

/* Resolves all marks of a fixture; marks_from: the fixture that has their symbols. */
static struct symbolizer *resolve_marks(const char *name, const char *marks_from,
                                        const char *debug_folder, struct got got[TRUTHS],
                                        struct symbolizer_module **module)
{
    const char *directories[] = {debug_folder, NULL};
    const struct symbolizer_options options = {.debug_directories = directories};
    struct symbolizer *symbolizer;
    assert_int_equal(symbolizer_new(&options, &symbolizer), 0);
    char *path = fixture_path(name, "program");
    const struct symbolizer_module_file file = {.path = path};
    assert_int_equal(symbolizer_module_open(symbolizer, &file, module), 0);
    free(path);
    struct symbolizer_query queries[TRUTHS];
    memset(got, 0xff, TRUTHS * sizeof(got[0]));
    for (size_t i = 0; i < TRUTHS; i++) {
        /* Half of them as return addresses: the byte after the one that is asked for. */
        bool is_return = i % 2 == 0;
        queries[i].offset = symbol_value(marks_from, truths[i].mark) + is_return;
        queries[i].is_return_address = is_return;
    }
    assert_int_equal(symbolizer_resolve(*module, queries, TRUTHS, keep, got), 0);
    return symbolizer;
}

static void assert_full_answers(const struct got got[TRUTHS])
{
    for (size_t i = 0; i < TRUTHS; i++) {
        size_t expected = 0;
        while (expected < FRAMES_MAX && truths[i].frames[expected].function != NULL) {
            expected++;
        }
        assert_int_equal(got[i].quality, SYMBOLIZER_QUALITY_DEBUG);
        assert_int_equal(got[i].count, expected);
        for (size_t j = 0; j < expected; j++) {
            const struct symbolizer_frame *frame = &got[i].frames[j];
            assert_non_null(frame->function);
            if (strstr(frame->function, truths[i].frames[j].function) == NULL) {
                fail_msg("%s: %s is not %s", truths[i].mark, frame->function,
                         truths[i].frames[j].function);
            }
            assert_int_equal(frame->line, line_of(truths[i].frames[j].line));
            assert_non_null(frame->file);
            assert_non_null(strstr(frame->file, "/fixture.cpp"));
            assert_null(strstr(frame->file, "/../"));
            assert_int_equal(frame->is_inlined, j + 1 < expected);
        }
    }
}

static void check_full(const char *name, const char *marks_from, const char *debug_folder)
{
    struct got got[TRUTHS];
    struct symbolizer_module *module;
    struct symbolizer *symbolizer = resolve_marks(name, marks_from, debug_folder, got, &module);
    print_message("%s\n", name);
    assert_full_answers(got);
    assert_int_equal(symbolizer_module_notes(module), 0);
    assert_int_equal(symbolizer_module_quality(module), SYMBOLIZER_QUALITY_DEBUG);
    assert_non_null(symbolizer_module_debug_path(module));
    symbolizer_free(symbolizer);
}

static void all_forms_of_debug_information_give_the_same_chains(void **state)
{
    (void)state;
    static const char *const names[] = {
        "g++-dwarf5",    "g++-dwarf4",    "g++-shared",     "g++-sections",     "g++-zlib",
        "g++-split5",    "g++-split4",    "g++-lto",        "g++-typeunits",    "g++-nopie",
        "g++-lines",     "clang++-dwarf5", "clang++-dwarf4", "clang++-shared",  "clang++-sections",
        "clang++-zlib",  "clang++-split5", "clang++-split4", "zstd",            "zlib-gnu",
        "dwz",           "dwp4",          "dwp5",
    };
    size_t seen = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (fixture_exists(names[i])) {
            check_full(names[i], names[i], NULL);
            seen++;
        } else {
            print_message("%s is left out: its tool is not installed\n", names[i]);
        }
    }
    assert_true(seen >= 12);
}

static void separate_debug_files_are_found(void **state)
{
    (void)state;
    check_full("link-beside", "g++-dwarf5", NULL);
    check_full("link-hidden", "g++-dwarf5", NULL);
    char *folder = fixture_path("link-buildid", "debug");
    check_full("link-buildid", "g++-dwarf5", folder);
    free(folder);
}

static void lambdas_without_linkage_name_get_the_symbols_name(void **state)
{
    (void)state;
    struct got got[TRUTHS];
    struct symbolizer_module *module;
    struct symbolizer *symbolizer =
        resolve_marks("g++-dwarf5", "g++-dwarf5", NULL, got, &module);
    assert_non_null(strstr(got[2].frames[0].function, "with_lambda(int)::{lambda(int)#1}::operator()(int)"));
    assert_non_null(strstr(got[3].frames[0].function, "Local::square(int)"));
    symbolizer_free(symbolizer);
}

static void inlined_calls_without_linkage_name_are_qualified(void **state)
{
    (void)state;
    static const char *const names[] = {"g++-dwarf5", "g++-split5"};
    for (size_t i = 0; i < 2; i++) {
        struct got got[TRUTHS];
        struct symbolizer_module *module;
        struct symbolizer *symbolizer = resolve_marks(names[i], names[i], NULL, got, &module);
        assert_null(got[0].frames[1].linkage_name);
        assert_string_equal(got[0].frames[1].function, "fixture::reserve");
        symbolizer_free(symbolizer);
    }
}

static void asm_without_debug_information_gets_its_symbol(void **state)
{
    (void)state;
    struct symbolizer *symbolizer;
    struct symbolizer_module *module;
    assert_int_equal(symbolizer_new(NULL, &symbolizer), 0);
    char *path = fixture_path("g++-dwarf5", "program");
    const struct symbolizer_module_file file = {.path = path};
    assert_int_equal(symbolizer_module_open(symbolizer, &file, &module), 0);
    free(path);
    uint64_t start = symbol_value("g++-dwarf5", "fixture_assembler");
    const struct symbolizer_query queries[] = {{.offset = start + 1}, {.offset = 1},
                                               {.offset = UINT64_MAX}, {.offset = 0, .is_return_address = true}};
    struct got got[4];
    memset(got, 0xff, sizeof(got));
    assert_int_equal(symbolizer_resolve(module, queries, 4, keep, got), 0);
    assert_int_equal(got[0].quality, SYMBOLIZER_QUALITY_SYMBOL);
    assert_string_equal(got[0].frames[0].function, "fixture_assembler");
    assert_int_equal(got[0].frames[0].function_start, start);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(got[i].quality, SYMBOLIZER_QUALITY_NONE);
        assert_int_equal(got[i].count, 0);
    }
    uint64_t data = symbol_value("g++-dwarf5", "fixture_global");
    uint64_t found = 0;
    assert_string_equal(symbolizer_data_symbol(module, data + 15, &found), "fixture_global");
    assert_int_equal(found, data);
    assert_null(symbolizer_data_symbol(module, 3, NULL));
    symbolizer_free(symbolizer);
}

static void missing_debug_information_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum symbolizer_quality quality;
        unsigned notes;
    } cases[] = {
        {"symbols", SYMBOLIZER_QUALITY_SYMBOL, SYMBOLIZER_NOTE_NO_DEBUG},
        {"stripped", SYMBOLIZER_QUALITY_NONE, SYMBOLIZER_NOTE_NO_DEBUG | SYMBOLIZER_NOTE_NO_SYMBOLS},
        {"text", SYMBOLIZER_QUALITY_NONE, SYMBOLIZER_NOTE_FILE_DAMAGED},
        {"nowhere", SYMBOLIZER_QUALITY_NONE, SYMBOLIZER_NOTE_FILE_MISSING},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct got got[TRUTHS];
        struct symbolizer_module *module;
        struct symbolizer *symbolizer =
            resolve_marks(cases[i].name, "g++-dwarf5", NULL, got, &module);
        assert_int_equal(symbolizer_module_notes(module), cases[i].notes);
        for (size_t j = 0; j < TRUTHS; j++) {
            assert_int_equal(got[j].quality, cases[i].quality);
        }
        assert_true(strlen(symbolizer_note_text((enum symbolizer_note)(cases[i].notes & -cases[i].notes))) > 20);
        symbolizer_free(symbolizer);
    }
    /* Lines are in the program, functions in the .dwo file that is gone. */
    struct got got[TRUTHS];
    struct symbolizer_module *module;
    struct symbolizer *symbolizer =
        resolve_marks("lost-split", "lost-split", NULL, got, &module);
    assert_int_equal(symbolizer_module_notes(module), SYMBOLIZER_NOTE_SPLIT_MISSING);
    assert_int_equal(got[1].quality, SYMBOLIZER_QUALITY_SYMBOL);
    assert_non_null(got[1].frames[0].function);
    assert_int_equal(got[1].frames[0].line, line_of("plain"));
    symbolizer_free(symbolizer);
}

static void replaced_file_is_not_believed(void **state)
{
    (void)state;
    static const uint8_t other[20] = {1, 2, 3};
    struct symbolizer *symbolizer;
    struct symbolizer_module *module;
    struct symbolizer_module *same;
    assert_int_equal(symbolizer_new(NULL, &symbolizer), 0);
    char *path = fixture_path("g++-dwarf5", "program");
    const struct symbolizer_module_file file = {
        .path = path, .build_id = other, .build_id_bytes = sizeof(other)};
    assert_int_equal(symbolizer_module_open(symbolizer, &file, &module), 0);
    assert_int_equal(symbolizer_module_open(symbolizer, &file, &same), 0);
    assert_ptr_equal(module, same);
    const struct symbolizer_query query = {.offset = symbol_value("g++-dwarf5", "mark_plain")};
    struct got got;
    assert_int_equal(symbolizer_resolve(module, &query, 1, keep, &got), 0);
    assert_int_equal(got.quality, SYMBOLIZER_QUALITY_NONE);
    assert_int_equal(symbolizer_module_notes(module), SYMBOLIZER_NOTE_BUILD_ID_DIFFERS);
    free(path);
    symbolizer_free(symbolizer);
}

/* A bound so small that every unit is dropped once used; then all over again. */
static void units_that_were_dropped_are_indexed_again(void **state)
{
    (void)state;
    const struct symbolizer_options options = {.memory_max_bytes = 1, .thread_count = 2};
    struct symbolizer *symbolizer;
    struct symbolizer_module *module;
    assert_int_equal(symbolizer_new(&options, &symbolizer), 0);
    char *path = fixture_path("g++-split5", "program");
    const struct symbolizer_module_file file = {.path = path};
    assert_int_equal(symbolizer_module_open(symbolizer, &file, &module), 0);
    free(path);
    struct got first;
    struct got again;
    const struct symbolizer_query query = {.offset = symbol_value("g++-split5", "mark_plain")};
    assert_int_equal(symbolizer_resolve(module, &query, 1, keep, &first), 0);
    assert_int_equal(symbolizer_resolve(module, &query, 1, keep, &again), 0);
    assert_string_equal(first.frames[0].function, "fixture::outer(int)");
    assert_ptr_equal(first.frames[0].function, again.frames[0].function);
    symbolizer_module_close(module);
    assert_int_equal(symbolizer_resolve(module, &query, 1, keep, &again), 0);
    assert_ptr_equal(first.frames[0].function, again.frames[0].function);
    symbolizer_free(symbolizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms_of_debug_information_give_the_same_chains),
        cmocka_unit_test(separate_debug_files_are_found),
        cmocka_unit_test(lambdas_without_linkage_name_get_the_symbols_name),
        cmocka_unit_test(inlined_calls_without_linkage_name_are_qualified),
        cmocka_unit_test(asm_without_debug_information_gets_its_symbol),
        cmocka_unit_test(missing_debug_information_is_told),
        cmocka_unit_test(replaced_file_is_not_believed),
        cmocka_unit_test(units_that_were_dropped_are_indexed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
