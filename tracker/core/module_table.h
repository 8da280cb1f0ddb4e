/*
 * core/module_table.h - which file the addresses of a stack belong to.
 *
 * Modules are registered when the first frame of them is interned, found by
 * _dl_find_object (glibc 2.35), which takes no lock. A dlclose followed by a dlopen of
 * something else at the same addresses starts a new epoch.
 *
 * Context: async-signal-safe, the slow path of a new stack only.
 */
#ifndef MEMTRACK_CORE_MODULE_TABLE_H
#define MEMTRACK_CORE_MODULE_TABLE_H

#include "arena/arena.h"

/* Makes sure that the module of pc[0..count) is in the image's table. Returns the epoch
 * under which these addresses resolve now; when it differs from the one before, cached
 * unwind rules are stale and must be flushed. */
uint32_t module_table_note(const struct arena *arena, struct arena_image *image,
                           const uintptr_t *pc, uint32_t count);

/* The current epoch: part of the seed of every stack hash. */
static inline uint32_t module_table_epoch(struct arena_image *image)
{
    return atomic_load_explicit(&image->module_epoch, memory_order_relaxed);
}

/* From outside: copies module number `index` (0 .. module_count-1) into *module, made
 * safe (text terminated, sizes bounded). Returns 0, or -ENOENT. */
int module_table_read(const struct arena *arena, const struct arena_image *image, uint32_t index,
                      struct arena_module *module);

#endif
