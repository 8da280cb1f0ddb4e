/*
 * symbolize/name_space.h - which namespaces, classes and functions is a DIE inside?
 *
 * Functions that no other file can see have no linkage name, and their own name alone
 * ("operator()", "reserve") says too little. A DIE does not know its parent; this keeps
 * the enclosing DIEs that a walk through the unit came by, as ranges of addresses in the
 * debug section, and answers from them.
 *
 * Context: analyzer, recorder.   Memory: its own; DIEs belong to a Dwarf that outlives it.
 * Threads: one.
 */
#ifndef MEMTRACK_SYMBOLIZE_NAME_SPACE_H
#define MEMTRACK_SYMBOLIZE_NAME_SPACE_H

#include "symbolize/interval_map.h"

#include <elfutils/libdw.h>
#include <stdbool.h>

struct name_space_entry {
    Dwarf_Die die;
    uint32_t parent; /* INTERVAL_MAP_NONE: the unit */
};

struct name_space {
    struct name_space_entry *entries;
    struct interval *intervals; /* intervals[i] is that of entries[i], until they are sorted */
    size_t count;
    size_t room;
    struct interval_map map; /* built when first asked */
    bool is_sorted;
};

/* The walk enters a DIE; `parent` is what it entered before, or INTERVAL_MAP_NONE.
 * Returns its number, INTERVAL_MAP_NONE when memory is short: names are then shorter. */
uint32_t name_space_enter(struct name_space *names, const Dwarf_Die *die, uint32_t parent,
                          uint32_t depth);
/* The walk sees a DIE inside entry `number`. */
void name_space_extend(struct name_space *names, uint32_t number, const Dwarf_Die *die);

/* The name of `die` with all that encloses it, "a::b::c"; the caller frees it. NULL if
 * there is no name, nothing that encloses it, or no memory. */
char *name_space_qualify(struct name_space *names, Dwarf_Die *die);

void name_space_deinit(struct name_space *names);

#endif
