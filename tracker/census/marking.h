/*
 * census/marking.h - which blocks are still held: classes as Valgrind's memcheck defines
 * them.
 *
 *   reachable  a chain of pointers to the starts of blocks leads from a root to it
 *   possible   a chain leads to it, but somewhere only by a pointer into a block
 *   definite   no chain leads to it, from roots or from other lost blocks
 *   indirect   it hangs on a definite block only
 *
 * A pointer into a block counts as one to its start where it is the usual pointer of
 * a C++ object (MARKING_HEURISTIC_*).
 *
 * Order of calls: marking_start(), roots, then marking_spread(), marking_possible(),
 * marking_suspend() for some, marking_lost(), marking_count(). Work lists are queues in memory: nothing recurses, and blocks are
 * marked from the roots outwards, so the first mark has a shortest chain.
 *
 * Lost blocks. In a first pass each block that is not visited yet becomes a candidate and
 * visits what it leads to. A candidate is never reached from an earlier one. In a second
 * pass, from the last candidate to the first, a candidate that none before it (that is,
 * later ones of the first pass) has reached is definite, and what it reaches is indirect.
 * So each group of blocks that hang on one another gets exactly one definite block,
 * whatever the order of their addresses.
 *
 * Context: inside the tracked program, async-signal-safe.
 * Memory:  the caller's: 4 bytes a block for the queue.
 * Threads: one; what is scanned must not change.
 * Source:  Valgrind User Manual, 4.2.9 "Memory leak detection".
 */
#ifndef MEMTRACK_CENSUS_MARKING_H
#define MEMTRACK_CENSUS_MARKING_H

#include "census/block_index.h"
#include "census/findings.h"
#include "census/memory_map.h"
#include "census/residency.h"
#include "core/announced.h"

#define MARKING_HEURISTIC_STDSTRING 1u /* characters after length, capacity, references */
#define MARKING_HEURISTIC_LENGTH64 2u  /* the block begins with the size of the rest */
#define MARKING_HEURISTIC_NEWARRAY 4u  /* elements after their number */
#define MARKING_HEURISTIC_MULTIPLE_INHERITANCE 8u /* a second base class */
#define MARKING_HEURISTICS_ALL 15u

/* Pointers wait here until what is known of their blocks has come into the cache. */
#define MARKING_PENDING 16u
struct marking_pending {
    uintptr_t value; /* 0: none */
    struct findings_holder holder;
};

struct marking {
    /* Set by the caller. */
    struct block_index *index;
    struct findings *findings;
    uint32_t *queue;              /* [0..index->count) */
    const struct memory_map *map; /* what may be read; NULL: all, nothing is skipped */
    struct residency *residency;  /* NULL: nothing is skipped */
    const struct announced_tagged *tagged; /* [0..tagged_count): where pointers have a form */
    uint32_t tagged_count;
    uint32_t heuristics;
    uint32_t alignment_bytes; /* of pointers in memory: 8, or 4, 2, 1 */
    bool interior_is_start;   /* any pointer into a block holds it, as for LeakSanitizer */

    /* Marking's own. */
    uint32_t head;
    uint32_t tail;
    uint32_t pass;
    const struct memory_range *range; /* that was looked into last */
    uint64_t scanned_bytes;
    uint32_t pending_next;
    struct marking_pending pending[MARKING_PENDING];
};

/* Scans [start, end) for pointers; what is found to be held is queued. With
 * holder->holder 0 each pointer's own address stands for its holder. */
void marking_scan_root(struct marking *marking, uintptr_t start, uintptr_t end,
                       const struct findings_holder *holder);

/* One value that a root holds: a register. */
void marking_add_root(struct marking *marking, uintptr_t value,
                      const struct findings_holder *holder);

/* Takes a block out of all classes but "ignored". Before marking_start(). */
void marking_ignore(struct census_block *block);

/* Keeps a block out of the findings; it holds others like any block. Before
 * marking_start(). */
void marking_leave_out(struct census_block *block);

/* First of all: what ignored blocks lead to is reachable. */
void marking_start(struct marking *marking);

void marking_spread(struct marking *marking);
void marking_possible(struct marking *marking);

/* After marking_possible(): whether nothing was found to lead to the block; and not to call
 * such a block lost. It counts as reachable; what only it leads to does not. */
bool marking_is_unmarked(const struct census_block *block);
void marking_suspend(struct census_block *block);

void marking_lost(struct marking *marking);

/* Adds every block to the findings of its site. */
void marking_count(struct marking *marking);

/* The class a block got. */
enum arena_leak_class marking_class(const struct census_block *block);

#endif
