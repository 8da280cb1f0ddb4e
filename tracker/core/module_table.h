/*
 * core/module_table.h - which file the addresses of a stack belong to.
 *
 * Modules are registered when the first frame of them is interned, found by
 * _dl_find_object (glibc 2.35), which takes no lock.
 *
 * What an address means may change (a dlclose, then a dlopen of something else there),
 * and may differ between processes that share an image (two children of a fork that open
 * different libraries at the same place). Therefore each stack has an epoch, and epochs
 * form a tree (struct arena_module in arena/layout.h): an epoch adds to, and overrides,
 * what its parent says. Each process has one current epoch, inherited over fork, and this
 * invariant holds for every stack: under its epoch, each of its addresses resolves to
 * the module that its process had there. It holds because
 * - a module is added to an epoch only where nothing resolves under it yet;
 * - a process that has something else there moves to another epoch: to one that agrees
 *   with all it has, if there is any (so a plugin that is opened and closed for ever
 *   makes two epochs, not thousands), else to a new child of its own;
 * - additions are put in one order (module_log), by compare-and-swap, each after a look at
 *   all earlier ones.
 *
 * Context: async-signal-safe except where said, the slow path of a new stack only.
 * Threads: any, also of several processes.
 * Memory: the arena's; at most ARENA_MODULES_MAX pages for an image, in use as modules are.
 */
#ifndef MEMTRACK_CORE_MODULE_TABLE_H
#define MEMTRACK_CORE_MODULE_TABLE_H

#include "arena/arena.h"
#include "core/capture.h"

#define MODULE_TABLE_CACHE 64u

/* A process's access to its image's modules. Private memory, stays valid in the children
 * of a fork, and must: it holds the process's epoch. */
struct module_table {
    struct arena arena;
    struct arena_image *image;
    _Atomic uint32_t epoch;
    /* Address hash -> epoch << 32 | position in module_log + 1: where to look first. */
    _Atomic uint64_t cache[MODULE_TABLE_CACHE];
};

/* Opens the image's table at epoch 0, new (zeroed) or in use. `arena` is copied. */
void module_table_open(struct module_table *table, const struct arena *arena,
                       struct arena_image *image);

/* The process's current epoch: part of the seed of every stack hash. */
static inline uint32_t module_table_epoch(const struct module_table *table)
{
    return atomic_load_explicit(&table->epoch, memory_order_relaxed);
}

/*
 * Makes sure that the modules of frames[0..depth) are in the image's table. Returns the
 * epoch under which these addresses resolve now. When it differs from the one that seeded
 * the frames' hashes, these must be computed anew before they are looked up or inserted,
 * and cached unwind rules are stale. The frames must be those of a running stack: their
 * modules are looked into.
 */
uint32_t module_table_note(struct module_table *table, const struct capture_frame *frames,
                           uint32_t depth);

/*
 * To be called after dlopen and dlclose, from the thread that called them: moves to another
 * epoch if any known module has been replaced. Needed only to tell apart a library
 * whose stacks are, address by address, those of another one that was there before; all
 * else is seen by module_table_note(). Takes the loader's lock: not for signal handlers, nor
 * for allocation hooks. Returns the epoch.
 */
uint32_t module_table_refresh(struct module_table *table);

/* From outside (as all below): copies the module at position `index` of the log (0, 1, ...)
 * into *module, made safe (text terminated, sizes bounded, start <= end). Returns 0,
 * -ENOENT from the end of the log on, -EBADMSG for a damaged entry (go on with the next). */
int module_table_read(const struct arena *arena, const struct arena_image *image, uint32_t index,
                      struct arena_module *module);

/* Returns the position in the log of the module to which `address` of a stack of `epoch`
 * belongs, or -1. */
int32_t module_table_resolve(const struct arena *arena, const struct arena_image *image,
                             uint32_t epoch, uint64_t address);

/* Returns the parent of `epoch`, or -1: of epoch 0, or of one that is not valid. Always
 * less than `epoch`. */
int32_t module_table_parent(const struct arena_image *image, uint32_t epoch);

#endif
