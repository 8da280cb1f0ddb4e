#include "symbolize/debug_file.h"

#include "symbolize/debug_server.h"
#include "symbolize/elf_expand.h"
#include "symbolize/symbolizer.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* Opens a regular file as ELF; the descriptor stays open, libdw finds .dwo files by it. */
static Elf *elf_open(const char *path, int *descriptor, int *why)
{
    *why = 0;
    *descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*descriptor < 0) {
        *why = errno;
        return NULL;
    }
    struct stat status;
    Elf *elf = NULL;
    if (fstat(*descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        *why = ENOENT;
    } else {
        elf = elf_begin(*descriptor, ELF_C_READ_MMAP, NULL);
        if (elf == NULL || elf_kind(elf) != ELF_K_ELF) {
            *why = EBADMSG;
            elf_end(elf);
            elf = NULL;
        }
    }
    if (elf == NULL) {
        close(*descriptor);
        *descriptor = -1;
    }
    return elf;
}

static void elf_shut(Elf *elf, int *descriptor)
{
    elf_end(elf);
    if (*descriptor >= 0) {
        close(*descriptor);
        *descriptor = -1;
    }
}

static bool elf_has_build_id(Elf *elf, const uint8_t *build_id, size_t build_id_bytes)
{
    const void *found = NULL;
    ssize_t length = dwelf_elf_gnu_build_id(elf, &found);
    return length > 0 && (size_t)length == build_id_bytes
           && memcmp(found, build_id, build_id_bytes) == 0;
}

bool debug_file_has_section(Elf *elf, const char *name)
{
    size_t names;
    if (elf_getshdrstrndx(elf, &names) != 0) {
        return false;
    }
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL || header.sh_type == SHT_NOBITS) {
            continue;
        }
        const char *found = elf_strptr(elf, names, header.sh_name);
        if (found != NULL && strcmp(found, name) == 0) {
            return true;
        }
    }
    return false;
}

/* .debug_info, or .zdebug_info as older linkers named compressed ones. A line table alone
 * counts too: it gives files and lines. */
static bool elf_has_debug(Elf *elf)
{
    return debug_file_has_section(elf, ".debug_info") || debug_file_has_section(elf, ".zdebug_info");
}

static int file_use_debug(struct debug_file *file, Elf *elf, int descriptor, const char *path)
{
    file->debug_path = strdup(path);
    if (file->debug_path == NULL) {
        elf_shut(elf, &descriptor);
        return -ENOMEM;
    }
    file->debug = elf;
    file->debug_descriptor = descriptor;
    return 0;
}

/* Takes the file at `path` if it has debug information and the right identity: the
 * build-id where one is known, else the checksum in .gnu_debuglink. */
static int file_try_debug(struct debug_file *file, const char *path, const uint32_t *checksum)
{
    int descriptor;
    int why;
    Elf *elf = elf_open(path, &descriptor, &why);
    if (elf == NULL) {
        return 0;
    }
    bool is_right = elf_has_debug(elf);
    if (is_right && file->build_id_bytes > 0) {
        is_right = elf_has_build_id(elf, file->build_id, file->build_id_bytes);
    } else if (is_right && checksum != NULL) {
        size_t size;
        const char *bytes = elf_rawfile(elf, &size);
        is_right = bytes != NULL && crc32_z(0, (const Bytef *)bytes, size) == *checksum;
    }
    if (!is_right) {
        elf_shut(elf, &descriptor);
        return 0;
    }
    return file_use_debug(file, elf, descriptor, path);
}

static int find_by_build_id(struct debug_file *file, const char *directory)
{
    if (file->build_id_bytes < 2) {
        return 0;
    }
    char hex[2 * DEBUG_FILE_BUILD_ID_MAX + 1];
    for (size_t i = 0; i < file->build_id_bytes; i++) {
        snprintf(hex + 2 * i, 3, "%02x", file->build_id[i]);
    }
    char *path;
    if (asprintf(&path, "%s/.build-id/%.2s/%s.debug", directory, hex, hex + 2) < 0) {
        return -ENOMEM;
    }
    int result = file_try_debug(file, path, NULL);
    free(path);
    return result;
}

/* The path of the file without its name, "" for a name alone. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

static int find_by_link(struct debug_file *file, const char *const *directories, const char *path,
                        const char *readable_path)
{
    GElf_Word checksum = 0;
    const char *name = file->main == NULL ? NULL : dwelf_elf_gnu_debuglink(file->main, &checksum);
    if (name == NULL || name[0] == '\0' || strchr(name, '/') != NULL) {
        return 0;
    }
    int beside = (int)folder_length(readable_path);
    int inside = (int)folder_length(path);
    for (size_t i = 0; file->debug == NULL; i++) {
        char *candidate;
        int length;
        if (i < 2) {
            length = asprintf(&candidate, "%.*s%s%s", beside, readable_path, i == 0 ? "" : ".debug/",
                              name);
        } else if (directories[i - 2] != NULL && path[0] == '/') {
            length = asprintf(&candidate, "%s%.*s%s", directories[i - 2], inside, path, name);
        } else {
            break;
        }
        if (length < 0) {
            return -ENOMEM;
        }
        /* A link to itself would read the whole file for its checksum. */
        int result = strcmp(candidate, readable_path) == 0
                         ? 0
                         : file_try_debug(file, candidate, &checksum);
        free(candidate);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static int find_by_server(struct debug_file *file, struct debug_file_places *places)
{
    if (!places->use_debuginfod || file->build_id_bytes == 0) {
        return 0;
    }
    char *path = NULL;
    switch (debug_server_find(&places->server, file->build_id, file->build_id_bytes, &path)) {
    case DEBUG_SERVER_FOUND:
        break;
    case DEBUG_SERVER_NOT_FOUND:
        return 0;
    case DEBUG_SERVER_FAILED:
        file->notes |= SYMBOLIZER_NOTE_DEBUGINFOD_FAILED;
        return 0;
    }
    int result = file_try_debug(file, path, NULL);
    free(path);
    return result;
}

static void read_code_ranges(struct debug_file *file, Elf *elf)
{
    size_t count;
    if (elf_getphdrnum(elf, &count) != 0) {
        return;
    }
    for (size_t i = 0; i < count && file->code_count < DEBUG_FILE_CODE_RANGES_MAX; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(elf, (int)i, &header) != NULL && header.p_type == PT_LOAD
            && (header.p_flags & PF_X) != 0 && header.p_vaddr + header.p_memsz > header.p_vaddr) {
            file->code[file->code_count].low = header.p_vaddr;
            file->code[file->code_count].high = header.p_vaddr + header.p_memsz;
            file->code_count++;
        }
    }
}

static void open_main(struct debug_file *file, const char *readable_path, const uint8_t *build_id,
                      size_t build_id_bytes)
{
    int why;
    file->main = elf_open(readable_path, &file->main_descriptor, &why);
    if (file->main == NULL) {
        file->notes |=
            why == EBADMSG ? SYMBOLIZER_NOTE_FILE_DAMAGED : SYMBOLIZER_NOTE_FILE_MISSING;
        return;
    }
    if (build_id_bytes > 0 && !elf_has_build_id(file->main, build_id, build_id_bytes)) {
        file->notes |= SYMBOLIZER_NOTE_BUILD_ID_DIFFERS;
        elf_shut(file->main, &file->main_descriptor);
        file->main = NULL;
        return;
    }
    const void *own = NULL;
    ssize_t own_bytes = dwelf_elf_gnu_build_id(file->main, &own);
    if (own_bytes > 0 && (size_t)own_bytes <= sizeof(file->build_id)) {
        memcpy(file->build_id, own, (size_t)own_bytes);
        file->build_id_bytes = (size_t)own_bytes;
    }
}

static int find_debug(struct debug_file *file, struct debug_file_places *places, const char *path,
                      const char *readable_path)
{
    if (file->main != NULL && elf_has_debug(file->main)) {
        file->debug = file->main;
        file->debug_path = strdup(readable_path);
        return file->debug_path == NULL ? -ENOMEM : 0;
    }
    int result = 0;
    for (size_t i = 0; result == 0 && file->debug == NULL && places->directories[i] != NULL; i++) {
        result = find_by_build_id(file, places->directories[i]);
    }
    if (result == 0 && file->debug == NULL) {
        result = find_by_link(file, (const char *const *)places->directories, path, readable_path);
    }
    if (result == 0 && file->debug == NULL) {
        result = find_by_server(file, places);
    }
    return result;
}

/* Beside the program or beside its debug file. */
static int find_package(struct debug_file *file, const char *readable_path)
{
    const char *const beside[] = {readable_path, file->debug_path};
    for (size_t i = 0; file->debug != NULL && file->package == NULL && i < 2; i++) {
        char *path;
        int why;
        if (asprintf(&path, "%s.dwp", beside[i]) < 0) {
            return -ENOMEM;
        }
        file->package = elf_open(path, &file->package_descriptor, &why);
        free(path);
    }
    return 0;
}

void debug_file_unpack(struct debug_file *file)
{
    if (!file->is_packed || file->expanded != NULL || file->debug == NULL) {
        return;
    }
    size_t size;
    file->expanded = elf_expand(file->debug, &size);
    Elf *expanded =
        file->expanded == NULL ? NULL : elf_memory((char *)file->expanded, size);
    if (expanded == NULL) {
        file->notes |= SYMBOLIZER_NOTE_DEBUG_COMPRESSED;
        free(file->expanded);
        file->expanded = NULL;
    }
    file->expanded_bytes = file->expanded == NULL ? 0 : size;
    if (file->debug != file->main) {
        elf_shut(file->debug, &file->debug_descriptor);
    }
    file->debug = expanded;
}

bool debug_file_use_image(struct debug_file *file, char *bytes, size_t image_bytes,
                          size_t mapped_bytes)
{
    Elf *image = elf_memory(bytes, image_bytes);
    if (image == NULL || elf_kind(image) != ELF_K_ELF || !elf_has_debug(image)) {
        elf_end(image);
        return false;
    }
    if (file->debug != file->main) {
        elf_shut(file->debug, &file->debug_descriptor);
    }
    file->debug = image;
    file->expanded = bytes;
    file->expanded_bytes = image_bytes;
    file->mapped_bytes = mapped_bytes;
    return true;
}

int debug_file_open(struct debug_file *file, struct debug_file_places *places, const char *path,
                    const char *readable_path, const uint8_t *build_id, size_t build_id_bytes)
{
    *file = (struct debug_file){.main_descriptor = -1, .debug_descriptor = -1, .package_descriptor = -1};
    if (build_id_bytes > sizeof(file->build_id)) {
        build_id_bytes = 0;
    }
    if (build_id_bytes > 0) {
        memcpy(file->build_id, build_id, build_id_bytes);
        file->build_id_bytes = build_id_bytes;
    }
    open_main(file, readable_path, build_id, build_id_bytes);
    int result = find_debug(file, places, path, readable_path);
    if (result == 0) {
        result = find_package(file, readable_path);
    }
    if (result != 0) {
        debug_file_close(file);
        return result;
    }
    if (file->debug != NULL) {
        file->notes &= ~(unsigned)(SYMBOLIZER_NOTE_FILE_MISSING | SYMBOLIZER_NOTE_BUILD_ID_DIFFERS);
    }
    file->is_packed = file->debug != NULL && elf_expand_is_needed(file->debug);
    if (file->main != NULL || file->debug != NULL) {
        read_code_ranges(file, file->main != NULL ? file->main : file->debug);
    }
    if (file->debug == NULL && file->main != NULL) {
        file->notes |= SYMBOLIZER_NOTE_NO_DEBUG;
    }
    return 0;
}

void debug_file_close(struct debug_file *file)
{
    if (file->debug != NULL && file->debug != file->main) {
        elf_end(file->debug);
    }
    elf_end(file->main);
    elf_shut(file->package, &file->package_descriptor);
    if (file->main_descriptor >= 0) {
        close(file->main_descriptor);
    }
    if (file->debug_descriptor >= 0) {
        close(file->debug_descriptor);
    }
    free(file->debug_path);
    if (file->mapped_bytes > 0) {
        munmap(file->expanded, file->mapped_bytes);
    } else {
        free(file->expanded);
    }
    unsigned notes = file->notes;
    *file = (struct debug_file){.main_descriptor = -1, .debug_descriptor = -1, .package_descriptor = -1, .notes = notes};
}

bool debug_file_is_code(const struct debug_file *file, uint64_t address)
{
    for (size_t i = 0; i < file->code_count; i++) {
        if (address >= file->code[i].low && address < file->code[i].high) {
            return true;
        }
    }
    return file->code_count == 0;
}

void debug_file_release_pages(const struct debug_file *file)
{
    if (file->debug == NULL || file->expanded != NULL) {
        return;
    }
    size_t size;
    char *bytes = elf_rawfile(file->debug, &size);
    /* Clean pages of a private file mapping: they come back from the file when needed. */
    if (bytes != NULL && ((uintptr_t)bytes & 4095u) == 0) {
        madvise(bytes, size, MADV_DONTNEED);
    }
}
