/*
 * core/stack_table.h - stacks to ids: a lock-free, insert-only trie in the arena.
 *
 * Looking up a known stack is one probe by its 64-bit hash. Only a new stack touches
 * the trie: its longest known outer part is found by the hash of that part, and nodes
 * are added for the rest. A slot that is being filled may belong to the code that this
 * signal interrupted, so nobody waits: at worst a stack or a node is stored twice, and
 * the reader merges equal stacks.
 *
 * Context: async-signal-safe. Threads: any number, also of several processes after a
 * fork. Memory: extents of the arena.
 */
#ifndef MEMTRACK_CORE_STACK_TABLE_H
#define MEMTRACK_CORE_STACK_TABLE_H

#include "arena/arena.h"
#include "core/capture.h"

/* Returns the id of the stack with this hash, or 0 when it is not in the table. */
uint32_t stack_table_find(const struct arena *arena, struct arena_image *image, uint64_t hash);

/*
 * Interns frames[0..depth), innermost first; frames[0].hash is the stack's hash, and
 * frames[i].hash that of frames i and outer ones. `flags` is a set of arena_stack_flag.
 * Returns the id, or 0 when a table is full.
 */
uint32_t stack_table_insert(const struct arena *arena, struct arena_image *image,
                            const struct capture_frame *frames, uint32_t depth, uint32_t flags);

/*
 * Reads stack `id` from outside: fills pc[0..capacity) innermost first, returns the
 * number of frames, 0 for an id that is unknown, incomplete or inconsistent (cycles,
 * offsets outside). flags and epoch may be NULL.
 */
uint32_t stack_table_read(const struct arena *arena, const struct arena_image *image, uint32_t id,
                          uint64_t *pc, uint32_t capacity, uint32_t *flags, uint32_t *epoch);

#endif
