/* Claims about symbolize/cache_folder.h, answer_cache.h and module_cache.h: with them the
 * answers are the same, whatever happens to the files. */
#include "symbolize/symbolizer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libdeflate.h>
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

#define ADDRESSES 300u
#define FILES_MAX 16u
#define CHECKSUM_AT 8u /* of a file of answers; it covers all that follows it */

/* Compressed by zlib and by zstd, in a file of its own, and not compressed. libc has
 * thousands of units where its debug file is installed. */
static const char *const modules[] = {
    FIXTURE_FOLDER "/g++-zlib/program",
    FIXTURE_FOLDER "/zstd/program",
    FIXTURE_FOLDER "/g++-dwarf5/program",
    FIXTURE_FOLDER "/stripped/program",
    "/lib/x86_64-linux-gnu/libc.so.6",
};
#define MODULES (sizeof(modules) / sizeof(modules[0]))

/* All answers of a module as one text. */
struct told {
    char *lines[ADDRESSES];
    unsigned notes;
    enum symbolizer_quality quality;
};

static void tell(void *context, const struct symbolizer_answer *answer)
{
    struct told *told = context;
    size_t size;
    FILE *out = open_memstream(&told->lines[answer->index], &size);
    assert_non_null(out);
    fprintf(out, "quality %d\n", (int)answer->quality);
    for (size_t i = 0; i < answer->frame_count; i++) {
        const struct symbolizer_frame *frame = &answer->frames[i];
        fprintf(out, "%s|%s|%s:%u:%u|%u|%llx|%d\n", frame->function ? frame->function : "-",
                frame->linkage_name ? frame->linkage_name : "-", frame->file ? frame->file : "-",
                frame->line, frame->column, frame->function_line,
                (unsigned long long)frame->function_start, frame->is_inlined);
    }
    fclose(out);
}

static void code_range(const char *path, uint64_t *low, uint64_t *high)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(descriptor, ELF_C_READ_MMAP, NULL);
    size_t count = 0;
    assert_int_equal(elf_getphdrnum(elf, &count), 0);
    *high = 0;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr header;
        assert_non_null(gelf_getphdr(elf, (int)i, &header));
        if (header.p_type == PT_LOAD && (header.p_flags & PF_X) != 0) {
            *low = header.p_vaddr;
            *high = header.p_vaddr + header.p_memsz;
        }
    }
    elf_end(elf);
    close(descriptor);
    assert_true(*high > *low);
}

/* Asks for addresses[first..ADDRESSES), spread over the module's code. */
static void ask(const char *path, const char *cache, size_t first, struct told *told)
{
    const struct symbolizer_options options = {.cache_directory = cache, .thread_count = 2};
    const struct symbolizer_module_file file = {.path = path};
    struct symbolizer_query queries[ADDRESSES];
    struct symbolizer *symbolizer;
    struct symbolizer_module *module;
    uint64_t low = 0;
    uint64_t high = 0;
    memset(told, 0, sizeof(*told));
    code_range(path, &low, &high);
    for (size_t i = 0; i < ADDRESSES; i++) {
        queries[i] = (struct symbolizer_query){.offset = low + (high - low) * i / ADDRESSES};
    }
    assert_int_equal(symbolizer_new(&options, &symbolizer), 0);
    assert_int_equal(symbolizer_module_open(symbolizer, &file, &module), 0);
    assert_int_equal(symbolizer_resolve(module, queries + first, ADDRESSES - first, tell, told), 0);
    told->quality = symbolizer_module_quality(module);
    told->notes = symbolizer_module_notes(module);
    symbolizer_free(symbolizer);
}

static void told_free(struct told *told)
{
    for (size_t i = 0; i < ADDRESSES; i++) {
        free(told->lines[i]);
    }
}

static void assert_told_equal(const struct told *expected, size_t first, const struct told *got)
{
    assert_int_equal(expected->quality, got->quality);
    assert_int_equal(expected->notes, got->notes);
    for (size_t i = 0; i + first < ADDRESSES; i++) {
        assert_string_equal(expected->lines[i + first], got->lines[i]);
    }
}

static void expect_same(const char *path, const char *cache, size_t first,
                        const struct told *expected)
{
    struct told got;
    ask(path, cache, first, &got);
    assert_told_equal(expected, first, &got);
    told_free(&got);
}

/* ---- the folder ---------------------------------------------------------- */

static char *folder_new(void)
{
    char name[] = "/tmp/memtrack-cache-XXXXXX";
    char *folder = mkdtemp(name);
    assert_non_null(folder);
    return strdup(folder);
}

struct listing {
    char *paths[FILES_MAX];
    size_t count;
};

static void folder_list(const char *folder, struct listing *listing)
{
    DIR *directory = opendir(folder);
    listing->count = 0;
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] != '.') {
            assert_true(listing->count < FILES_MAX);
            assert_true(asprintf(&listing->paths[listing->count++], "%s/%s", folder, entry->d_name)
                        > 0);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}

static void listing_free(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        free(listing->paths[i]);
    }
}

static void folder_remove(char *folder)
{
    struct listing listing;
    folder_list(folder, &listing);
    for (size_t i = 0; i < listing.count; i++) {
        if (unlink(listing.paths[i]) != 0) {
            rmdir(listing.paths[i]);
        }
    }
    listing_free(&listing);
    rmdir(folder);
    free(folder);
}

static char *file_load(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    struct stat status;
    assert_int_equal(fstat(fileno(in), &status), 0);
    *size = (size_t)status.st_size;
    char *bytes = malloc(*size + 1);
    assert_int_equal(fread(bytes, 1, *size, in), *size);
    fclose(in);
    return bytes;
}

static void file_save(const char *path, const char *bytes, size_t size)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

/* ---- claims -------------------------------------------------------------- */

static void answers_are_the_same_from_the_cache(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODULES; i++) {
        if (access(modules[i], R_OK) != 0) {
            print_message("%s: not here\n", modules[i]);
            continue;
        }
        char *folder = folder_new();
        struct told expected;
        ask(modules[i], NULL, 0, &expected);
        expect_same(modules[i], folder, ADDRESSES / 2, &expected); /* nothing is known */
        expect_same(modules[i], folder, 0, &expected);             /* a half is */
        expect_same(modules[i], folder, 0, &expected);             /* all is */
        struct listing listing;
        folder_list(folder, &listing);
        assert_true(listing.count > 0);
        listing_free(&listing);
        told_free(&expected);
        folder_remove(folder);
    }
}

/* Else the claim before would hold of a cache that is never read. */
static void answers_come_from_the_cache(void **state)
{
    (void)state;
    char *folder = folder_new();
    struct told told;
    const char *path = FIXTURE_FOLDER "/g++-dwarf5/program";
    ask(path, folder, 0, &told);
    told_free(&told);
    struct listing listing;
    folder_list(folder, &listing);
    assert_int_equal(listing.count, 1);
    size_t size;
    char *bytes = file_load(listing.paths[0], &size);
    char *name = memmem(bytes, size, "fixture::outer(int)", 19);
    assert_non_null(name);
    memcpy(name, "from the cache", 14);
    uint32_t checksum = libdeflate_crc32(0, bytes + CHECKSUM_AT + 4, size - CHECKSUM_AT - 4);
    memcpy(bytes + CHECKSUM_AT, &checksum, sizeof(checksum));
    file_save(listing.paths[0], bytes, size);
    free(bytes);
    ask(path, folder, 0, &told);
    bool is_found = false;
    for (size_t i = 0; i < ADDRESSES; i++) {
        is_found = is_found || strstr(told.lines[i], "from the cache") != NULL;
    }
    assert_true(is_found);
    told_free(&told);
    listing_free(&listing);
    folder_remove(folder);
}

static void damage_and_ask(const char *module, const char *folder, const char *path,
                           const struct told *expected)
{
    size_t size;
    char *bytes = file_load(path, &size);
    static const char junk[64] = {1, 2, 3};
    for (size_t i = 0; i < 12; i++) {
        size_t at = i < 6 ? i * 7 % size : size / 7 * (i - 5) % size;
        bytes[at] = (char)(bytes[at] ^ (1 << (i % 8)));
        file_save(path, bytes, size);
        expect_same(module, folder, 0, expected);
        bytes[at] = (char)(bytes[at] ^ (1 << (i % 8)));
        file_save(path, bytes, size / 12 * i); /* cut off */
        expect_same(module, folder, 0, expected);
    }
    file_save(path, junk, sizeof(junk));
    expect_same(module, folder, 0, expected);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    expect_same(module, folder, 0, expected);
    rmdir(path);
    file_save(path, bytes, size);
    free(bytes);
}

static void damaged_files_are_ignored(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODULES; i++) {
        if (access(modules[i], R_OK) != 0) {
            continue;
        }
        char *folder = folder_new();
        struct told expected;
        struct listing listing;
        ask(modules[i], NULL, 0, &expected);
        expect_same(modules[i], folder, ADDRESSES / 2, &expected);
        folder_list(folder, &listing);
        for (size_t k = 0; k < listing.count; k++) {
            damage_and_ask(modules[i], folder, listing.paths[k], &expected);
        }
        listing_free(&listing);
        told_free(&expected);
        folder_remove(folder);
    }
}

static void files_made_from_others_are_ignored(void **state)
{
    (void)state;
    char *folder = folder_new();
    char program[64];
    struct told expected;
    struct told told;
    size_t size;
    char *bytes = file_load(FIXTURE_FOLDER "/g++-dwarf5/program", &size);
    snprintf(program, sizeof(program), "%s/.program", folder);
    file_save(program, bytes, size);
    free(bytes);
    ask(program, folder, 0, &told);
    assert_int_equal(told.quality, SYMBOLIZER_QUALITY_DEBUG);
    told_free(&told);
    /* The same build-id, without debug information. */
    bytes = file_load(FIXTURE_FOLDER "/stripped/program", &size);
    file_save(program, bytes, size);
    free(bytes);
    ask(program, NULL, 0, &expected);
    expect_same(program, folder, 0, &expected);
    assert_int_not_equal(expected.quality, SYMBOLIZER_QUALITY_DEBUG);
    told_free(&expected);
    unlink(program);
    folder_remove(folder);
}

static void a_folder_that_others_can_write_is_not_used(void **state)
{
    (void)state;
    char *folder = folder_new();
    struct told told;
    struct listing listing;
    assert_int_equal(chmod(folder, 0777), 0);
    ask(FIXTURE_FOLDER "/g++-dwarf5/program", folder, 0, &told);
    told_free(&told);
    folder_list(folder, &listing);
    assert_int_equal(listing.count, 0);
    folder_remove(folder);
}

static void a_folder_that_cannot_be_made_is_no_error(void **state)
{
    (void)state;
    struct told expected;
    ask(FIXTURE_FOLDER "/g++-dwarf5/program", NULL, 0, &expected);
    expect_same(FIXTURE_FOLDER "/g++-dwarf5/program", "/proc/self/nowhere/symbols", 0, &expected);
    told_free(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_the_same_from_the_cache),
        cmocka_unit_test(answers_come_from_the_cache),
        cmocka_unit_test(damaged_files_are_ignored),
        cmocka_unit_test(files_made_from_others_are_ignored),
        cmocka_unit_test(a_folder_that_others_can_write_is_not_used),
        cmocka_unit_test(a_folder_that_cannot_be_made_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
