#include "core/mapping_table.h"

static struct mapping table[MAPPING_TABLE_MAX];
static size_t table_end; /* entries beyond were never used; protected by table_lock */
static _Atomic uint32_t table_lock;

static bool lock(void)
{
    for (uint32_t spin = 0; spin < MAPPING_TABLE_SPINS; spin++) {
        if (atomic_exchange_explicit(&table_lock, 1, memory_order_acquire) == 0) {
            return true;
        }
        __builtin_ia32_pause();
    }
    return false;
}

static void unlock(void)
{
    atomic_store_explicit(&table_lock, 0, memory_order_release);
}

static bool add_locked(uintptr_t start, const struct live_block *block)
{
    for (size_t i = 0; i < MAPPING_TABLE_MAX; i++) {
        if (table[i].block.size_bytes == 0) {
            table[i] = (struct mapping){.start = start, .block = *block};
            if (i >= table_end) {
                table_end = i + 1;
            }
            return true;
        }
    }
    return false;
}

bool mapping_table_add(uintptr_t start, const struct live_block *block)
{
    if (block->size_bytes == 0 || !lock()) {
        return false;
    }
    bool is_added = add_locked(start, block);
    unlock();
    return is_added;
}

/* Cuts the next range that overlaps [start, end); its overlap goes to *piece. Returns
 * false when there is none left. */
static bool cut_next(uintptr_t start, uintptr_t end, struct mapping *piece, bool *has_room)
{
    for (size_t i = 0; i < table_end; i++) {
        struct mapping *mapping = &table[i];
        uintptr_t first = mapping->start;
        uintptr_t last = first + mapping->block.size_bytes;
        if (mapping->block.size_bytes == 0 || last <= start || first >= end) {
            continue;
        }
        *piece = *mapping;
        piece->start = first > start ? first : start;
        piece->block.size_bytes = (last < end ? last : end) - piece->start;
        if (first < start) {
            mapping->block.size_bytes = start - first;
            if (last > end) {
                struct live_block rest = piece->block;
                rest.size_bytes = last - end;
                *has_room = add_locked(end, &rest) && *has_room;
            }
        } else {
            mapping->start = last > end ? end : first;
            mapping->block.size_bytes = last > end ? last - end : 0;
        }
        return true;
    }
    return false;
}

bool mapping_table_remove(uintptr_t start, size_t size_bytes, mapping_released *released,
                          void *context)
{
    bool has_room = true;
    for (;;) {
        struct mapping piece;
        if (!lock()) {
            return false;
        }
        bool is_cut = cut_next(start, start + size_bytes, &piece, &has_room);
        unlock();
        if (!is_cut) {
            return has_room;
        }
        released(context, piece.start, &piece.block);
    }
}
