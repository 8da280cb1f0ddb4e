#include "census/suspects.h"

#include "census/marking.h"
#include "core/live_map.h"

#define SCANS_SHIFT 56
#define SUSPECT_SCANS_SHIFT BLOCK_ADDRESS_BITS

static uint64_t record_at(uintptr_t address)
{
    uint64_t record;
    (void)live_map_find(address, false, &record);
    return record;
}

void suspects_compare(struct block_index *index, const struct arena_census_suspect *previous,
                      uint32_t previous_count, uint32_t agreement, struct suspects *suspects)
{
    uint32_t at = 0;
    *suspects = (struct suspects){.count = 0};
    for (uint32_t i = 0; i < index->count; i++) {
        struct census_block *block = &index->blocks[i];
        if (!marking_is_unmarked(block)) {
            continue;
        }
        uintptr_t address = block_address(block);
        uint64_t scans = 1;
        while (at < previous_count
               && (previous[at].scans_address & BLOCK_ADDRESS_MASK) < address) {
            at++;
        }
        if (at < previous_count && (previous[at].scans_address & BLOCK_ADDRESS_MASK) == address
            && previous[at].record == record_at(address)) {
            scans += previous[at].scans_address >> SUSPECT_SCANS_SHIFT;
            scans = scans > ARENA_CENSUS_SCANS_MAX ? ARENA_CENSUS_SCANS_MAX : scans;
        }
        if (suspects->count < ARENA_CENSUS_SUSPECTS_MAX) {
            suspects->count++;
            block->state_address |= scans << SCANS_SHIFT;
        }
        if (scans < agreement) {
            marking_suspend(block);
            suspects->suspended_blocks++;
            suspects->suspended_bytes += block_size_bytes(block);
        }
    }
}

void suspects_write(const struct block_index *index, const struct suspects *suspects,
                    struct arena_census_suspect *list)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < index->count && count < suspects->count; i++) {
        uint64_t scans = index->blocks[i].state_address >> SCANS_SHIFT;
        if (scans != 0) {
            uintptr_t address = block_address(&index->blocks[i]);
            list[count++] = (struct arena_census_suspect){
                .scans_address = scans << SUSPECT_SCANS_SHIFT | address,
                .record = record_at(address)};
        }
    }
}
