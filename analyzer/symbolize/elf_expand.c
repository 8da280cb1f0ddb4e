#include "symbolize/elf_expand.h"

#include <gelf.h>
#include <libdeflate.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <zstd.h>

#define COMPRESSION_ZSTD 2u /* ELFCOMPRESS_ZSTD, newer than Debian 12's elf.h */
#define SECTIONS_MAX 64u
/* What a damaged header may make us ask for. */
#define SECTION_BYTES_MAX ((uint64_t)8 << 30)

static bool is_debug_section(Elf *elf, size_t names, const GElf_Shdr *header, const char **name)
{
    *name = elf_strptr(elf, names, header->sh_name);
    return *name != NULL && header->sh_type != SHT_NOBITS
           && (strncmp(*name, ".debug_", 7) == 0 || strncmp(*name, ".gnu_debugaltlink", 17) == 0);
}

/* Locations of variables, macros and indexes by name: nothing asks for them. */
static bool is_unused(const char *name)
{
    static const char *const unused[] = {".debug_loc",      ".debug_loclists", ".debug_macro",
                                         ".debug_macinfo",  ".debug_pubnames", ".debug_pubtypes",
                                         ".debug_gnu_pubnames", ".debug_gnu_pubtypes",
                                         ".debug_names",    ".debug_frame"};
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++) {
        if (strcmp(name, unused[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_compressed(Elf_Scn *section, const GElf_Shdr *header, GElf_Chdr *compression)
{
    return (header->sh_flags & SHF_COMPRESSED) != 0 && gelf_getchdr(section, compression) != NULL
           && (compression->ch_type == COMPRESSION_ZSTD
               || compression->ch_type == ELFCOMPRESS_ZLIB);
}

bool elf_expand_is_needed(Elf *elf)
{
    size_t names;
    if (elf_getshdrstrndx(elf, &names) != 0) {
        return false;
    }
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;
        GElf_Chdr compression;
        const char *name;
        if (gelf_getshdr(section, &header) != NULL && is_debug_section(elf, names, &header, &name)
            && is_compressed(section, &header, &compression)) {
            return true;
        }
    }
    return false;
}

static bool unpack_zstd(const char *packed, size_t packed_bytes, void *to, size_t bytes)
{
    unsigned long long frame_bytes = ZSTD_getFrameContentSize(packed, packed_bytes);
    if (frame_bytes != ZSTD_CONTENTSIZE_UNKNOWN && frame_bytes > bytes) {
        return false;
    }
    size_t unpacked = ZSTD_decompress(to, bytes, packed, packed_bytes);
    return !ZSTD_isError(unpacked) && unpacked == bytes;
}

static bool unpack_zlib(const char *packed, size_t packed_bytes, void *to, size_t bytes)
{
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    size_t unpacked = 0;
    bool is_sound = decompressor != NULL
                    && libdeflate_zlib_decompress(decompressor, packed, packed_bytes, to, bytes,
                                                  &unpacked)
                           == LIBDEFLATE_SUCCESS;
    libdeflate_free_decompressor(decompressor);
    return is_sound && unpacked == bytes;
}

struct packed_section {
    const char *bytes; /* NULL: it is not compressed */
    size_t size;
    bool is_zstd;
};

/* Fills in the size and, for what is not compressed, the bytes. */
static bool section_measure(Elf *elf, Elf_Scn *section, const GElf_Shdr *header,
                            struct elf_expand_section *out, struct packed_section *packed)
{
    GElf_Chdr compression;
    *packed = (struct packed_section){0};
    if (!is_compressed(section, header, &compression)) {
        if ((header->sh_flags & SHF_COMPRESSED) != 0 && elf_compress(section, 0, 0) < 0) {
            return false;
        }
        Elf_Data *data = elf_rawdata(section, NULL);
        out->bytes = data == NULL ? NULL : data->d_buf;
        out->size = data == NULL ? 0 : data->d_size;
        return true;
    }
    Elf_Data *data = elf_rawdata(section, NULL);
    size_t header_bytes = gelf_getclass(elf) == ELFCLASS32 ? sizeof(Elf32_Chdr) : sizeof(Elf64_Chdr);
    if (data == NULL || data->d_size <= header_bytes || compression.ch_size > SECTION_BYTES_MAX) {
        return false;
    }
    *packed = (struct packed_section){.bytes = (const char *)data->d_buf + header_bytes,
                                      .size = data->d_size - header_bytes,
                                      .is_zstd = compression.ch_type == COMPRESSION_ZSTD};
    out->bytes = NULL;
    out->size = compression.ch_size;
    return true;
}

/* The debug sections that are of use. Returns their number, or -1. */
static ssize_t sections_find(Elf *elf, struct elf_expand_section sections[SECTIONS_MAX],
                             struct packed_section packed[SECTIONS_MAX])
{
    size_t names;
    if (elf_getshdrstrndx(elf, &names) != 0) {
        return -1;
    }
    size_t count = 0;
    Elf_Scn *section = NULL;
    while (count < SECTIONS_MAX && (section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;
        struct elf_expand_section *out = &sections[count];
        if (gelf_getshdr(section, &header) == NULL
            || !is_debug_section(elf, names, &header, &out->name) || is_unused(out->name)) {
            continue;
        }
        if (!section_measure(elf, section, &header, out, &packed[count])) {
            return -1;
        }
        count++;
    }
    return (ssize_t)count;
}

void *elf_expand(Elf *elf, size_t *size)
{
    struct elf_expand_section sections[SECTIONS_MAX];
    struct packed_section packed[SECTIONS_MAX];
    ssize_t count = sections_find(elf, sections, packed);
    char *image = count < 0 ? NULL : elf_expand_build(sections, (size_t)count, size);
    /* Straight into their place: the largest are tens of megabytes. */
    for (ssize_t i = 0; image != NULL && i < count; i++) {
        if (packed[i].bytes == NULL) {
            continue;
        }
        void *to = image + sections[i].offset;
        bool is_sound =
            packed[i].is_zstd
                ? unpack_zstd(packed[i].bytes, packed[i].size, to, sections[i].size)
                : unpack_zlib(packed[i].bytes, packed[i].size, to, sections[i].size);
        if (!is_sound) {
            free(image);
            image = NULL;
        }
    }
    return image;
}

/* A page fault for each 4 KiB would cost as much as the decompression. */
static void use_huge_pages(char *image, size_t size)
{
    uintptr_t huge = (uintptr_t)2 << 20;
    uintptr_t first = ((uintptr_t)image + huge - 1) & ~(huge - 1);
    uintptr_t last = ((uintptr_t)image + size) & ~(huge - 1);
    if (last > first) {
        (void)madvise((char *)image + (first - (uintptr_t)image), last - first, MADV_HUGEPAGE);
    }
}

/*
 *   Elf64_Ehdr | bytes of section 1, 2, ... | names | Elf64_Shdr[count + 2]
 */
void *elf_expand_build(struct elf_expand_section *sections, size_t count, size_t *size)
{
    size_t names_bytes = sizeof("\0.shstrtab");
    size_t total = sizeof(Elf64_Ehdr);
    for (size_t i = 0; i < count; i++) {
        names_bytes += strlen(sections[i].name) + 1;
        total += (sections[i].size + 15u) & ~(size_t)15u;
    }
    size_t names_start = total;
    total += (names_bytes + 15u) & ~(size_t)15u;
    size_t table_start = total;
    total += (count + 2) * sizeof(Elf64_Shdr);
    char *image = calloc(1, total);
    if (image == NULL) {
        return NULL;
    }
    use_huge_pages(image, total);
    Elf64_Ehdr header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                                     EV_CURRENT},
                         .e_type = ET_EXEC,
                         .e_machine = EM_X86_64,
                         .e_version = EV_CURRENT,
                         .e_shoff = table_start,
                         .e_ehsize = sizeof(Elf64_Ehdr),
                         .e_shentsize = sizeof(Elf64_Shdr),
                         .e_shnum = (Elf64_Half)(count + 2),
                         .e_shstrndx = (Elf64_Half)(count + 1)};
    memcpy(image, &header, sizeof(header));
    size_t position = sizeof(header);
    size_t name = 1;
    for (size_t i = 0; i <= count; i++) {
        bool is_names = i == count;
        const char *text = is_names ? ".shstrtab" : sections[i].name;
        Elf64_Shdr entry = {.sh_name = (Elf64_Word)name,
                            .sh_type = is_names ? SHT_STRTAB : SHT_PROGBITS,
                            .sh_offset = is_names ? names_start : position,
                            .sh_size = is_names ? names_bytes : sections[i].size,
                            .sh_addralign = 1};
        memcpy(image + table_start + (i + 1) * sizeof(entry), &entry, sizeof(entry));
        memcpy(image + names_start + name, text, strlen(text) + 1);
        name += strlen(text) + 1;
        if (!is_names) {
            sections[i].offset = position;
            if (sections[i].bytes != NULL && sections[i].size > 0) {
                memcpy(image + position, sections[i].bytes, sections[i].size);
            }
            position += (sections[i].size + 15u) & ~(size_t)15u;
        }
    }
    *size = total;
    return image;
}
