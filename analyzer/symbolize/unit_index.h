/*
 * symbolize/unit_index.h - one compile unit's functions and inlined calls by address.
 *
 * Built by one walk through the unit's DIEs when the first address in it is asked for.
 * Each function and inlined call with code becomes a scope; their ranges, flattened,
 * answer "innermost scope here" by binary search, and the scopes' parents give the chain
 * of inlined calls. Names are read when a scope is first hit.
 *
 * Context: analyzer, recorder.
 * Memory:  the index's; its DIEs belong to the Dwarf handle it was built with, which
 *          must outlive it. DIEs are kept whole, not as offsets: those of a .dwo file
 *          live in another handle, which an offset does not tell.
 * Threads: the one that uses that handle.
 */
#ifndef MEMTRACK_SYMBOLIZE_UNIT_INDEX_H
#define MEMTRACK_SYMBOLIZE_UNIT_INDEX_H

#include "symbolize/interval_map.h"
#include "symbolize/name_space.h"
#include "symbolize/string_pool.h"
#include "symbolize/split_package.h"
#include "symbolize/symbolizer.h"

#include <elfutils/libdw.h>

struct debug_file;

/* A function or an inlined call. */
struct unit_scope {
    Dwarf_Die die;
    uint32_t parent; /* enclosing scope of an inlined call; INTERVAL_MAP_NONE */
    bool is_inlined;
    uint64_t end;   /* of its last range */
    uint64_t start; /* of its entry, else of its first range */
    /* Valid once is_named. */
    bool is_named;
    uint32_t call_line;
    uint32_t call_column;
    uint32_t line; /* of its declaration */
    const char *call_file;
    const char *function;
    const char *linkage_name;
};

struct unit_index {
    Dwarf_Die unit;        /* has the line table; of a split unit, the skeleton */
    struct split_unit packaged; /* its functions, if they come from a .dwp file */
    struct unit_scope *scopes;
    size_t scope_count;
    size_t scope_room;
    struct interval_map map; /* address -> scope */
    struct name_space names; /* of a unit that is_mangled */
    bool is_mangled;         /* of a language whose symbols tell more than DW_AT_name */
    bool is_complete;        /* classes outside functions were walked too */
    Dwarf_Lines *lines;
    size_t line_count;
    Dwarf_Files *files;
    size_t file_count;
    const char **file_paths; /* by index, NULL: not asked for yet */
    size_t memory_bytes;     /* of this index, and an estimate of what libdw keeps for it */
    unsigned notes;          /* enum symbolizer_note */
};

/* Builds the index of the unit whose DIE is at `offset` in .debug_info. Returns 0, -ENOMEM,
 * or -EBADMSG if the unit cannot be read. */
int unit_index_init(struct unit_index *index, Dwarf *dwarf, Dwarf_Off offset,
                    const struct debug_file *file);
void unit_index_deinit(struct unit_index *index);

/* Walks what the first walk left out, for code that it did not find: member functions of
 * classes outside functions, where a producer gives them their code there. */
int unit_index_complete(struct unit_index *index, const struct debug_file *file);

/*
 * Fills frames[0..room) with the chain at `address`, innermost first; returns how many.
 * 0: no function of this unit covers the address; then frames[0]'s file, line and column
 * are set, if the line table knows them. Names come from the pool.
 */
size_t unit_index_resolve(struct unit_index *index, struct string_pool *pool, uint64_t address,
                          struct symbolizer_frame *frames, size_t room);

#endif
