#include "symbolize/symbol_table.h"

#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

/* How many symbols that end too early are stepped over for one that covers an address:
 * local labels inside a large assembler function. */
#define COVER_STEPS_MAX 64u

static int table_add(struct symbol_table *table, const struct symbol_table_entry *entry)
{
    if (table->count == table->room) {
        size_t room = table->room == 0 ? 1024 : table->room * 2;
        struct symbol_table_entry *entries =
            reallocarray(table->entries, room, sizeof(entries[0]));
        if (entries == NULL) {
            return -ENOMEM;
        }
        table->entries = entries;
        table->room = room;
    }
    table->entries[table->count++] = *entry;
    return 0;
}

static bool section_is_code(Elf *elf, size_t index)
{
    GElf_Shdr header;
    Elf_Scn *section = elf_getscn(elf, index);
    return section != NULL && gelf_getshdr(section, &header) != NULL
           && (header.sh_flags & SHF_EXECINSTR) != 0;
}

/* Fills in kind and rank; false: no symbol that names code or data. */
static bool symbol_classify(Elf *elf, const GElf_Sym *symbol, struct symbol_table_entry *entry)
{
    unsigned type = GELF_ST_TYPE(symbol->st_info);
    unsigned bind = GELF_ST_BIND(symbol->st_info);
    if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx == SHN_ABS) {
        return false;
    }
    switch (type) {
    case STT_FUNC:
    case STT_GNU_IFUNC:
        entry->is_data = false;
        entry->rank = 4;
        break;
    case STT_OBJECT:
    case STT_COMMON:
        entry->is_data = true;
        entry->rank = 4;
        break;
    case STT_NOTYPE:
        if (symbol->st_shndx >= SHN_LORESERVE || !section_is_code(elf, symbol->st_shndx)) {
            return false;
        }
        entry->is_data = false;
        entry->rank = 0;
        break;
    default:
        return false;
    }
    entry->rank = (uint8_t)(entry->rank + (bind == STB_GLOBAL ? 2 : bind == STB_WEAK ? 1 : 0));
    return true;
}

static int table_add_section(struct symbol_table *table, Elf *elf, Elf_Scn *section,
                             const GElf_Shdr *header)
{
    Elf_Data *data = elf_getdata(section, NULL);
    if (data == NULL || header->sh_entsize == 0) {
        return 0;
    }
    size_t count = data->d_size / header->sh_entsize;
    for (size_t i = 1; i < count && i <= INT32_MAX; i++) {
        GElf_Sym symbol;
        if (gelf_getsym(data, (int)i, &symbol) == NULL) {
            break;
        }
        struct symbol_table_entry entry = {.start = symbol.st_value, .size = symbol.st_size};
        if (!symbol_classify(elf, &symbol, &entry)) {
            continue;
        }
        entry.name = elf_strptr(elf, header->sh_link, symbol.st_name);
        if (entry.name == NULL || entry.name[0] == '\0') {
            continue;
        }
        entry.name_length = strcspn(entry.name, "@");
        if (entry.name_length == 0) {
            continue;
        }
        if (table_add(table, &entry) != 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

int symbol_table_add_file(struct symbol_table *table, Elf *elf)
{
    Elf_Scn *best = NULL;
    GElf_Shdr best_header = {0};
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL) {
            continue;
        }
        if (header.sh_type == SHT_SYMTAB || (header.sh_type == SHT_DYNSYM && best == NULL)) {
            best = section;
            best_header = header;
            if (header.sh_type == SHT_SYMTAB) {
                break;
            }
        }
    }
    if (best == NULL) {
        return 0;
    }
    table->has_full_table = table->has_full_table || best_header.sh_type == SHT_SYMTAB;
    return table_add_section(table, elf, best, &best_header);
}

/* Functions before data, then by address, the best name of an address first. */
static int entry_compare(const void *left, const void *right)
{
    const struct symbol_table_entry *a = left;
    const struct symbol_table_entry *b = right;
    if (a->is_data != b->is_data) {
        return a->is_data ? 1 : -1;
    }
    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    if (a->rank != b->rank) {
        return a->rank > b->rank ? -1 : 1;
    }
    if (a->size != b->size) {
        return a->size > b->size ? -1 : 1;
    }
    return strcmp(a->name, b->name);
}

void symbol_table_sort(struct symbol_table *table)
{
    if (table->count == 0) {
        return;
    }
    qsort(table->entries, table->count, sizeof(table->entries[0]), entry_compare);
    size_t kept = 1;
    for (size_t i = 1; i < table->count; i++) {
        const struct symbol_table_entry *last = &table->entries[kept - 1];
        if (table->entries[i].start != last->start || table->entries[i].is_data != last->is_data) {
            table->entries[kept++] = table->entries[i];
        }
    }
    table->count = kept;
}

void symbol_table_deinit(struct symbol_table *table)
{
    free(table->entries);
    *table = (struct symbol_table){0};
}

const struct symbol_table_entry *symbol_table_find(const struct symbol_table *table,
                                                   uint64_t address, bool is_data)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct symbol_table_entry *entry = &table->entries[middle];
        bool is_before = entry->is_data == is_data ? entry->start <= address : is_data;
        if (is_before) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (size_t step = 0; step < COVER_STEPS_MAX && step < low; step++) {
        const struct symbol_table_entry *entry = &table->entries[low - 1 - step];
        if (entry->is_data != is_data) {
            break;
        }
        if (address - entry->start < entry->size) {
            return entry;
        }
        if (entry->size == 0 && step == 0 && !is_data) {
            /* An assembler's label names what follows it, unless a sized function does. */
            const struct symbol_table_entry *label = entry;
            for (size_t i = 1; i < COVER_STEPS_MAX && i < low; i++) {
                const struct symbol_table_entry *outer = &table->entries[low - 1 - i];
                if (!outer->is_data && outer->size > 0) {
                    return address - outer->start < outer->size ? outer : label;
                }
            }
            return label;
        }
    }
    return NULL;
}
