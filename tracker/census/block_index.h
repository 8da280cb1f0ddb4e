/*
 * census/block_index.h - the live blocks in order of address, and which of them contains
 * an address.
 *
 *   regions    address >> 26 -> number of the region's table (0: no block here)
 *   table      page of the region -> first block that begins in it or later
 *   blocks     16 bytes each, in order of address
 *
 *   block      63      56 55     48 47                     0
 *              +---------+---------+------------------------+
 *              | scans   | state   | address                |
 *              +---------+---------+------------------------+
 *              | size_bytes: 44 bits    | stack id: 20 bits |
 *              +------------------------+-------------------+
 *
 * Context: inside the tracked program, async-signal-safe.
 * Memory:  the caller's: see block_index_bytes(); 16 bytes a block and 64 KiB for each 64
 *          MiB of address space with blocks in it.
 * Threads: one.
 */
#ifndef MEMTRACK_CENSUS_BLOCK_INDEX_H
#define MEMTRACK_CENSUS_BLOCK_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_NONE UINT32_MAX
#define BLOCK_INDEX_REGION_SHIFT 26
#define BLOCK_INDEX_PAGE_SHIFT 12
#define BLOCK_INDEX_REGIONS (1u << (47 - BLOCK_INDEX_REGION_SHIFT))
#define BLOCK_INDEX_PAGES (1u << (BLOCK_INDEX_REGION_SHIFT - BLOCK_INDEX_PAGE_SHIFT))
#define BLOCK_INDEX_TABLES_MAX 65535u
#define BLOCK_ADDRESS_BITS 48
#define BLOCK_ADDRESS_MASK ((UINT64_C(1) << BLOCK_ADDRESS_BITS) - 1)
#define BLOCK_STACK_BITS 20
#define BLOCK_SIZE_MAX ((UINT64_C(1) << 44) - 1)

struct census_block {
    uint64_t state_address; /* scans: see suspects.h */
    uint64_t size_stack;
};

struct block_index {
    struct census_block *blocks; /* [0..count) */
    uint32_t count;
    uint32_t capacity;
    uintptr_t low; /* no block contains an address outside [low, high) */
    uintptr_t high;
    uint16_t *region_table; /* [BLOCK_INDEX_REGIONS] */
    uint32_t *region_number; /* [0..table_count): which region table i + 1 is of */
    uint32_t (*tables)[BLOCK_INDEX_PAGES + 1];
    uint32_t table_count;
    uint32_t tables_capacity;
};

static inline uintptr_t block_address(const struct census_block *block)
{
    return block->state_address & BLOCK_ADDRESS_MASK;
}

static inline uint64_t block_size_bytes(const struct census_block *block)
{
    return block->size_stack >> BLOCK_STACK_BITS;
}

static inline uint32_t block_stack(const struct census_block *block)
{
    return (uint32_t)(block->size_stack & ((1u << BLOCK_STACK_BITS) - 1));
}

/* Bytes of zeroed memory, lazily backed, that an index of that many blocks needs. */
size_t block_index_bytes(uint32_t capacity, uint32_t tables_capacity);

/* Makes an empty index in `memory` of block_index_bytes() bytes, aligned to 16. */
void block_index_init(struct block_index *index, void *memory, uint32_t capacity,
                      uint32_t tables_capacity);

/* Adds a block, whose address must not be below that of the one before. A block beyond
 * the capacity is left out and false returned. */
bool block_index_add(struct block_index *index, uintptr_t address, uint64_t size_bytes,
                     uint32_t stack);

/* All are in: makes the tables. False: more regions than there is room for. */
bool block_index_finish(struct block_index *index);

/* Where in the index the last block that begins at or before `address` is likely to be, as
 * if the blocks of its page had equal sizes: between *low and *high, which bound it. */
static inline uint32_t block_index_guess(const struct block_index *index, uintptr_t address,
                                         uint32_t *low, uint32_t *high)
{
    uint32_t table = index->region_table[address >> BLOCK_INDEX_REGION_SHIFT];
    if (table == 0) {
        *low = 0;
        *high = 0;
        return 0;
    }
    const uint32_t *first = index->tables[table - 1];
    size_t page = (address >> BLOCK_INDEX_PAGE_SHIFT) & (BLOCK_INDEX_PAGES - 1);
    uint32_t offset = address & ((1u << BLOCK_INDEX_PAGE_SHIFT) - 1);
    *low = first[page];
    *high = first[page + 1];
    return *low + (uint32_t)(((uint64_t)(*high - *low) * offset) >> BLOCK_INDEX_PAGE_SHIFT);
}

/* Whether any block lies in the address's region; address in [low, high) of the index. */
static inline bool block_index_has_region(const struct block_index *index, uintptr_t address)
{
    return index->region_table[address >> BLOCK_INDEX_REGION_SHIFT] != 0;
}

/* Fetches what block_index_find() will look at; address in [low, high) of the index. */
static inline void block_index_prefetch(const struct block_index *index, uintptr_t address)
{
    uint32_t low;
    uint32_t high;
    __builtin_prefetch(&index->blocks[block_index_guess(index, address, &low, &high)], 1);
}

/* Returns the number of the block that contains `address`, or begins there, else
 * BLOCK_NONE. A block of no bytes contains its own address. */
static inline uint32_t block_index_find(const struct block_index *index, uintptr_t address)
{
    uint32_t low;
    uint32_t high;
    if (address - index->low >= index->high - index->low) {
        return BLOCK_NONE;
    }
    uint32_t guess = block_index_guess(index, address, &low, &high);
    /* Steps away from the guess; a page has 256 blocks at most, and usually equal ones. */
    while (guess < high && block_address(&index->blocks[guess]) <= address) {
        guess++;
    }
    while (guess > low && block_address(&index->blocks[guess - 1]) > address) {
        guess--;
    }
    if (guess == 0) {
        return BLOCK_NONE;
    }
    const struct census_block *block = &index->blocks[guess - 1];
    uint64_t size_bytes = block_size_bytes(block);
    return address - block_address(block) < size_bytes + (size_bytes == 0) ? guess - 1 : BLOCK_NONE;
}

#endif
