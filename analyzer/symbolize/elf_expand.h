/*
 * symbolize/elf_expand.h - compressed debug sections, readable again.
 *
 * libelf before 0.189 knows zlib alone, and libdw takes a file with zstd for one without
 * debug information. With zlib, libelf would decompress a file's sections once for each
 * thread's handle, those that nobody asks for too, and at a third of libdeflate's speed:
 * for the C library's debug file that was most of what a small run cost. So the debug
 * sections are copied, decompressed once, into an ELF file in memory that libelf reads
 * like any other.
 * Source: ELF gABI, "Compressed Sections" (ELFCOMPRESS_ZSTD = 2).
 *
 * Context: analyzer, recorder.   Memory: the caller's.   Threads: any, one per Elf.
 */
#ifndef MEMTRACK_SYMBOLIZE_ELF_EXPAND_H
#define MEMTRACK_SYMBOLIZE_ELF_EXPAND_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether a debug section is compressed in a way that is better undone here. */
bool elf_expand_is_needed(Elf *elf);

/* An ELF file of elf's debug sections and symbol table's absence, in memory that the
 * caller frees with free(); NULL if it is damaged or memory is short. */
void *elf_expand(Elf *elf, size_t *size);

/* ---- making one from parts ---------------------------------------------- */

struct elf_expand_section {
    const char *name;
    const void *bytes; /* NULL: room for `size` zeroes, which the caller fills */
    size_t size;
    size_t offset; /* set by elf_expand_build(): where in the file the bytes are */
};

/* A 64-bit little-endian x86-64 ELF file of sections[0..count), none with an address.
 * The caller frees it with free(); NULL if memory is short. */
void *elf_expand_build(struct elf_expand_section *sections, size_t count, size_t *size);

#endif
