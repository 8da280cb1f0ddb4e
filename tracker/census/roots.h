/*
 * census/roots.h - where the program may keep pointers: everything it can write to, less
 * the heap's own memory and ours.
 *
 * The heap is excluded as a whole (its live blocks are scanned when something leads to
 * them, what lies between them never): for glibc by malloc's own notes (glibc_heap.h),
 * for other allocators as the mappings in which blocks were ever seen.
 *
 * Context: inside the tracked program, other threads parked, or a forked child.
 * Memory:  the caller's: 48 bytes a root, 16 bytes an excluded range; bounded.
 * Threads: one.
 */
#ifndef MEMTRACK_CENSUS_ROOTS_H
#define MEMTRACK_CENSUS_ROOTS_H

#include "census/block_index.h"
#include "census/findings.h"
#include "census/memory_map.h"
#include "census/parking.h"

#define ROOTS_MAX 262144u
#define ROOTS_EXCLUDED_MAX 524288u
#define ROOTS_MODULES_MAX 8192u
/* glibc keeps 40 MiB of stacks of ended threads: five of 8 MiB, more of smaller ones. */
#define ROOTS_DEAD_THREADS_MAX 512u

struct root {
    uintptr_t start;
    uintptr_t end;
    struct findings_holder holder;
};

struct root_module {
    uintptr_t start;
    uintptr_t end;
    uint64_t thread_local_bytes; /* of its PT_TLS segment, with alignment */
};

/* A module's thread-local data: [thread pointer - below_bytes, + size_bytes) in each thread.
 * size_bytes 0: it has none, or not at a fixed distance. */
struct census_local {
    uintptr_t below_bytes;
    size_t size_bytes;
};

struct root_excluded {
    uintptr_t start;
    uintptr_t end;
};

struct roots {
    const struct memory_map *map;
    const struct block_index *index;
    struct root *roots; /* [0..count): globals and mappings first, stacks last */
    uint32_t count;
    struct root_excluded *excluded; /* [0..excluded_count), sorted by roots_find() */
    uint32_t excluded_count;
    struct root_module *modules; /* [0..module_count), by address */
    uintptr_t libc_start; /* the C library: its frames stand for those that called them */
    uintptr_t libc_end;
    uint32_t module_count;
    uint64_t thread_local_bytes; /* of all modules: at most so much below a thread pointer */
    struct census_local allocator_local;
    /* Thread vectors of ended threads whose stacks the C library keeps: with the stack it
     * keeps the vector, for the next thread. */
    uintptr_t dead_vectors[ROOTS_DEAD_THREADS_MAX];
    uint32_t dead_vector_count;
    bool is_cut; /* a table was too small */
};

size_t roots_bytes(void);

/* `memory`: roots_bytes() of zeroed memory, aligned to 64. */
void roots_init(struct roots *roots, void *memory, const struct memory_map *map,
                const struct block_index *index);

/* Leaves [start, end) out. */
void roots_exclude(struct roots *roots, uintptr_t start, uintptr_t end);

/* Leaves out what belongs to the tracker, and what belongs to the allocator. libc_address
 * and allocator_address: of any function of theirs. */
void roots_exclude_own(struct roots *roots);
void roots_exclude_heap(struct roots *roots, uintptr_t libc_address, uintptr_t allocator_address);

/* The same for an allocator's thread-local data: its caches and look-up hints. */
void roots_exclude_local(struct roots *roots, const struct census_local *local);

/*
 * Finds the roots of the kinds in `which` (ARENA_ROOTS_*), in the order of how much they
 * say: globals, announced regions, thread-local data, mappings, stacks. threads[0..count)
 * stand still; the stacks of others count as mappings.
 */
void roots_find(struct roots *roots, uint32_t which, const struct parked_thread *threads,
                uint32_t thread_count);

/* Returns the return address of the innermost frame of a thread that stands still, outside of
 * the C library if there is one. */
uintptr_t roots_thread_place(const struct roots *roots, const struct parked_thread *thread);

/* Returns the module that contains the address, or NULL. */
const struct root_module *roots_module_find(const struct roots *roots, uintptr_t address);

#endif
