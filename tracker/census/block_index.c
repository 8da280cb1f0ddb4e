#include "census/block_index.h"

static size_t aligned(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

size_t block_index_bytes(uint32_t capacity, uint32_t tables_capacity)
{
    return aligned((size_t)capacity * sizeof(struct census_block))
           + aligned(BLOCK_INDEX_REGIONS * sizeof(uint16_t))
           + aligned(tables_capacity * sizeof(uint32_t))
           + (size_t)tables_capacity * sizeof(uint32_t[BLOCK_INDEX_PAGES + 1]);
}

void block_index_init(struct block_index *index, void *memory, uint32_t capacity,
                      uint32_t tables_capacity)
{
    char *next = memory;
    *index = (struct block_index){.capacity = capacity,
                                  .tables_capacity = tables_capacity,
                                  .low = UINTPTR_MAX};
    index->blocks = (struct census_block *)(void *)next;
    next += aligned((size_t)capacity * sizeof(struct census_block));
    index->region_table = (uint16_t *)(void *)next;
    next += aligned(BLOCK_INDEX_REGIONS * sizeof(uint16_t));
    index->region_number = (uint32_t *)(void *)next;
    next += aligned(tables_capacity * sizeof(uint32_t));
    index->tables = (uint32_t(*)[BLOCK_INDEX_PAGES + 1])(void *)next;
}

bool block_index_add(struct block_index *index, uintptr_t address, uint64_t size_bytes,
                     uint32_t stack)
{
    if (index->count == index->capacity) {
        return false;
    }
    if (size_bytes > BLOCK_SIZE_MAX) {
        size_bytes = BLOCK_SIZE_MAX;
    }
    index->blocks[index->count++] = (struct census_block){
        .state_address = address, .size_stack = size_bytes << BLOCK_STACK_BITS | stack};
    uintptr_t end = address + size_bytes + (size_bytes == 0);
    if (end >> 47 != 0) {
        end = UINT64_C(1) << 47;
    }
    if (address < index->low) {
        index->low = address;
    }
    if (end > index->high) {
        index->high = end;
    }
    return true;
}

bool block_index_finish(struct block_index *index)
{
    for (uint32_t i = 0; i < index->count; i++) {
        uintptr_t address = block_address(&index->blocks[i]);
        uint64_t size_bytes = block_size_bytes(&index->blocks[i]);
        uintptr_t last = address + (size_bytes == 0 ? 0 : size_bytes - 1);
        uintptr_t region = address >> BLOCK_INDEX_REGION_SHIFT;
        for (; region <= last >> BLOCK_INDEX_REGION_SHIFT && region < BLOCK_INDEX_REGIONS;
             region++) {
            if (index->region_table[region] != 0) {
                continue;
            }
            if (index->table_count == index->tables_capacity) {
                return false;
            }
            index->region_number[index->table_count++] = (uint32_t)region;
            index->region_table[region] = (uint16_t)index->table_count;
        }
    }
    if (index->count == 0) {
        index->low = 0; /* nothing lies in [0, 0) */
    }
    /* Regions came in order of address, because blocks did. */
    uint32_t block = 0;
    for (uint32_t i = 0; i < index->table_count; i++) {
        uintptr_t page = (uintptr_t)index->region_number[i] << BLOCK_INDEX_REGION_SHIFT;
        for (size_t j = 0; j <= BLOCK_INDEX_PAGES; j++) {
            while (block < index->count && block_address(&index->blocks[block]) < page) {
                block++;
            }
            index->tables[i][j] = block;
            page += 1u << BLOCK_INDEX_PAGE_SHIFT;
        }
    }
    return true;
}
