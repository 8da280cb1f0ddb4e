/* Claims about recorder/executable.h, with files that the test makes. */
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "recorder/executable.h"

static char folder[64];

static const char *file_write(const char *name, const void *content, size_t bytes, mode_t mode)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, bytes), bytes);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

/* The smallest file that passes for a dynamic program with this loader (NULL: none). */
static const char *elf_write(const char *name, const char *loader, uint16_t machine,
                             unsigned char class, mode_t mode)
{
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segments[2];
        char loader[64];
    } file = {0};
    memcpy(file.header.e_ident, ELFMAG, SELFMAG);
    file.header.e_ident[EI_CLASS] = class;
    file.header.e_ident[EI_DATA] = ELFDATA2LSB;
    file.header.e_ident[EI_VERSION] = EV_CURRENT;
    file.header.e_type = ET_DYN;
    file.header.e_machine = machine;
    file.header.e_version = EV_CURRENT;
    file.header.e_ehsize = sizeof file.header;
    file.header.e_phoff = offsetof(__typeof__(file), segments);
    file.header.e_phentsize = sizeof file.segments[0];
    file.header.e_phnum = loader == NULL ? 1 : 2;
    file.segments[0].p_type = PT_LOAD;
    file.segments[1].p_type = PT_INTERP;
    file.segments[1].p_offset = offsetof(__typeof__(file), loader);
    if (loader != NULL) {
        snprintf(file.loader, sizeof file.loader, "%s", loader);
        file.segments[1].p_filesz = strlen(loader) + 1;
    }
    return file_write(name, &file, sizeof file, mode);
}

static void assert_refused(const char *path, enum mt_status status, const char *because)
{
    struct mt_error error = {0};
    assert_int_not_equal(executable_check(path, &error), 0);
    assert_int_equal(error.status, status);
    if (strstr(error.text, because) == NULL) {
        fail_msg("'%s' does not say '%s'", error.text, because);
    }
}

#define LOADER "/lib64/ld-linux-x86-64.so.2"

static void executable_check_accepts_dynamic_glibc_programs(void **state)
{
    (void)state;
    struct mt_error error = {0};
    assert_int_equal(
        executable_check(elf_write("good", LOADER, EM_X86_64, ELFCLASS64, 0755), &error), 0);
    assert_int_equal(executable_check("/bin/sh", &error), 0);
    /* The loader itself, run as a program. */
    assert_int_equal(executable_check(LOADER, &error), 0);
}

static void executable_check_refuses_what_cannot_load_the_shim(void **state)
{
    (void)state;
    assert_refused(elf_write("static", NULL, EM_X86_64, ELFCLASS64, 0755), MT_STATUS_FAILED,
                   "static");
    assert_refused(elf_write("arm", LOADER, EM_AARCH64, ELFCLASS64, 0755), MT_STATUS_FAILED,
                   "another machine");
    assert_refused(elf_write("suid", LOADER, EM_X86_64, ELFCLASS64, 04755), MT_STATUS_FAILED,
                   "set-uid");
    assert_refused(elf_write("sgid", LOADER, EM_X86_64, ELFCLASS64, 02755), MT_STATUS_FAILED,
                   "set-gid");
    assert_refused(elf_write("gone", "/no/such/ld.so", EM_X86_64, ELFCLASS64, 0755),
                   MT_STATUS_NOT_FOUND, "/no/such/ld.so");
}

static void executable_check_names_musl(void **state)
{
    (void)state;
    char loader[80];
    char path[PATH_MAX];
    snprintf(loader, sizeof loader, "%s", file_write("ld-musl-x86_64.so.1", "", 0, 0755));
    snprintf(path, sizeof path, "%s", elf_write("musl", loader, EM_X86_64, ELFCLASS64, 0755));
    assert_refused(path, MT_STATUS_FAILED, "musl");
}

static void executable_check_refuses_32_bit_programs(void **state)
{
    (void)state;
    Elf32_Ehdr header = {.e_type = ET_EXEC, .e_machine = EM_386, .e_version = EV_CURRENT};
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS32;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    assert_refused(file_write("small", &header, sizeof header, 0755), MT_STATUS_FAILED, "32-bit");
}

static void executable_check_survives_any_cut_and_any_byte(void **state)
{
    (void)state;
    static char whole[4096];
    int fd = open(elf_write("victim", LOADER, EM_X86_64, ELFCLASS64, 0755), O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, whole, sizeof whole);
    close(fd);
    assert_true(length > 64);
    for (ssize_t cut = 0; cut < length; cut += 3) {
        struct mt_error error = {0};
        (void)executable_check(file_write("cut", whole, (size_t)cut, 0755), &error);
    }
    for (ssize_t at = 0; at < length; at++) {
        char saved = whole[at];
        struct mt_error error = {0};
        whole[at] = (char)~saved;
        (void)executable_check(file_write("bit", whole, (size_t)length, 0755), &error);
        whole[at] = saved;
    }
    assert_refused(file_write("cut", whole, 80, 0755), MT_STATUS_NOT_EXECUTABLE, "damaged");
}

static void script_write(const char *name, const char *interpreter)
{
    char line[PATH_MAX + 32];
    snprintf(line, sizeof line, "#! %s -x\nexit 0\n", interpreter);
    file_write(name, line, strlen(line), 0755);
}

static void executable_check_follows_interpreters_to_their_end(void **state)
{
    (void)state;
    char path[PATH_MAX];
    char inner[PATH_MAX];
    struct mt_error error = {0};
    script_write("shell", "/bin/sh");
    snprintf(inner, sizeof inner, "%s/shell", folder);
    assert_int_equal(executable_check(inner, &error), 0);

    script_write("nested", inner);
    snprintf(path, sizeof path, "%s/nested", folder);
    assert_int_equal(executable_check(path, &error), 0);

    script_write("missing", "/no/such/interpreter");
    snprintf(path, sizeof path, "%s/missing", folder);
    assert_refused(path, MT_STATUS_NOT_FOUND, "/no/such/interpreter");

    elf_write("static", NULL, EM_X86_64, ELFCLASS64, 0755);
    snprintf(inner, sizeof inner, "%s/static", folder);
    script_write("by_static", inner);
    snprintf(path, sizeof path, "%s/by_static", folder);
    assert_refused(path, MT_STATUS_FAILED, "static");

    snprintf(path, sizeof path, "%s/ring", folder);
    script_write("ring", path);
    assert_refused(path, MT_STATUS_NOT_EXECUTABLE, "too often");

    assert_refused(file_write("none", "#!\n", 3, 0755), MT_STATUS_NOT_EXECUTABLE, "no interpreter");
}

static void executable_find_searches_path_as_a_shell_does(void **state)
{
    (void)state;
    struct executable found;
    struct mt_error error = {0};
    char search[256];
    char expected[PATH_MAX];
    file_write("tool", "exit 0\n", 7, 0755);
    file_write("data", "exit 0\n", 7, 0644);
    snprintf(search, sizeof search, "/no/such/folder:%s:/bin", folder);
    snprintf(expected, sizeof expected, "%s/tool", folder);
    assert_int_equal(executable_find("tool", search, &found, &error), 0);
    assert_string_equal(found.path, expected);
    assert_int_equal(executable_find("sh", NULL, &found, &error), 0);

    assert_int_not_equal(executable_find("no-such-tool", search, &found, &error), 0);
    assert_int_equal(error.status, MT_STATUS_NOT_FOUND);
    error = (struct mt_error){0};
    assert_int_not_equal(executable_find("data", folder, &found, &error), 0);
    assert_int_equal(error.status, MT_STATUS_NOT_EXECUTABLE);
    error = (struct mt_error){0};
    assert_int_not_equal(executable_find("/", search, &found, &error), 0);
    assert_int_equal(error.status, MT_STATUS_NOT_EXECUTABLE);
    error = (struct mt_error){0};
    assert_int_not_equal(executable_find("", search, &found, &error), 0);
    assert_int_equal(error.status, MT_STATUS_NOT_FOUND);
}

static void executable_find_takes_an_empty_entry_of_path_for_this_folder(void **state)
{
    (void)state;
    struct executable found;
    char before[PATH_MAX];
    assert_non_null(getcwd(before, sizeof before));
    file_write("here", "exit 0\n", 7, 0755);
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(executable_find("here", "/no/such:", &found, NULL), 0);
    assert_string_equal(found.path, "./here");
    assert_int_equal(chdir(before), 0);
}

static void executable_knows_scripts_without_an_interpreter_line(void **state)
{
    (void)state;
    assert_true(executable_is_plain_script(file_write("a", "echo hi\n", 8, 0755)));
    assert_true(executable_is_plain_script(file_write("b", "", 0, 0755)));
    assert_false(executable_is_plain_script(file_write("c", "\0\1\2\n", 4, 0755)));
    assert_false(executable_is_plain_script("/no/such/file"));
}

static int folder_make(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/memtrack-test-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int folder_remove(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(executable_check_accepts_dynamic_glibc_programs),
        cmocka_unit_test(executable_check_refuses_what_cannot_load_the_shim),
        cmocka_unit_test(executable_check_names_musl),
        cmocka_unit_test(executable_check_refuses_32_bit_programs),
        cmocka_unit_test(executable_check_survives_any_cut_and_any_byte),
        cmocka_unit_test(executable_check_follows_interpreters_to_their_end),
        cmocka_unit_test(executable_find_searches_path_as_a_shell_does),
        cmocka_unit_test(executable_find_takes_an_empty_entry_of_path_for_this_folder),
        cmocka_unit_test(executable_knows_scripts_without_an_interpreter_line),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
