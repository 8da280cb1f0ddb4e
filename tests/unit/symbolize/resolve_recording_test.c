/* A recording gets its names: stored once, with source lines, readable without the files. */
#include "recording/reader.h"
#include "recording/writer.h"
#include "symbolize/perf_map.h"
#include "symbolize/resolve_recording.h"

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

struct fixture {
    char folder[64];
    char recording[128];
    int64_t known;   /* an address inside fixture::outer, inlined calls included */
    int64_t unknown; /* of a file that is not there */
    int64_t jit;
    int64_t strange; /* of no module and no map */
};

static uint64_t mark_value(const char *path, const char *name)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(descriptor, ELF_C_READ_MMAP, NULL);
    uint64_t value = 0;
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        gelf_getshdr(section, &header);
        Elf_Data *data = header.sh_type == SHT_SYMTAB ? elf_getdata(section, NULL) : NULL;
        GElf_Sym symbol;
        for (int i = 0; data != NULL && gelf_getsym(data, i, &symbol) != NULL; i++) {
            if (strcmp(elf_strptr(elf, header.sh_link, symbol.st_name), name) == 0) {
                value = symbol.st_value;
            }
        }
    }
    elf_end(elf);
    close(descriptor);
    assert_int_not_equal(value, 0);
    return value;
}

/* The program lies below the folder, as if that were another root. */
static const char *const program_path = "/opt/app/program";

static void put_program(const struct fixture *fixture)
{
    char command[8192];
    snprintf(command, sizeof(command), "mkdir -p %s/opt/app && cp %s/g++-dwarf5/program %s%s",
             fixture->folder, FIXTURE_FOLDER, fixture->folder, program_path);
    assert_int_equal(system(command), 0);
}

static void write_recording(struct fixture *fixture)
{
    const struct recording_run run = {.memtrack_version = "1", .command = "program"};
    struct mt_error error = {0};
    struct recording_writer *writer;
    assert_int_equal(
        recording_writer_create(fixture->recording, &run, false, &writer, &error), 0);
    assert_int_equal(recording_writer_begin(writer, "the test"), 0);
    const struct recording_module program = {.path = program_path};
    const struct recording_module missing = {.path = "/no/such/library.so"};
    int64_t program_id = recording_writer_add_module(writer, &program);
    int64_t missing_id = recording_writer_add_module(writer, &missing);
    assert_true(program_id > 0 && missing_id > 0);
    char path[256];
    snprintf(path, sizeof(path), "%s/g++-dwarf5/program", FIXTURE_FOLDER);
    uint64_t offset = mark_value(path, "mark_inner") + 1;
    fixture->known = recording_writer_add_address(writer, program_id, offset);
    fixture->unknown = recording_writer_add_address(writer, missing_id, 0x1234);
    fixture->jit = recording_writer_add_address(writer, 0, 0x7f0000001010);
    fixture->strange = recording_writer_add_address(writer, 0, 0x5000);
    assert_int_equal(recording_writer_commit(writer, &error), 0);
    assert_int_equal(recording_writer_finish(writer, true, &error), 0);
}

static void add_names(const struct fixture *fixture)
{
    char map_path[64];
    snprintf(map_path, sizeof(map_path), "/tmp/perf-%d.map", getpid());
    FILE *map = fopen(map_path, "w");
    assert_non_null(map);
    fputs("7f0000001000 100 LazyCompile:~old a.js:1\nnonsense\n"
          "7f0000001000 100 LazyCompile:*hot /app/a.js:7\n", map);
    fclose(map);
    struct mt_error error = {0};
    struct recording_writer *writer;
    struct symbolizer *symbolizer;
    assert_int_equal(recording_writer_append(fixture->recording, &writer, &error), 0);
    assert_int_equal(symbolizer_new(NULL, &symbolizer), 0);
    const int pids[] = {getpid(), 1};
    const struct resolve_recording_options options = {
        .root = fixture->folder, .perf_map_pids = pids, .perf_map_pid_count = 2};
    assert_int_equal(resolve_recording(writer, symbolizer, &options, &error), 0);
    /* Nothing is left to do: no row twice. */
    assert_int_equal(resolve_recording(writer, symbolizer, &options, &error), 0);
    symbolizer_free(symbolizer);
    assert_int_equal(recording_writer_finish(writer, true, &error), 0);
    unlink(map_path);
}

struct seen {
    const struct fixture *fixture;
    char functions[8][128];
    size_t function_count;
    size_t symbols_known;
    size_t symbols_jit;
    size_t symbols_other;
    size_t inlined;
    size_t unresolved;
    size_t source_lines;
    char hint[256];
    char debug_info[2][16];
    size_t modules;
};

static int see_symbol(void *context, const void *row)
{
    struct seen *seen = context;
    const struct recording_symbol_row *symbol = row;
    if (symbol->address == seen->fixture->known) {
        seen->symbols_known++;
        seen->inlined += symbol->is_inlined;
        assert_true(symbol->line > 0 && symbol->file > 0);
    } else if (symbol->address == seen->fixture->jit) {
        seen->symbols_jit++;
    } else {
        seen->symbols_other++;
    }
    return 0;
}

static int see_function(void *context, const void *row)
{
    struct seen *seen = context;
    const struct recording_function *function = row;
    assert_true(seen->function_count < 8);
    snprintf(seen->functions[seen->function_count++], 128, "%s", function->name);
    return 0;
}

static int see_address(void *context, const void *row)
{
    const struct recording_address *address = row;
    ((struct seen *)context)->unresolved += !address->is_resolved;
    return 0;
}

static int see_source(void *context, const void *row)
{
    const struct recording_source_row *line = row;
    struct seen *seen = context;
    seen->source_lines++;
    assert_true(strstr(line->text, "MARK(inner);") != NULL
                || strstr(line->text, "Buffer::grow<long>(size)") != NULL
                || strstr(line->text, "reserve(size)") != NULL);
    return 0;
}

static int see_module(void *context, const void *row)
{
    const struct recording_module *module = row;
    struct seen *seen = context;
    assert_true(seen->modules < 2 && module->debug_info != NULL);
    snprintf(seen->debug_info[seen->modules++], 16, "%s", module->debug_info);
    if (module->hint != NULL) {
        snprintf(seen->hint, sizeof(seen->hint), "%s", module->hint);
    }
    return 0;
}

static bool has_function(const struct seen *seen, const char *name)
{
    bool has = false;
    for (size_t i = 0; i < seen->function_count; i++) {
        has = has || strcmp(seen->functions[i], name) == 0;
    }
    return has;
}

static void recording_keeps_names_lines_and_hints(void **state)
{
    (void)state;
    struct fixture fixture = {.folder = "/tmp/resolve_recording_XXXXXX"};
    assert_non_null(mkdtemp(fixture.folder));
    snprintf(fixture.recording, sizeof(fixture.recording), "%s/a.mtk", fixture.folder);
    put_program(&fixture);
    write_recording(&fixture);
    add_names(&fixture);

    struct seen seen = {.fixture = &fixture};
    struct mt_error error = {0};
    struct recording_reader *reader;
    assert_int_equal(recording_reader_open(fixture.recording, &reader, &error), 0);
    recording_reader_each(reader, RECORDING_TABLE_SYMBOL, 0, see_symbol, &seen);
    recording_reader_each(reader, RECORDING_TABLE_FUNCTION, 0, see_function, &seen);
    recording_reader_each(reader, RECORDING_TABLE_ADDRESS, 0, see_address, &seen);
    recording_reader_each(reader, RECORDING_TABLE_SOURCE_LINE, 0, see_source, &seen);
    recording_reader_each(reader, RECORDING_TABLE_MODULE, 0, see_module, &seen);
    assert_true(recording_reader_is_complete(reader));
    recording_reader_close(reader);

    assert_int_equal(seen.symbols_known, 3);
    assert_int_equal(seen.inlined, 2);
    assert_int_equal(seen.symbols_jit, 1);
    assert_int_equal(seen.symbols_other, 0);
    assert_int_equal(seen.unresolved, 0);
    assert_int_equal(seen.source_lines, 3);
    assert_int_equal(seen.function_count, 4);
    assert_true(has_function(&seen, "fixture::outer(int)"));
    assert_true(has_function(&seen, "LazyCompile:*hot /app/a.js:7"));
    assert_string_equal(seen.debug_info[0], "full");
    assert_string_equal(seen.debug_info[1], "none");
    assert_string_equal(seen.hint, symbolizer_note_text(SYMBOLIZER_NOTE_FILE_MISSING));

    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", fixture.folder);
    assert_int_equal(system(command), 0);
}

static void perf_map_believes_only_its_owners_file(void **state)
{
    (void)state;
    char path[] = "/tmp/perf_map_test_XXXXXX";
    char link_path[64];
    int descriptor = mkstemp(path);
    assert_int_equal(write(descriptor, "10 5 f g\n20 x bad\n30 1 \n", 24), 24);
    close(descriptor);
    struct perf_map map = {0};
    assert_int_equal(perf_map_add_file(&map, path, geteuid()), 0);
    perf_map_sort(&map);
    assert_int_equal(map.count, 1);
    assert_string_equal(perf_map_find(&map, 0x14)->name, "f g");
    assert_null(perf_map_find(&map, 0x15));
    assert_null(perf_map_find(&map, 0xf));
    perf_map_deinit(&map);
    assert_true(perf_map_add_file(&map, path, geteuid() + 1) < 0);
    snprintf(link_path, sizeof(link_path), "%s.link", path);
    assert_int_equal(symlink(path, link_path), 0);
    assert_true(perf_map_add_file(&map, link_path, geteuid()) < 0);
    unlink(link_path);
    unlink(path);
    assert_true(perf_map_add_file(&map, path, geteuid()) < 0);
    assert_null(perf_map_find(&map, 0x14));
    perf_map_deinit(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recording_keeps_names_lines_and_hints),
        cmocka_unit_test(perf_map_believes_only_its_owners_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
