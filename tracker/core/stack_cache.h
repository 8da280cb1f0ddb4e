/*
 * core/stack_cache.h - hash -> stack id once more, in a process's own huge page.
 *
 * The stack table's index is shared memory in small pages, so in a program with tens of
 * thousands of stacks nearly each look-up misses the TLB on top of the cache, also
 * where it is prefetched. This copy needs one TLB entry and mostly one line:
 *
 *     group --> [ w w w w . . . . ]   the line of all stacks that differ in their innermost
 *                                     STACK_CACHE_GROUP_FRAMES frames only
 *     hash  --> w                     where the line is full; replaces whatever is there
 *
 * A program allocates for a while from below the same outer frames, so that a group's
 * line is still in the processor's cache when the next of its stacks is asked for.
 *
 * A word is the same as an entry of the index (arena/layout.h): the hash's low 44 bits above
 * the id; other bits of hash and group choose the place. Ids never change, so a word never
 * becomes wrong; the children of a fork inherit a copy.
 *
 * Context: async-signal-safe. Memory: none below STACK_CACHE_FIRST_ID stacks, then 2 MiB.
 * Threads: any number; words are read and written whole, relaxed: each is complete in itself.
 */
#ifndef MEMTRACK_CORE_STACK_CACHE_H
#define MEMTRACK_CORE_STACK_CACHE_H

#include "core/hash_index.h"

#include <stdbool.h>

#define STACK_CACHE_FIRST_ID 8192u /* fewer are 64 KiB of the index: these pages stay in the TLB */

struct stack_cache {
    _Atomic(_Atomic uint64_t *) words; /* NULL until there are many stacks; set once */
};

#define STACK_CACHE_LOG2 18u
#define STACK_CACHE_LINE_WORDS 8u
#define STACK_CACHE_GROUP_FRAMES 4u

struct stack_cache_key {
    uint64_t hash;  /* of the whole stack */
    uint64_t group; /* of all frames but the innermost ones; any number, as long as the stack's is
                       always the same */
};

static inline _Atomic uint64_t *stack_cache_line(_Atomic uint64_t *words, uint64_t group)
{
    return words + hash_index_place(group, 64 - STACK_CACHE_LOG2 + 3) * STACK_CACHE_LINE_WORDS;
}

static inline _Atomic uint64_t *stack_cache_spare(_Atomic uint64_t *words, uint64_t hash)
{
    return words + hash_index_place(hash, 64 - STACK_CACHE_LOG2);
}

static inline bool stack_cache_is_on(const struct stack_cache *cache)
{
    return atomic_load_explicit(&cache->words, memory_order_relaxed) != NULL;
}

/* Begins to fetch the memory that a look-up reads. */
static inline void stack_cache_prefetch(const struct stack_cache *cache, struct stack_cache_key key)
{
    _Atomic uint64_t *words = atomic_load_explicit(&cache->words, memory_order_acquire);
    __builtin_prefetch((const void *)(uintptr_t)stack_cache_line(words, key.group));
    __builtin_prefetch((const void *)(uintptr_t)stack_cache_spare(words, key.hash));
}

/* Returns the id in a word if it stands under this hash, else a number that is no id. */
static inline uint64_t stack_cache_id(const _Atomic uint64_t *word, uint64_t hash)
{
    return atomic_load_explicit(word, memory_order_relaxed) ^ (hash << ARENA_STACK_ID_BITS);
}

/* Returns the id last put under the key, or 0. */
static inline uint32_t stack_cache_find(const struct stack_cache *cache, struct stack_cache_key key)
{
    _Atomic uint64_t *words = atomic_load_explicit(&cache->words, memory_order_acquire);
    if (words == NULL) {
        return 0;
    }
    const _Atomic uint64_t *line = stack_cache_line(words, key.group);
    for (unsigned i = 0; i < STACK_CACHE_LINE_WORDS; i++) {
        uint64_t id = stack_cache_id(&line[(key.hash + i) % STACK_CACHE_LINE_WORDS], key.hash);
        if (id < ARENA_STACKS_MAX) {
            return (uint32_t)id;
        }
    }
    uint64_t id = stack_cache_id(stack_cache_spare(words, key.hash), key.hash);
    return id < ARENA_STACKS_MAX ? (uint32_t)id : 0;
}

/* Whether a stack of this group that is not found was, most likely, never put. False where there
 * is no cache. */
static inline bool stack_cache_has_room(const struct stack_cache *cache, struct stack_cache_key key)
{
    _Atomic uint64_t *words = atomic_load_explicit(&cache->words, memory_order_acquire);
    if (words == NULL) {
        return false;
    }
    /* Filled in turn from the place of each: the last one to be filled may be any. */
    const _Atomic uint64_t *line = stack_cache_line(words, key.group);
    for (unsigned i = 0; i < STACK_CACHE_LINE_WORDS; i++) {
        if (atomic_load_explicit(&line[i], memory_order_relaxed) == 0) {
            return true;
        }
    }
    return false;
}

/* Puts key -> id, 1 .. ARENA_STACKS_MAX - 1. Maps the memory when ids are large enough. */
void stack_cache_put(struct stack_cache *cache, struct stack_cache_key key, uint32_t id);

/* Forgets everything. No other thread may use it meanwhile. */
void stack_cache_close(struct stack_cache *cache);

#endif
