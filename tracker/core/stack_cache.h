/*
 * core/stack_cache.h - hash -> stack id once more, in a process's own huge page.
 *
 * The stack table's index is shared memory in small pages, so in a program with tens of
 * thousands of stacks nearly each look-up misses the TLB on top of the cache, also
 * where it is prefetched. This copy needs one TLB entry and one load: direct mapped, an entry
 * replaces whatever was in its place. What is not here is looked up in the table.
 *
 * A word is the same as an entry of the index (arena/layout.h): the hash's low 44 bits above
 * the id; other bits of the hash choose the place. Ids never change, so a word never becomes
 * wrong; the children of a fork inherit a copy.
 *
 * Context: async-signal-safe. Memory: none below STACK_CACHE_FIRST_ID stacks, then 2 MiB.
 * Threads: any number; words are read and written whole, relaxed: each is complete in itself.
 */
#ifndef MEMTRACK_CORE_STACK_CACHE_H
#define MEMTRACK_CORE_STACK_CACHE_H

#include "core/hash_index.h"

#define STACK_CACHE_FIRST_ID 8192u /* fewer are 64 KiB of the index: these pages stay in the TLB */

struct stack_cache {
    _Atomic(_Atomic uint64_t *) words; /* NULL until there are many stacks; set once */
};

#define STACK_CACHE_LOG2 18u

static inline _Atomic uint64_t *stack_cache_word(const struct stack_cache *cache, uint64_t hash)
{
    _Atomic uint64_t *words = atomic_load_explicit(&cache->words, memory_order_acquire);
    return words == NULL ? NULL : &words[hash_index_place(hash, 64 - STACK_CACHE_LOG2)];
}

/* Returns the id last put under `hash`, or 0. `word` is stack_cache_word() of it, not NULL. */
static inline uint32_t stack_cache_find(const _Atomic uint64_t *word, uint64_t hash)
{
    uint64_t id = atomic_load_explicit(word, memory_order_relaxed) ^ (hash << ARENA_STACK_ID_BITS);
    return id < ARENA_STACKS_MAX ? (uint32_t)id : 0;
}

/* Puts hash -> id, 1 .. ARENA_STACKS_MAX - 1. Maps the memory when ids are large enough. */
void stack_cache_put(struct stack_cache *cache, uint64_t hash, uint32_t id);

/* Forgets everything. No other thread may use it meanwhile. */
void stack_cache_close(struct stack_cache *cache);

#endif
