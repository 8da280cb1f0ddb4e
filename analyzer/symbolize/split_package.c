#include "symbolize/split_package.h"

#include "symbolize/elf_expand.h"

#include <dwarf.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 16u
#define PARTS_MAX (COLUMNS_MAX + 3u)

/* Newer or GNU attributes that Debian 12's dwarf.h may lack. */
#define ATTRIBUTE_GNU_RANGES_BASE 0x2132u
#define ATTRIBUTE_GNU_ADDR_BASE 0x2133u

struct bytes {
    const char *data;
    size_t size;
};

static struct bytes section_bytes(Elf *elf, const char *name)
{
    size_t names;
    struct bytes none = {0};
    if (elf == NULL || elf_getshdrstrndx(elf, &names) != 0) {
        return none;
    }
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL || header.sh_type == SHT_NOBITS) {
            continue;
        }
        const char *found = elf_strptr(elf, names, header.sh_name);
        if (found == NULL || strcmp(found, name) != 0) {
            continue;
        }
        if ((header.sh_flags & SHF_COMPRESSED) != 0 && elf_compress(section, 0, 0) < 0) {
            return none;
        }
        Elf_Data *data = elf_rawdata(section, NULL);
        if (data != NULL && data->d_buf != NULL) {
            return (struct bytes){.data = data->d_buf, .size = data->d_size};
        }
    }
    return none;
}

static uint32_t read_u32(struct bytes bytes, uint64_t index)
{
    uint32_t value;
    memcpy(&value, bytes.data + index * sizeof(value), sizeof(value));
    return value;
}

/* Section numbers of the index; those of version 2 differ from those of version 5 in what
 * is not needed here, and in ranges. */
static const char *column_name(uint32_t version, uint32_t section, const char **in_package)
{
    switch (section) {
    case 1:
        *in_package = ".debug_info.dwo";
        return ".debug_info";
    case 3:
        *in_package = ".debug_abbrev.dwo";
        return ".debug_abbrev";
    case 4:
        *in_package = ".debug_line.dwo";
        return ".debug_line";
    case 6:
        *in_package = ".debug_str_offsets.dwo";
        return ".debug_str_offsets";
    case 8:
        *in_package = ".debug_rnglists.dwo";
        return version == 5 ? ".debug_rnglists" : NULL;
    default:
        return NULL;
    }
}

/*
 *   u32 version (or u16 version, u16 0), columns, units, slots
 *   u64 signature[slots]; u32 row[slots] (from 1; 0: empty)
 *   u32 section[columns]; u32 offset[units][columns]; u32 size[units][columns]
 */
static size_t index_find_parts(Elf *package, uint64_t signature, struct elf_expand_section *parts)
{
    struct bytes index = section_bytes(package, ".debug_cu_index");
    if (index.size < 16) {
        return 0;
    }
    uint32_t version = read_u32(index, 0) & 0xffffu;
    uint64_t columns = read_u32(index, 1);
    uint64_t units = read_u32(index, 2);
    uint64_t slots = read_u32(index, 3);
    uint64_t rows_at = 4 + slots * 2; /* in words of 32 bits */
    uint64_t table_at = rows_at + slots;
    if (columns > COLUMNS_MAX || (version != 2 && version != 5)
        || (table_at + columns + 2 * units * columns) * 4 > index.size) {
        return 0;
    }
    uint64_t row = 0;
    for (uint64_t slot = 0; slot < slots && row == 0; slot++) {
        uint64_t found = read_u32(index, 4 + slot * 2)
                         | (uint64_t)read_u32(index, 5 + slot * 2) << 32;
        row = found == signature ? read_u32(index, rows_at + slot) : 0;
    }
    if (row == 0 || row > units) {
        return 0;
    }
    size_t count = 0;
    for (uint64_t column = 0; column < columns; column++) {
        const char *in_package;
        const char *name = column_name(version, read_u32(index, table_at + column), &in_package);
        uint64_t cell = table_at + columns + (row - 1) * columns + column;
        uint64_t offset = read_u32(index, cell);
        uint64_t size = read_u32(index, cell + units * columns);
        struct bytes whole = {0};
        if (name != NULL) {
            whole = section_bytes(package, in_package);
        }
        if (whole.data != NULL && offset <= whole.size && size <= whole.size - offset) {
            parts[count++] = (struct elf_expand_section){
                .name = name, .bytes = whole.data + offset, .size = size};
        }
    }
    return count;
}

/* The section from a base that the skeleton names: indices then count from 0. */
static size_t add_from_base(Elf *program, const char *section, Dwarf_Die *skeleton,
                            const unsigned *attributes, struct elf_expand_section *part)
{
    Dwarf_Word base = 0;
    for (size_t i = 0; attributes[i] != 0; i++) {
        Dwarf_Attribute attribute;
        if (dwarf_attr(skeleton, attributes[i], &attribute) != NULL
            && dwarf_formudata(&attribute, &base) == 0) {
            break;
        }
    }
    struct bytes whole = section_bytes(program, section);
    if (whole.data == NULL || base >= whole.size) {
        return 0;
    }
    *part = (struct elf_expand_section){
        .name = section, .bytes = whole.data + base, .size = whole.size - base};
    return 1;
}

bool split_unit_open(struct split_unit *unit, Elf *package, Elf *program, Dwarf_Die *skeleton,
                     uint64_t dwo_id)
{
    static const unsigned address_bases[] = {DW_AT_addr_base, ATTRIBUTE_GNU_ADDR_BASE, 0};
    static const unsigned range_bases[] = {ATTRIBUTE_GNU_RANGES_BASE, 0};
    *unit = (struct split_unit){0};
    struct elf_expand_section parts[PARTS_MAX];
    size_t count = index_find_parts(package, dwo_id, parts);
    if (count == 0) {
        return false;
    }
    struct bytes strings = section_bytes(package, ".debug_str.dwo");
    if (strings.data != NULL) {
        parts[count++] = (struct elf_expand_section){
            .name = ".debug_str", .bytes = strings.data, .size = strings.size};
    }
    count += add_from_base(program, ".debug_addr", skeleton, address_bases, &parts[count]);
    count += add_from_base(program, ".debug_ranges", skeleton, range_bases, &parts[count]);
    size_t size;
    unit->image = elf_expand_build(parts, count, &size);
    unit->elf = unit->image == NULL ? NULL : elf_memory(unit->image, size);
    unit->dwarf = unit->elf == NULL ? NULL : dwarf_begin_elf(unit->elf, DWARF_C_READ, NULL);
    Dwarf_Off next;
    size_t header_bytes;
    if (unit->dwarf == NULL
        || dwarf_next_unit(unit->dwarf, 0, &next, &header_bytes, NULL, NULL, NULL, NULL, NULL, NULL)
               != 0
        || dwarf_offdie(unit->dwarf, header_bytes, &unit->die) == NULL) {
        split_unit_close(unit);
        return false;
    }
    return true;
}

void split_unit_close(struct split_unit *unit)
{
    dwarf_end(unit->dwarf);
    elf_end(unit->elf);
    free(unit->image);
    *unit = (struct split_unit){0};
}
