/*
 * core/module_identity.h - which file is mapped at an address, as the loader and the
 * file's own headers say it.
 *
 * Context: async-signal-safe. Memory: borrows from the loader and from the mapped file:
 * valid while that module stays loaded, which the caller must know (it runs code of it, or
 * holds the loader's lock).
 */
#ifndef MEMTRACK_CORE_MODULE_IDENTITY_H
#define MEMTRACK_CORE_MODULE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODULE_PATH_VDSO "[vdso]"
#define MODULE_PATH_ANONYMOUS "[anonymous]"

struct module_identity {
    uint64_t start; /* addresses [start, end), as _dl_find_object has them */
    uint64_t end;
    uint64_t load_bias;
    const char *path;        /* as the loader has it: may be relative; "" for the executable */
    const uint8_t *build_id; /* NULL: none */
    uint32_t build_id_bytes;
    bool is_anonymous; /* no module at all: [start, end) is the address alone */
};

/* What is at `address` now. Anonymous if no module is. */
void module_identity_get(struct module_identity *identity, uintptr_t address);

#endif
