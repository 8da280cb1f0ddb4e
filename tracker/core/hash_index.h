/*
 * core/hash_index.h - 64-bit hash to small id: lock-free, insert-only, in the arena.
 *
 * Open addressing with linear probing over 8-byte entries (arena/layout.h), so that a
 * look-up mostly touches one cache line and one compare-and-swap inserts. It starts as
 * small as a page and grows by adding a table of eight times the size (later: twice); entries of older
 * tables move up when they are next asked for.
 *
 *     newest ----> generation 2  [ . . h . h . . . . h . . . h . . ]   looked up first
 *                  generation 1  [ h . h h . . h . ]                   on a miss,
 *                  generation 0  [ h h . h ]                           in this order
 *
 * Nobody waits for anybody: a process may be killed at any instruction, or a thread
 * interrupted by a signal that inserts too. At worst an entry stands in two generations,
 * or one more slot is filled than `used` says.
 *
 * The hash must differ in its low bits or its high ones: all 64 take part. An entry and
 * its place keep at least 64 - id_bits + first_log2 of them.
 *
 * Context: async-signal-safe. Memory: extents of the arena. Threads: any number, also
 * of several processes that inherited the mapping by fork; a struct hash_index is private
 * to a process and stays valid in its children.
 */
#ifndef MEMTRACK_CORE_HASH_INDEX_H
#define MEMTRACK_CORE_HASH_INDEX_H

#include "arena/arena.h"

struct hash_index {
    /* Address of the newest table known here, 64-byte aligned, with 64 - log2(entries) in
     * the low bits: one load gives both. Behind the shared state only until a miss. */
    _Alignas(ARENA_CACHE_LINE) _Atomic uintptr_t newest;
    struct arena_hash_table *shared;
    struct arena arena;
    uint32_t first_log2;
    uint32_t id_bits;
};

/* `shared` may be zeroed memory or a table in use. */
void hash_index_open(struct hash_index *index, const struct arena *arena,
                     struct arena_hash_table *shared, uint32_t first_log2, uint32_t id_bits);

/* The rest of hash_index_find(): longer probes, tables that others added, older ones. */
uint32_t hash_index_find_slowly(struct hash_index *index, uint64_t hash);

#define HASH_INDEX_QUICK_PROBES 8

/* Where the probing of a table with 2^(64 - shift) entries begins. */
static inline size_t hash_index_place(uint64_t hash, uint32_t shift)
{
    /* The odd constant nearest to 2^64 / golden ratio spreads hashes whose high bits
     * are poor. */
    return (size_t)((hash * UINT64_C(0x9e3779b97f4a7c15)) >> shift);
}

/* Begins to fetch the memory that a look-up of `hash` reads. */
static inline void hash_index_prefetch(struct hash_index *index, uint64_t hash)
{
    uintptr_t newest = atomic_load_explicit(&index->newest, memory_order_acquire);
    const uint64_t *entries = (const uint64_t *)(newest & ~(uintptr_t)63);
    __builtin_prefetch(&entries[hash_index_place(hash, newest & 63)]);
}

/* The same for a look-up that will probably find nothing, which reads older tables, too. */
void hash_index_prefetch_all(const struct hash_index *index, uint64_t hash);

/* Returns the id that stands under `hash` near its place in the newest table, or 0: it may
 * still be in an older one. id_bits is that of the index: passed again, so that it is a
 * constant here. */
static inline uint32_t hash_index_find_newest(struct hash_index *index, uint64_t hash,
                                              uint32_t id_bits)
{
    uintptr_t newest = atomic_load_explicit(&index->newest, memory_order_acquire);
    const _Atomic uint64_t *entries = (const _Atomic uint64_t *)(newest & ~(uintptr_t)63);
    size_t mask = ~UINT64_C(0) >> (newest & 63);
    size_t place = hash_index_place(hash, newest & 63);
    for (int i = 0; i < HASH_INDEX_QUICK_PROBES; i++, place = (place + 1) & mask) {
        /* Equal tags leave nothing but the id; an empty entry or another's leave more. */
        uint64_t entry = atomic_load_explicit(&entries[place], memory_order_acquire);
        uint64_t id = entry ^ (hash << id_bits);
        if (__builtin_expect(id - 1 < (UINT64_C(1) << id_bits) - 1, 1)) {
            return (uint32_t)id;
        }
        if (entry == 0) {
            break;
        }
    }
    return 0;
}

/* Returns the id that was put under `hash`, or 0. */
static inline uint32_t hash_index_find(struct hash_index *index, uint64_t hash, uint32_t id_bits)
{
    uint32_t id = hash_index_find_newest(index, hash, id_bits);
    return __builtin_expect(id != 0, 1) ? id : hash_index_find_slowly(index, hash);
}

/*
 * Puts hash -> id (1 .. 2^id_bits - 1), unless another id stands under this hash in the
 * newest table already. Returns the id that stands there now, 0 when the arena is full.
 */
uint32_t hash_index_put(struct hash_index *index, uint64_t hash, uint32_t id);

#endif
