/*
 * core/live_map.h - which blocks are live: a shadow of the address space.
 *
 * A block's record sits at a place computed from the block's address: no probing, no
 * lock, and the heap's own locality. The address space is cut into windows of 64 bytes;
 * each window has one 8-byte slot in plane 0, so the shadow of a heap of blocks of 64
 * bytes and more is an eighth of it. Two (up to eight) small blocks that begin in one
 * window spread over further planes, which exist only where they are needed.
 *
 *   address  47          26 25              6 5    3 2 0
 *            +-------------+-----------------+------+---+
 *            | region      | window = slot   | tag  | 0 |
 *            +-------------+-----------------+------+---+
 *   region -> plane[0..8) -> slot[2^20], 8 MiB each, mapped when first needed; plane 0, where
 *   nearly all records are, has a table of its own
 *
 *   record   63      62     61 59 58    57 56     36 35   20 19    0
 *            +-------+------+-----+-------+---------+-------+-------+
 *            |present|freed | tag |family | birth   | size  | stack |
 *            +-------+------+-----+-------+---------+-------+-------+
 *   size 0xffff: the size stands in the next window's slot of plane 0 (that window lies
 *   inside the block), as a plain number with bits 63 and 62 clear.
 *   present: a live block. freed: a tombstone, which tells a double free from an invalid
 *   one; its slot is free. Never both.
 *
 * Context: async-signal-safe, inside the tracked program.
 * Memory:  private mappings without reservation; 1/8 of the touched heap, per plane. In huge
 *          pages where the heap grows without gaps: a fault for each 16 MiB of heap, not for
 *          each 32 KiB.
 * Threads: a live record is written only by the thread that has the block in hand (the
 *          allocator gave it out, or free was called with it). Slots are contended only
 *          when two threads put two blocks of one window: inserted by compare-and-swap
 *          once the process has a second thread.
 */
#ifndef MEMTRACK_CORE_LIVE_MAP_H
#define MEMTRACK_CORE_LIVE_MAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIVE_MAP_ADDRESS_BITS 47
#define LIVE_MAP_REGION_SHIFT 26
#define LIVE_MAP_WINDOW_SHIFT 6
#define LIVE_MAP_REGIONS (1u << (LIVE_MAP_ADDRESS_BITS - LIVE_MAP_REGION_SHIFT))
#define LIVE_MAP_SLOTS (1u << (LIVE_MAP_REGION_SHIFT - LIVE_MAP_WINDOW_SHIFT))
#define LIVE_MAP_PLANES 8u

#define LIVE_RECORD_STACK_BITS 20
#define LIVE_RECORD_SIZE_SHIFT 20
#define LIVE_RECORD_SIZE_EXTENDED UINT64_C(0xffff)
#define LIVE_RECORD_BIRTH_SHIFT 36
#define LIVE_RECORD_BIRTH_MAX ((1u << 21) - 1)
#define LIVE_RECORD_FAMILY_SHIFT 57
#define LIVE_RECORD_TAG_SHIFT 59
#define LIVE_RECORD_FREED (UINT64_C(1) << 62)
#define LIVE_RECORD_PRESENT (UINT64_C(1) << 63)

/* What the map knows of a block. */
struct live_block {
    uint64_t size_bytes; /* requested */
    uint32_t stack;
    uint32_t birth_tick;
    uint32_t family; /* enum arena_family */
};

struct live_region {
    _Atomic(_Atomic uint64_t *) plane[LIVE_MAP_PLANES];
    /* Pieces of 16 MiB, four bits a plane: found dense; advised to be in huge pages. Atomic. */
    _Atomic uint32_t looked_at;
    _Atomic uint32_t advised;
};

/* Indexed by address >> LIVE_MAP_REGION_SHIFT. Regions are only ever added. */
extern _Atomic(struct live_region *) live_map_region[LIVE_MAP_REGIONS];

/* The slots of each region's plane 0, as there: one load less for most events. */
extern _Atomic(_Atomic uint64_t *) live_map_first[LIVE_MAP_REGIONS];

/*
 * Marks, in a run that samples: for each page the number of its blocks that are on the map, at
 * most LIVE_MAP_MARK_FULL, which stays. A release of a block that is not sampled reads one byte
 * for 4 KiB of heap, where the slots would be 512. Indexed as the regions; NULL: no block.
 */
#define LIVE_MAP_PAGE_SHIFT 12
#define LIVE_MAP_MARKS (1u << (LIVE_MAP_REGION_SHIFT - LIVE_MAP_PAGE_SHIFT))
#define LIVE_MAP_MARK_FULL 255u
extern _Atomic(_Atomic uint8_t *) live_map_marks[LIVE_MAP_REGIONS];

/* Keeps marks from now on; before the first block. */
void live_map_begin_marks(void);

/* Returns whether the block may be on the map; exact where no other block is on its page. */
static inline bool live_map_is_marked(uintptr_t address)
{
    uintptr_t region = (address >> LIVE_MAP_REGION_SHIFT) & (LIVE_MAP_REGIONS - 1);
    const _Atomic uint8_t *marks =
        atomic_load_explicit(&live_map_marks[region], memory_order_acquire);
    return marks != NULL
           && atomic_load_explicit(
                  &marks[(address >> LIVE_MAP_PAGE_SHIFT) & (LIVE_MAP_MARKS - 1)],
                  memory_order_relaxed)
                  != 0;
}

/* Makes the slots of the plane that covers this address; NULL when memory is refused. */
_Atomic uint64_t *live_map_plane_new(uintptr_t address, unsigned plane);

static inline struct live_region *live_map_region_of(uintptr_t address)
{
    if (address >> LIVE_MAP_ADDRESS_BITS != 0) {
        return NULL;
    }
    return atomic_load_explicit(&live_map_region[address >> LIVE_MAP_REGION_SHIFT],
                                memory_order_acquire);
}

static inline size_t live_map_slot_index(uintptr_t address)
{
    return (address >> LIVE_MAP_WINDOW_SHIFT) & (LIVE_MAP_SLOTS - 1);
}

/* present, freed and tag of a record, as one number. */
static inline uint64_t live_record_key(uint64_t record)
{
    return record >> LIVE_RECORD_TAG_SHIFT;
}

static inline uint64_t live_map_key(uintptr_t address, bool is_freed)
{
    return (is_freed ? LIVE_RECORD_FREED : LIVE_RECORD_PRESENT) >> LIVE_RECORD_TAG_SHIFT
           | ((address >> 3) & 7);
}

/* The tombstone of a live block. */
static inline uint64_t live_record_freed(uint64_t record)
{
    return record ^ (LIVE_RECORD_PRESENT | LIVE_RECORD_FREED);
}

static inline bool live_record_is_live(uint64_t record)
{
    return (record & LIVE_RECORD_PRESENT) != 0;
}

/* The slot of the address in plane 0; NULL where nothing was ever put near it. */
static inline _Atomic uint64_t *live_map_slot(uintptr_t address)
{
    uintptr_t region = address >> LIVE_MAP_REGION_SHIFT;
    if (__builtin_expect(region >= LIVE_MAP_REGIONS, 0)) {
        return NULL;
    }
    _Atomic uint64_t *slots = atomic_load_explicit(&live_map_first[region], memory_order_acquire);
    return __builtin_expect(slots == NULL, 0) ? NULL : &slots[live_map_slot_index(address)];
}

/* The slot in the window after `address`'s, plane 0: where large sizes stand. */
_Atomic uint64_t *live_map_extension(uintptr_t address);

static inline uint64_t live_map_read(const _Atomic uint64_t *slot)
{
    /* Relaxed: who has the block in hand knows it by the program's own synchronisation. */
    return atomic_load_explicit(slot, memory_order_relaxed);
}

/* `size` is what stands in the record: below LIVE_RECORD_SIZE_EXTENDED, or that. */
static inline uint64_t live_record_make(uintptr_t address, uint64_t size, uint32_t stack,
                                        uint32_t birth_tick, uint32_t family)
{
    return LIVE_RECORD_PRESENT | (uint64_t)((address >> 3) & 7) << LIVE_RECORD_TAG_SHIFT
           | (uint64_t)family << LIVE_RECORD_FAMILY_SHIFT
           | (uint64_t)birth_tick << LIVE_RECORD_BIRTH_SHIFT | size << LIVE_RECORD_SIZE_SHIFT
           | stack;
}

/* live_map_put() where plane 0 is missing or its slot has another block. */
bool live_map_put_beyond(uintptr_t address, uint64_t record, bool is_shared);

/*
 * Puts a record. is_shared: the process has (had) a second thread. Returns false when the
 * shadow could not be mapped (the block stays unknown: a dropped event).
 */
static inline bool live_map_put(uintptr_t address, uint64_t record, bool is_shared)
{
    _Atomic uint64_t *slot = live_map_slot(address);
    if (__builtin_expect(slot == NULL, 0)) {
        return live_map_put_beyond(address, record, is_shared);
    }
    if (!is_shared) {
        /* A write that changes nothing: reading a page of the shadow first and writing to it
         * afterwards would be two page faults. */
        __asm__ volatile("orq $0, %0" : "+m"(*slot));
    }
    uint64_t seen = atomic_load_explicit(slot, memory_order_relaxed);
    /* A live record of this very address: its block was released by a way that we do not
     * see. The new one takes its place. */
    if (__builtin_expect(live_record_is_live(seen), 0)
        && live_record_key(seen) != live_record_key(record)) {
        return live_map_put_beyond(address, record, is_shared);
    }
    if (!is_shared) {
        atomic_store_explicit(slot, record, memory_order_relaxed);
        return true;
    }
    /* Relaxed: the block's address reaches another thread only through the program's own
     * synchronisation. */
    return __builtin_expect(atomic_compare_exchange_strong_explicit(
                                slot, &seen, record, memory_order_relaxed, memory_order_relaxed),
                            1)
           || live_map_put_beyond(address, record, is_shared);
}

/* Puts a block whose size may be any: see live_map_put(). */
bool live_map_insert(uintptr_t address, const struct live_block *block, bool is_shared);

/* live_map_find() in the planes above the first. */
_Atomic uint64_t *live_map_find_beyond(uintptr_t address, uint64_t key);

/* Returns the slot of the live (or, is_freed, released) block at this very address, or
 * NULL; its record, or 0, goes to *record. */
static inline _Atomic uint64_t *live_map_find(uintptr_t address, bool is_freed, uint64_t *record)
{
    uint64_t key = live_map_key(address, is_freed);
    _Atomic uint64_t *slot = live_map_slot(address);
    *record = 0;
    if (slot == NULL) {
        return NULL;
    }
    uint64_t seen = atomic_load_explicit(slot, memory_order_relaxed);
    if (__builtin_expect(live_record_key(seen) == key, 1)) {
        *record = seen;
        return slot;
    }
    slot = live_map_find_beyond(address, key);
    if (slot != NULL) {
        *record = atomic_load_explicit(slot, memory_order_relaxed);
    }
    return slot;
}

static inline uint32_t live_record_stack(uint64_t record)
{
    return (uint32_t)record & ((1u << LIVE_RECORD_STACK_BITS) - 1);
}

static inline uint32_t live_record_birth(uint64_t record)
{
    return (uint32_t)(record >> LIVE_RECORD_BIRTH_SHIFT) & LIVE_RECORD_BIRTH_MAX;
}

/* As it stands in the record: maybe LIVE_RECORD_SIZE_EXTENDED. */
static inline uint64_t live_record_size(uint64_t record)
{
    return record >> LIVE_RECORD_SIZE_SHIFT & 0xffff;
}

static inline void live_record_unpack(uintptr_t address, uint64_t record, struct live_block *block)
{
    block->stack = live_record_stack(record);
    block->birth_tick = live_record_birth(record);
    block->family = (uint32_t)(record >> LIVE_RECORD_FAMILY_SHIFT) & 3;
    block->size_bytes = live_record_size(record);
    if (__builtin_expect(block->size_bytes == LIVE_RECORD_SIZE_EXTENDED, 0)) {
        _Atomic uint64_t *extension = live_map_extension(address);
        if (extension != NULL) {
            block->size_bytes = atomic_load_explicit(extension, memory_order_relaxed);
        }
    }
}

/* Removes the block at `address`, leaving a tombstone. Returns false when it is not live.
 * Call before the real release: afterwards another thread may own the address. */
bool live_map_remove(uintptr_t address, struct live_block *block);

/*
 * A block was put at this address lately, 0: no. Where the heap around it leaves no gaps, what
 * comes next to it will be in huge pages. At most four system calls for each 16 MiB of heap,
 * none after live_map_confine(); called once in a tick.
 */
void live_map_expect_growth(uintptr_t address);

/* The program is about to install a seccomp filter: no system call but mmap from now on. */
void live_map_confine(void);

/*
 * Calls visit for every live block; with other threads running a snapshot that may tear
 * between blocks, never within one. Pages of the shadow that were never touched are
 * skipped. Returns the number of blocks visited.
 */
typedef void live_map_visitor(void *context, uintptr_t address, const struct live_block *block);
uint64_t live_map_visit(live_map_visitor *visit, void *context);

/* The same of blocks that were born in that tick or later, much faster where most are older. */
uint64_t live_map_visit_since(uint32_t birth_tick, live_map_visitor *visit, void *context);

/* The same as live_map_visit() in order of address. Single-threaded callers only, one at a time. */
uint64_t live_map_visit_in_order(live_map_visitor *visit, void *context);

/* Returns whether any block is live; with other threads running, as of some moment of the
 * call. */
bool live_map_has_any(void);

/* Returns whether a block ever began in [start, end). */
bool live_map_had_blocks(uintptr_t start, uintptr_t end);

/* Calls visit for each mapping of the shadow itself. */
void live_map_visit_own(void (*visit)(void *context, uintptr_t start, size_t bytes), void *context);

/* Bytes of the shadow that are in memory. Reads page tables: not for the event path. */
uint64_t live_map_resident_bytes(void);

#endif
