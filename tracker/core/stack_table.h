/*
 * core/stack_table.h - stacks to ids: a lock-free, insert-only trie in the arena.
 *
 * Looking up a known stack is one probe by its 64-bit hash. Only a new stack touches
 * the trie: its longest known outer part is found by the hash of that part, and nodes
 * are added for the rest. Nobody waits for anybody, so at worst (two threads at the same
 * moment as the table grows) a stack or a node is stored twice, and the reader merges
 * equal stacks.
 *
 *     stack id --hash--> leaf node -> parent -> ... -> outermost node -> 0
 *
 * Context: async-signal-safe. Threads: any number, also of several processes after a
 * fork. Memory: extents of the arena.
 */
#ifndef MEMTRACK_CORE_STACK_TABLE_H
#define MEMTRACK_CORE_STACK_TABLE_H

#include "arena/arena.h"
#include "core/capture.h"
#include "core/hash_index.h"

/* A process's access to its image's table: addresses looked up once. Private memory;
 * stays valid in the children of a fork. */
struct stack_table {
    struct hash_index stacks;
    struct hash_index prefixes;
    struct arena arena;
    struct arena_image *image;
};

/* Opens the image's table, new (zeroed) or in use. `arena` is copied. */
void stack_table_open(struct stack_table *table, const struct arena *arena,
                      struct arena_image *image);

/* Returns the id of the stack with this hash (not 0), or 0 when it is not in the table. */
static inline uint32_t stack_table_find(struct stack_table *table, uint64_t hash)
{
    return hash_index_find(&table->stacks, hash, ARENA_STACK_ID_BITS);
}

/* The same, but 0 is returned for some that are in the table, too: quicker where a miss is
 * followed by stack_table_insert_above(), which finds these. */
static inline uint32_t stack_table_find_quickly(struct stack_table *table, uint64_t hash)
{
    return hash_index_find_newest(&table->stacks, hash, ARENA_STACK_ID_BITS);
}

/* What is stored with a stack beside its frames. */
struct stack_traits {
    uint32_t depth; /* 1 .. 65535 */
    uint32_t flags; /* set of arena_stack_flag */
    uint32_t epoch; /* what module_table_note() returned for the frames */
};

/*
 * Interns frames[0..depth), innermost first, 1 <= depth <= 65535; frames[0].hash is the
 * stack's hash, and frames[i].hash that of frames i and outer ones. `flags` is a set of
 * arena_stack_flag, `epoch` what module_table_note() returned for these frames; it must
 * be part of every hash. Returns the id, or 0 when a table is full.
 */
uint32_t stack_table_insert(struct stack_table *table, struct capture_frame *frames,
                            uint32_t depth, uint32_t flags, uint32_t epoch);

/*
 * The same for frames[0..count), of `depth`, that stand on what `parent` is the node of: that
 * part is neither looked at nor searched for. Sets the nodes of frames[0..count). With count 0
 * `parent` is the leaf. `hash` is that of the whole stack.
 */
uint32_t stack_table_insert_above(struct stack_table *table, struct capture_frame *frames,
                                  uint32_t count, uint32_t parent, uint64_t hash,
                                  const struct stack_traits *traits);

/* Returns the node that is `up` frames outside the leaf of stack `id`, which is in the table; 0
 * if there is none. */
uint32_t stack_table_node(const struct stack_table *table, uint32_t id, uint32_t up);

/*
 * From outside (as all below). Returns the end of the ids handed out so far: read
 * stacks 1 .. end-1; ids whose process was killed in the middle stay unknown.
 */
uint32_t stack_table_end(const struct arena_image *image);

/*
 * Reads stack `id`: fills pc[0..capacity) innermost first, returns the
 * number of frames filled in, 0 for an id that is unknown, incomplete or inconsistent (cycles,
 * offsets outside). flags and epoch may be NULL.
 */
uint32_t stack_table_read(const struct arena *arena, const struct arena_image *image, uint32_t id,
                          uint64_t *pc, uint32_t capacity, uint32_t *flags, uint32_t *epoch);

#endif
