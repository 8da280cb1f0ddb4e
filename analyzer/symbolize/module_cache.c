#include "symbolize/module_cache.h"

#include <fcntl.h>
#include <libdeflate.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Larger ones would push all others out of the folder. */
#define DEBUG_MAX_BYTES ((size_t)64 << 20)
#define UNITS_MAX_BYTES ((size_t)32 << 20)
/* Fewer are listed sooner than read. */
#define UNITS_WORTH 32u

/* With one of these, another run may know more while the files look the same. */
#define NOTES_THAT_PASS                                                                        \
    (unsigned)(SYMBOLIZER_NOTE_SPLIT_MISSING | SYMBOLIZER_NOTE_ALTERNATE_MISSING               \
               | SYMBOLIZER_NOTE_DEBUGINFOD_FAILED | SYMBOLIZER_NOTE_FILE_MISSING)

/* ---- names and identity -------------------------------------------------- */

static void identity_add(char *text, size_t room, const char *what, int descriptor)
{
    struct stat status;
    size_t used = strlen(text);
    if (descriptor >= 0 && fstat(descriptor, &status) == 0) {
        snprintf(text + used, room - used, "%s %llu %lld.%09ld\n", what,
                 (unsigned long long)status.st_size, (long long)status.st_mtim.tv_sec,
                 status.st_mtim.tv_nsec);
    }
}

/* The files that the answers depend on. This program is one of them: another version may
 * write names in another way. */
static void module_identify(const struct symbolizer_module *module, char *text, size_t room)
{
    const struct debug_file *file = &module->file;
    text[0] = '\0';
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    identity_add(text, room, "memtrack", self);
    if (self >= 0) {
        close(self);
    }
    identity_add(text, room, "file", file->main_descriptor);
    if (file->debug_path != NULL && file->debug != file->main) {
        identity_add(text, room, file->debug_path, file->debug_descriptor);
    }
    identity_add(text, room, "package", file->package_descriptor);
}

/* The name of the module's file with this ending, in name[0..room). */
static const char *cache_file_name(const struct symbolizer_module *module, const char *ending,
                                   char *name, size_t room)
{
    snprintf(name, room, "%s%s", module->cache_name, ending);
    return name;
}

static bool module_name_files(struct symbolizer_module *module)
{
    const struct debug_file *file = &module->file;
    char name[2 * DEBUG_FILE_BUILD_ID_MAX + 1];
    char identity[PATH_MAX + 512];
    for (size_t i = 0; i < file->build_id_bytes; i++) {
        snprintf(name + 2 * i, 3, "%02x", file->build_id[i]);
    }
    module_identify(module, identity, sizeof(identity));
    module->cache_name = strdup(name);
    module->identity = strdup(identity);
    return module->cache_name != NULL && module->identity != NULL;
}

static void module_forget_files(struct symbolizer_module *module)
{
    free(module->cache_name);
    free(module->identity);
    module->cache_name = NULL;
    module->identity = NULL;
}

void module_cache_open(struct symbolizer_module *module)
{
    struct symbolizer *symbolizer = module->symbolizer;
    struct answer_cache_facts facts;
    if (symbolizer->cache_folder.path == NULL || module->file.main == NULL
        || module->file.build_id_bytes == 0) {
        return;
    }
    if (!module_name_files(module)) {
        module_forget_files(module);
        return;
    }
    module->cache = answer_cache_open(&symbolizer->cache_folder, module->cache_name,
                                      module->identity, &symbolizer->pool);
    if (module->cache != NULL && answer_cache_facts(module->cache, &facts)) {
        module_note(module, facts.notes);
    }
}

void module_cache_close(struct symbolizer_module *module)
{
    unsigned notes = atomic_load_explicit(&module->notes, memory_order_relaxed);
    /* Without units nothing was asked that was not known. */
    if (module->cache != NULL && module->has_units && (notes & NOTES_THAT_PASS) == 0) {
        const struct answer_cache_facts facts = {.quality = module_quality(module),
                                                 .notes = notes};
        (void)answer_cache_store(module->cache, &facts);
    }
    answer_cache_free(module->cache);
    module->cache = NULL;
    module_forget_files(module);
}

/* ---- the debug information, readable ------------------------------------- */

/*
 *   the ELF file | identity with its NUL | footer
 */
struct debug_footer {
    char magic[8];
    uint64_t image_bytes;
    uint32_t identity_bytes;
    uint32_t checksum; /* of the ELF file */
};

_Static_assert(sizeof(struct debug_footer) == 24, "the file's layout");

static const char debug_magic[8] = "MTDBG01";

/* How long the ELF file at its begin is; 0: it is damaged, or made from other files. */
static size_t debug_image_bytes(const struct symbolizer_module *module, const char *bytes,
                                size_t size)
{
    struct debug_footer footer;
    size_t identity_bytes = strlen(module->identity) + 1;
    if (size <= sizeof(footer) + identity_bytes) {
        return 0;
    }
    memcpy(&footer, bytes + size - sizeof(footer), sizeof(footer));
    size_t image_bytes = size - sizeof(footer) - identity_bytes;
    bool is_right = memcmp(footer.magic, debug_magic, sizeof(debug_magic)) == 0
                    && footer.image_bytes == image_bytes
                    && footer.identity_bytes == identity_bytes
                    && memcmp(bytes + image_bytes, module->identity, identity_bytes) == 0
                    && footer.checksum == libdeflate_crc32(0, bytes, image_bytes);
    return is_right ? image_bytes : 0;
}

bool module_cache_load_debug(struct symbolizer_module *module)
{
    char name[2 * DEBUG_FILE_BUILD_ID_MAX + 16];
    size_t size;
    if (module->cache_name == NULL || !module->file.is_packed) {
        return false;
    }
    char *bytes = cache_folder_map(&module->symbolizer->cache_folder,
                                   cache_file_name(module, ".debug", name, sizeof(name)), &size);
    if (bytes == NULL) {
        return false;
    }
    size_t image_bytes = debug_image_bytes(module, bytes, size);
    if (image_bytes == 0 || !debug_file_use_image(&module->file, bytes, image_bytes, size)) {
        munmap(bytes, size);
        return false;
    }
    return true;
}

void module_cache_store_debug(const struct symbolizer_module *module)
{
    const struct debug_file *file = &module->file;
    char name[2 * DEBUG_FILE_BUILD_ID_MAX + 16];
    if (module->cache_name == NULL || file->expanded == NULL
        || file->expanded_bytes > DEBUG_MAX_BYTES) {
        return;
    }
    size_t identity_bytes = strlen(module->identity) + 1;
    struct debug_footer footer = {
        .image_bytes = file->expanded_bytes,
        .identity_bytes = (uint32_t)identity_bytes,
        .checksum = libdeflate_crc32(0, file->expanded, file->expanded_bytes)};
    memcpy(footer.magic, debug_magic, sizeof(debug_magic));
    const struct cache_part parts[] = {
        {.bytes = file->expanded, .size = file->expanded_bytes},
        {.bytes = module->identity, .size = identity_bytes},
        {.bytes = &footer, .size = sizeof(footer)},
    };
    (void)cache_folder_write(&module->symbolizer->cache_folder,
                             cache_file_name(module, ".debug", name, sizeof(name)), parts, 3);
}

/* ---- units --------------------------------------------------------------- */

/*
 *   header | identity | units | starts | values | unmapped
 */
struct units_header {
    char magic[8];
    uint32_t checksum; /* of all that follows it */
    uint32_t identity_bytes; /* with its NUL, padded to 8 */
    uint32_t unit_count;
    uint32_t start_count;
    uint32_t unmapped_count;
    uint32_t unused;
};

struct units_entry {
    uint64_t die_offset;
    uint64_t length_bytes;
};

_Static_assert(sizeof(struct units_header) == 32, "the file's layout");

static const char units_magic[8] = "MTUNI01";

static uint32_t units_checksum(const struct units_header *header, const char *rest, size_t size)
{
    size_t first = offsetof(struct units_header, identity_bytes);
    uint32_t checksum = libdeflate_crc32(0, (const char *)header + first, sizeof(*header) - first);
    return libdeflate_crc32(checksum, rest, size);
}

static bool numbers_are_units(const uint32_t *numbers, size_t count, size_t unit_count,
                              bool may_be_none)
{
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] >= unit_count && !(may_be_none && numbers[i] == INTERVAL_MAP_NONE)) {
            return false;
        }
    }
    return true;
}

/* A copy of count elements at *at, which moves on; also of none it is not NULL. */
static void *part_copy(const char **at, size_t count, size_t element_bytes)
{
    void *copy = malloc(count * element_bytes + 1);
    if (copy != NULL) {
        memcpy(copy, *at, count * element_bytes);
    }
    *at += count * element_bytes;
    return copy;
}

/* Takes the parts of a file that was found whole; false when memory is short or a number
 * in it names nothing. */
static bool units_take(struct symbolizer_module *module, const struct units_header *header,
                       const char *at)
{
    const char *entries = at;
    at += header->unit_count * sizeof(struct units_entry);
    module->unit_map.starts = part_copy(&at, header->start_count, sizeof(uint64_t));
    module->unit_map.values = part_copy(&at, header->start_count, sizeof(uint32_t));
    module->unmapped_units = part_copy(&at, header->unmapped_count, sizeof(uint32_t));
    module->units = calloc((size_t)header->unit_count + 1, sizeof(module->units[0]));
    if (module->unit_map.starts == NULL || module->unit_map.values == NULL
        || module->unmapped_units == NULL || module->units == NULL
        || !numbers_are_units(module->unit_map.values, header->start_count, header->unit_count,
                              true)
        || !numbers_are_units(module->unmapped_units, header->unmapped_count, header->unit_count,
                              false)) {
        return false;
    }
    for (size_t i = 0; i < header->unit_count; i++) {
        struct units_entry entry;
        memcpy(&entry, entries + i * sizeof(entry), sizeof(entry));
        module->units[i] = (struct module_unit){.die_offset = entry.die_offset,
                                                .length_bytes = entry.length_bytes};
    }
    module->unit_map.count = header->start_count;
    module->unmapped_count = header->unmapped_count;
    module->unit_count = header->unit_count;
    return true;
}

static bool units_accept(struct symbolizer_module *module, const char *bytes, size_t size)
{
    struct units_header header;
    size_t identity_bytes = (strlen(module->identity) + 1 + 7) & ~(size_t)7;
    if (size < sizeof(header) + identity_bytes) {
        return false;
    }
    memcpy(&header, bytes, sizeof(header));
    uint64_t wanted = sizeof(header) + (uint64_t)identity_bytes
                      + (uint64_t)header.unit_count * sizeof(struct units_entry)
                      + (uint64_t)header.start_count * (sizeof(uint64_t) + sizeof(uint32_t))
                      + (uint64_t)header.unmapped_count * sizeof(uint32_t);
    return memcmp(header.magic, units_magic, sizeof(units_magic)) == 0 && wanted == size
           && header.identity_bytes == identity_bytes
           && header.checksum
                  == units_checksum(&header, bytes + sizeof(header), size - sizeof(header))
           && strncmp(bytes + sizeof(header), module->identity, identity_bytes) == 0
           && units_take(module, &header, bytes + sizeof(header) + identity_bytes);
}

bool module_cache_load_units(struct symbolizer_module *module)
{
    char name[2 * DEBUG_FILE_BUILD_ID_MAX + 16];
    size_t size;
    if (module->cache_name == NULL) {
        return false;
    }
    char *bytes = cache_folder_read(&module->symbolizer->cache_folder,
                                    cache_file_name(module, ".units", name, sizeof(name)),
                                    UNITS_MAX_BYTES, &size);
    bool is_taken = bytes != NULL && units_accept(module, bytes, size);
    free(bytes);
    if (!is_taken) {
        interval_map_deinit(&module->unit_map);
        free(module->units);
        free(module->unmapped_units);
        module->units = NULL;
        module->unmapped_units = NULL;
    }
    return is_taken;
}

void module_cache_store_units(const struct symbolizer_module *module)
{
    char name[2 * DEBUG_FILE_BUILD_ID_MAX + 16];
    unsigned notes = atomic_load_explicit(&module->notes, memory_order_relaxed);
    if (module->cache_name == NULL || module->unit_count < UNITS_WORTH
        || (notes & (SYMBOLIZER_NOTE_DEBUG_DAMAGED | SYMBOLIZER_NOTE_ALTERNATE_MISSING)) != 0) {
        return;
    }
    size_t identity_bytes = (strlen(module->identity) + 1 + 7) & ~(size_t)7;
    size_t map_count = module->unit_map.count;
    size_t rest_bytes = identity_bytes + module->unit_count * sizeof(struct units_entry)
                        + map_count * (sizeof(uint64_t) + sizeof(uint32_t))
                        + module->unmapped_count * sizeof(uint32_t);
    char *rest = rest_bytes > UNITS_MAX_BYTES - 4096 ? NULL : calloc(1, rest_bytes);
    if (rest == NULL) {
        return;
    }
    memcpy(rest, module->identity, strlen(module->identity));
    char *to = rest + identity_bytes;
    for (size_t i = 0; i < module->unit_count; i++) {
        const struct units_entry entry = {.die_offset = module->units[i].die_offset,
                                          .length_bytes = module->units[i].length_bytes};
        memcpy(to, &entry, sizeof(entry));
        to += sizeof(entry);
    }
    memcpy(to, module->unit_map.starts, map_count * sizeof(uint64_t));
    to += map_count * sizeof(uint64_t);
    memcpy(to, module->unit_map.values, map_count * sizeof(uint32_t));
    to += map_count * sizeof(uint32_t);
    if (module->unmapped_count > 0) {
        memcpy(to, module->unmapped_units, module->unmapped_count * sizeof(uint32_t));
    }
    struct units_header header = {.identity_bytes = (uint32_t)identity_bytes,
                                  .unit_count = (uint32_t)module->unit_count,
                                  .start_count = (uint32_t)map_count,
                                  .unmapped_count = (uint32_t)module->unmapped_count};
    memcpy(header.magic, units_magic, sizeof(units_magic));
    header.checksum = units_checksum(&header, rest, rest_bytes);
    const struct cache_part parts[] = {{.bytes = &header, .size = sizeof(header)},
                                       {.bytes = rest, .size = rest_bytes}};
    (void)cache_folder_write(&module->symbolizer->cache_folder,
                             cache_file_name(module, ".units", name, sizeof(name)), parts, 2);
    free(rest);
}
