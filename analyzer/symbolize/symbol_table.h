/*
 * symbolize/symbol_table.h - the ELF symbols of a module, sorted by address.
 *
 * What remains when there is no debug information: function names for code, object names
 * for data.
 *
 * Context: analyzer, recorder.
 * Memory:  the table's; names point into the Elf handles it was built from, which must
 *          outlive it.
 * Threads: one while it is built, any afterwards.
 */
#ifndef MEMTRACK_SYMBOLIZE_SYMBOL_TABLE_H
#define MEMTRACK_SYMBOLIZE_SYMBOL_TABLE_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbol_table_entry {
    uint64_t start;
    uint64_t size; /* 0: not told */
    const char *name;
    size_t name_length; /* without a version ("@@GLIBC_2.2.5") */
    uint8_t rank;       /* greater: the better name for its address */
    bool is_data;
};

struct symbol_table {
    struct symbol_table_entry *entries; /* entries[0..count): one per start and kind */
    size_t count;
    size_t room;
    bool has_full_table; /* .symtab seen, not .dynsym alone */
};

/* Adds the symbols of one ELF file: .symtab, or .dynsym if it has no .symtab.
 * Returns 0 or -ENOMEM. Damaged tables add what can be read. */
int symbol_table_add_file(struct symbol_table *table, Elf *elf);

/* To be called once after the last file. */
void symbol_table_sort(struct symbol_table *table);

void symbol_table_deinit(struct symbol_table *table);

/* The function symbol that covers `address`, or the nearest before it if that one has no
 * size; NULL if there is none. Likewise the object. */
const struct symbol_table_entry *symbol_table_find(const struct symbol_table *table,
                                                   uint64_t address, bool is_data);

#endif
