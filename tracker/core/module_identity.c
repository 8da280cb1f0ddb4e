#include "core/module_identity.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>

#include "arena/layout.h"

/* Program headers are looked for in the first page only, which is mapped for sure. */
#define HEADER_BYTES 4096u

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

/* Finds the build-id among the notes in [note, note + size). Source: ELF gABI, "Note Section";
 * notes of a segment with alignment 8 are padded to 8 (NT_GNU_PROPERTY_TYPE_0), else to 4. */
static void build_id_find(struct module_identity *identity, const char *note, uint64_t size,
                          uint64_t alignment)
{
    while (size >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) header;
        memcpy(&header, note, sizeof header);
        uint64_t text_at = align_up(sizeof header + header.n_namesz, alignment);
        uint64_t next_at = align_up(text_at + header.n_descsz, alignment);
        if (text_at + header.n_descsz > size) {
            return;
        }
        if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == sizeof ELF_NOTE_GNU
            && memcmp(note + sizeof header, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0) {
            identity->build_id = (const uint8_t *)note + text_at;
            identity->build_id_bytes =
                header.n_descsz < ARENA_BUILD_ID_MAX ? header.n_descsz : ARENA_BUILD_ID_MAX;
            return;
        }
        if (next_at >= size) {
            return;
        }
        note += next_at;
        size -= next_at;
    }
}

/* True if the file's bytes [vaddr, vaddr + size) are mapped readable. */
static bool is_loaded(const ElfW(Phdr) *segment, uint32_t count, uint64_t vaddr, uint64_t size)
{
    for (uint32_t i = 0; i < count; i++) {
        if (segment[i].p_type == PT_LOAD && (segment[i].p_flags & PF_R) != 0
            && vaddr >= segment[i].p_vaddr && size <= segment[i].p_filesz
            && vaddr - segment[i].p_vaddr <= segment[i].p_filesz - size) {
            return true;
        }
    }
    return false;
}

static void headers_read(struct module_identity *identity)
{
    if (identity->end - identity->start < sizeof(ElfW(Ehdr))) {
        return;
    }
    const char *base = (const char *)(uintptr_t)identity->start;
    ElfW(Ehdr) header;
    memcpy(&header, base, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(ElfW(Phdr))
        || header.e_phoff % _Alignof(ElfW(Phdr)) != 0 || header.e_phoff > HEADER_BYTES
        || header.e_phnum > (HEADER_BYTES - header.e_phoff) / sizeof(ElfW(Phdr))) {
        return;
    }
    const ElfW(Phdr) *segment = (const void *)(base + header.e_phoff);
    for (uint32_t i = 0; i < header.e_phnum && identity->build_id == NULL; i++) {
        if (segment[i].p_type == PT_NOTE
            && is_loaded(segment, header.e_phnum, segment[i].p_vaddr, segment[i].p_filesz)) {
            build_id_find(identity,
                          (const char *)(uintptr_t)(identity->load_bias + segment[i].p_vaddr),
                          segment[i].p_filesz, segment[i].p_align == 8 ? 8 : 4);
        }
    }
}

void module_identity_get(struct module_identity *identity, uintptr_t address)
{
    struct dl_find_object found;
    *identity = (struct module_identity){.start = address,
                                         .end = address + 1,
                                         .path = MODULE_PATH_ANONYMOUS,
                                         .is_anonymous = true};
    if (_dl_find_object((void *)address, &found) != 0) {
        return;
    }
    const struct link_map *map = found.dlfo_link_map;
    identity->start = (uintptr_t)found.dlfo_map_start;
    identity->end = (uintptr_t)found.dlfo_map_end;
    identity->load_bias = map->l_addr;
    identity->path = map->l_name != NULL ? map->l_name : "";
    identity->is_anonymous = false;
    if (identity->start == getauxval(AT_SYSINFO_EHDR)) {
        identity->path = MODULE_PATH_VDSO;
    }
    headers_read(identity);
}
