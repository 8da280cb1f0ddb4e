/*
 * symbolize/module.h - one module inside the symbolizer: files, units, threads' handles.
 *
 * libdw's handles are not made for several threads, so each thread of a resolve has one
 * of its own on the shared file, and a unit's index belongs to the handle that built it.
 *
 *   symbolizer_module
 *     |- debug_file            the ELF files
 *     |- answer_cache          what earlier runs found out; may make all below unnecessary
 *     |- symbol_table          sorted symbols
 *     |- units[], unit_map     compile units by address; each index built when first hit
 *     `- handles[0..threads)   a Dwarf each; dropped with its units when it got too big
 *
 * Context: analyzer, recorder.   Memory: the symbolizer's.
 * Threads: everything behind `lock` but constant fields and `notes`.
 */
#ifndef MEMTRACK_SYMBOLIZE_MODULE_H
#define MEMTRACK_SYMBOLIZE_MODULE_H

#include "symbolize/answer_cache.h"
#include "symbolize/debug_file.h"
#include "symbolize/interval_map.h"
#include "symbolize/string_pool.h"
#include "symbolize/symbol_table.h"
#include "symbolize/unit_index.h"

#include <pthread.h>
#include <stdatomic.h>

struct source_cache;

struct symbolizer {
    struct string_pool pool;
    struct debug_file_places places; /* lock: server */
    unsigned thread_count;
    size_t memory_max_bytes;
    struct cache_folder cache_folder;
    pthread_mutex_t lock; /* of the list of modules, and of opening files */
    struct symbolizer_module *modules;
    struct source_cache *sources;
};

struct module_unit {
    Dwarf_Off die_offset;
    uint64_t length_bytes;
    struct unit_index *index; /* NULL: not built */
    uint32_t owner;           /* handle that built it */
    bool is_broken;
};

struct module_handle {
    Dwarf *dwarf; /* NULL: not opened, or dropped */
    size_t memory_bytes;
};

struct symbolizer_module {
    struct symbolizer_module *next;
    struct symbolizer *symbolizer;
    char *path;
    char *readable_path;
    uint8_t build_id[DEBUG_FILE_BUILD_ID_MAX];
    size_t build_id_bytes;
    _Atomic unsigned notes;
    pthread_mutex_t lock;
    bool is_open;
    bool has_units; /* debug information is unpacked and its units are listed */
    char *cache_name; /* of its files in the cache; NULL: none are kept */
    char *identity;   /* of the files that they were made from */
    struct answer_cache *cache; /* NULL: none */
    struct debug_file file;
    struct symbol_table symbols; /* once has_symbols; filled under symbolizer->lock */
    _Atomic bool has_symbols;    /* release-stored last */
    struct module_unit *units;
    size_t unit_count;
    struct interval_map unit_map; /* address -> unit */
    uint32_t *unmapped_units;     /* that do not say which addresses they cover */
    size_t unmapped_count;
    struct module_handle *handles; /* handles[0..symbolizer->thread_count) */
};

/* Adds to what is told about the module. */
void module_note(struct symbolizer_module *module, unsigned note);

/* Finds the module's files and what earlier runs kept of it, unless that was done: what
 * costs little. Returns 0 or -ENOMEM. The module is locked. */
int module_open_files(struct symbolizer_module *module);

/* Makes its debug information readable and lists its units, unless that was done. After
 * module_open_files(). Returns 0 or -ENOMEM. The module is locked. */
int module_open_units(struct symbolizer_module *module);

/* The best that its addresses can get. The module is locked and its files are open. */
enum symbolizer_quality module_quality(struct symbolizer_module *module);

/* Undoes it, and keeps what was found out for later runs. The module is locked. */
void module_close_files(struct symbolizer_module *module);

/* The symbol table, read when first needed: large programs have millions of symbols, and
 * where there is debug information hardly any is asked for. */
const struct symbol_table *module_symbols(struct symbolizer_module *module);

/* A handle's Dwarf, opened if need be; NULL if there is none. */
Dwarf *module_handle_open(struct symbolizer_module *module, uint32_t handle);

/* Drops a handle and the units it built. */
void module_handle_drop(struct symbolizer_module *module, uint32_t handle);

/* The unit's index, built by `handle` if there is none yet; NULL if it is broken or memory
 * is short (*result: -ENOMEM). */
struct unit_index *module_unit_index(struct symbolizer_module *module, uint32_t unit,
                                     uint32_t handle, int *result);

/* Drops a unit's index, which there is. */
void module_unit_drop(struct symbolizer_module *module, uint32_t unit);

#endif
