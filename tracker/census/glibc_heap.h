/*
 * census/glibc_heap.h - where glibc's malloc keeps its memory and its own notes.
 *
 * Memory between blocks is no root: it holds what was released, and malloc's lists of it,
 * whose addresses lie 16 bytes before blocks that are gone, that is, inside live ones.
 * The same goes for malloc's notes in libc's data (main_arena), a symbol that no longer
 * is in the file; it is recognised by its empty lists, each of which points to itself.
 *
 * Context: inside the tracked program, other threads parked, or a forked child.
 * Memory:  none. Threads: one.
 * Source:  glibc 2.26 to 2.39, malloc/malloc.c and arena.c: struct malloc_state,
 *          heap_info, chunk sizes and their flags.
 */
#ifndef MEMTRACK_CENSUS_GLIBC_HEAP_H
#define MEMTRACK_CENSUS_GLIBC_HEAP_H

#include "census/memory_map.h"

#define GLIBC_ARENA_BYTES 2200u
#define GLIBC_HEAP_BYTES_MAX (UINT64_C(1) << 26)

typedef void glibc_heap_visitor(void *context, uintptr_t start, uintptr_t end);

/* Returns the address of main_arena in libc's data [start, end), or 0. */
uintptr_t glibc_heap_find_arena(uintptr_t start, uintptr_t end);

/* Calls visit for each heap of each arena but the first: all that belongs to malloc. */
void glibc_heap_visit(const struct memory_map *map, uintptr_t main_arena,
                      glibc_heap_visitor *visit, void *context);

/* Returns whether the block at `address` has a mapping of its own, and which. */
bool glibc_heap_mapped_chunk(const struct memory_map *map, uintptr_t address, uintptr_t *start,
                             uintptr_t *end);

#endif
