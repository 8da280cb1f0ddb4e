#include "core/hash_index.h"

/* Half full tables have runs of about 70 in the worst of 2^20 entries; longer ones mean
 * that the count of used entries is wrong, or the memory damaged. */
#define PROBES_MAX 256u

/* What `newest` points to before there is a table: nothing is ever found or put here. */
#define NOWHERE_SHIFT 63u
static _Alignas(ARENA_CACHE_LINE) _Atomic uint64_t hash_index_nowhere[2];

/* A table as found in the arena. entries is NULL where there is none. */
struct hash_table {
    _Atomic uint64_t *entries;
    uint32_t log2;
};

static uint32_t generation_log2(const struct hash_index *index, uint32_t generation)
{
    return index->first_log2 + ARENA_HASH_GROWTH_LOG2(generation);
}

static struct hash_table hash_table_at(const struct hash_index *index, uint32_t generation)
{
    struct hash_table table = {NULL, generation_log2(index, generation)};
    uint64_t offset = atomic_load_explicit(&index->shared->table[generation], memory_order_acquire);
    if (offset % ARENA_CACHE_LINE == 0) {
        table.entries = arena_at(&index->arena, offset, sizeof(uint64_t) << table.log2);
    }
    return table;
}

static uint32_t hash_index_generations(const struct hash_index *index)
{
    uint32_t count = atomic_load_explicit(&index->shared->generations, memory_order_acquire);
    return count < ARENA_HASH_GENERATIONS ? count : ARENA_HASH_GENERATIONS;
}

static void hash_index_use(struct hash_index *index, struct hash_table table)
{
    atomic_store_explicit(&index->newest, (uintptr_t)table.entries | (64u - table.log2),
                          memory_order_release);
}

void hash_index_open(struct hash_index *index, const struct arena *arena,
                     struct arena_hash_table *shared, uint32_t first_log2, uint32_t id_bits)
{
    index->shared = shared;
    index->arena = *arena;
    index->first_log2 = first_log2;
    index->id_bits = id_bits;
    atomic_store_explicit(&index->newest, (uintptr_t)hash_index_nowhere | NOWHERE_SHIFT,
                          memory_order_relaxed);
    uint32_t generations = hash_index_generations(index);
    if (generations > 0) {
        struct hash_table table = hash_table_at(index, generations - 1);
        if (table.entries != NULL) {
            hash_index_use(index, table);
        }
    }
}

void hash_index_prefetch_all(const struct hash_index *index, uint64_t hash)
{
    for (uint32_t i = hash_index_generations(index); i-- > 0;) {
        struct hash_table table = hash_table_at(index, i);
        if (table.entries != NULL) {
            uintptr_t entries = (uintptr_t)table.entries;
            size_t place = hash_index_place(hash, 64u - table.log2);
            __builtin_prefetch((const uint64_t *)entries + place);
        }
    }
}

/* Returns the id under `hash` in one table, 0 if none. */
static uint32_t hash_table_find(struct hash_table table, uint64_t hash, uint32_t id_bits)
{
    size_t mask = ((size_t)1 << table.log2) - 1;
    size_t place = hash_index_place(hash, 64u - table.log2);
    for (uint32_t i = 0; i < PROBES_MAX; i++) {
        uint64_t entry = atomic_load_explicit(&table.entries[(place + i) & mask], memory_order_acquire);
        uint64_t id = entry ^ (hash << id_bits);
        if (id - 1 < (UINT64_C(1) << id_bits) - 1) {
            return (uint32_t)id;
        }
        if (entry == 0) {
            break;
        }
    }
    return 0;
}

/* Returns the id that stands under `hash` in this table now: `id`, unless one was there.
 * 0: no room near its place. *is_new tells whether an entry was filled. */
static uint32_t hash_table_put(struct hash_table table, uint64_t hash, uint32_t id,
                               uint32_t id_bits, int *is_new)
{
    size_t mask = ((size_t)1 << table.log2) - 1;
    size_t place = hash_index_place(hash, 64u - table.log2);
    *is_new = 0;
    for (uint32_t i = 0; i < PROBES_MAX; i++) {
        _Atomic uint64_t *slot = &table.entries[(place + i) & mask];
        uint64_t entry = atomic_load_explicit(slot, memory_order_acquire);
        /* Release: what the id stands for is complete before it can be found. */
        if (entry == 0
            && atomic_compare_exchange_strong_explicit(slot, &entry, (hash << id_bits) | id,
                                                       memory_order_release,
                                                       memory_order_acquire)) {
            *is_new = 1;
            return id;
        }
        uint64_t present = entry ^ (hash << id_bits);
        if (present - 1 < (UINT64_C(1) << id_bits) - 1) {
            return (uint32_t)present;
        }
    }
    return 0;
}

uint32_t hash_index_find_slowly(struct hash_index *index, uint64_t hash)
{
    uint32_t generations = hash_index_generations(index);
    for (uint32_t i = generations; i-- > 0;) {
        struct hash_table table = hash_table_at(index, i);
        if (table.entries == NULL) {
            continue;
        }
        if (i == generations - 1) {
            hash_index_use(index, table);
        }
        uint32_t id = hash_table_find(table, hash, index->id_bits);
        if (id != 0) {
            if (i < generations - 1) {
                hash_index_put(index, hash, id);
            }
            return id;
        }
    }
    return 0;
}

/* Makes table number `generation` if nobody has, and counts it. Whoever is killed
 * in between has its table taken up by the next one to come here. */
static int hash_index_grow(struct hash_index *index, uint32_t generation)
{
    if (generation >= ARENA_HASH_GENERATIONS) {
        return -1;
    }
    struct arena_hash_table *shared = index->shared;
    uint64_t bytes = sizeof(uint64_t) << generation_log2(index, generation);
    uint64_t offset = atomic_load_explicit(&shared->table[generation], memory_order_acquire);
    if (offset == 0) {
        uint64_t fresh = arena_extent_new(&index->arena, bytes);
        if (fresh == 0) {
            return -1;
        }
        /* A loser's extent is lost: address space only, nothing touched it. */
        atomic_compare_exchange_strong_explicit(&shared->table[generation], &offset, fresh,
                                                memory_order_release, memory_order_acquire);
    }
    uint32_t expected = generation;
    atomic_compare_exchange_strong_explicit(&shared->generations, &expected, generation + 1,
                                            memory_order_release, memory_order_relaxed);
    return 0;
}

uint32_t hash_index_put(struct hash_index *index, uint64_t hash, uint32_t id)
{
    /* Each round but the last adds a table. */
    for (uint32_t round = 0; round <= ARENA_HASH_GENERATIONS; round++) {
        uint32_t generations = hash_index_generations(index);
        struct hash_table table = {NULL, 0};
        if (generations > 0) {
            table = hash_table_at(index, generations - 1);
            if (table.entries == NULL) {
                return 0;
            }
            hash_index_use(index, table);
            int is_new;
            uint32_t present = hash_table_put(table, hash, id, index->id_bits, &is_new);
            if (is_new) {
                uint32_t used = 1 + atomic_fetch_add_explicit(&index->shared->used[generations - 1], 1,
                                                              memory_order_relaxed);
                if (used >= 1u << (table.log2 - 1)) {
                    hash_index_grow(index, generations);
                }
            }
            if (present != 0) {
                return present;
            }
        }
        if (hash_index_grow(index, generations) != 0) {
            return 0;
        }
    }
    return 0;
}
