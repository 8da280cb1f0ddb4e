#include "core/live_map.h"

#include <fcntl.h>
#include <sys/sysinfo.h>

#include "core/raw_syscall.h"

#define PLANE_BYTES ((size_t)LIVE_MAP_SLOTS * sizeof(uint64_t))
#define PAGE_BYTES 4096u
#define PAGE_SLOTS (PAGE_BYTES / sizeof(uint64_t))
#define GROUP_SLOTS 8u /* that are looked at together: a cache line */
#define REGION_RECORDS 65536u /* 4 TiB of heap if they were all used */

_Atomic(struct live_region *) live_map_region[LIVE_MAP_REGIONS];
_Atomic(_Atomic uint64_t *) live_map_first[LIVE_MAP_REGIONS];
_Atomic(_Atomic uint8_t *) live_map_marks[LIVE_MAP_REGIONS];

/* In order of first use; region_number says which region each one is. */
static struct live_region region_pool[REGION_RECORDS];
static uint32_t region_number[REGION_RECORDS];
static _Atomic uint32_t region_pool_used;

static struct live_region *region_get(uintptr_t address)
{
    struct live_region *region = live_map_region_of(address);
    if (region != NULL || address >> LIVE_MAP_ADDRESS_BITS != 0) {
        return region;
    }
    uint32_t index = atomic_fetch_add_explicit(&region_pool_used, 1, memory_order_relaxed);
    if (index >= REGION_RECORDS) {
        atomic_fetch_sub_explicit(&region_pool_used, 1, memory_order_relaxed);
        return NULL;
    }
    struct live_region *fresh = &region_pool[index];
    region_number[index] = (uint32_t)(address >> LIVE_MAP_REGION_SHIFT);
    /* A thread that loses the race wastes its record: 64 bytes. */
    if (atomic_compare_exchange_strong_explicit(&live_map_region[address >> LIVE_MAP_REGION_SHIFT],
                                                &region, fresh, memory_order_acq_rel,
                                                memory_order_acquire)) {
        region = fresh;
    }
    return region;
}

/* Returns PLANE_BYTES of zeroed memory, aligned so that huge pages fit; NULL on failure. */
static void *plane_map(void)
{
    char *area = raw_map_lazy(PLANE_BYTES);
    if (area == NULL || (uintptr_t)area % RAW_HUGE_PAGE_BYTES == 0) {
        return area;
    }
    raw_unmap(area, PLANE_BYTES);
    area = raw_map_lazy(PLANE_BYTES + RAW_HUGE_PAGE_BYTES);
    if (area == NULL) {
        return raw_map_lazy(PLANE_BYTES); /* address space is scarce */
    }
    size_t before = RAW_HUGE_PAGE_BYTES - (uintptr_t)area % RAW_HUGE_PAGE_BYTES;
    if (before != 0) {
        raw_unmap(area, before);
    }
    if (before != RAW_HUGE_PAGE_BYTES) {
        raw_unmap(area + before + PLANE_BYTES, RAW_HUGE_PAGE_BYTES - before);
    }
    return area + before;
}

/* ---- huge pages ------------------------------------------------------------ */

/* A piece is what one huge page of a plane covers: PIECE_BYTES of heap. */
#define PIECE_SLOTS (RAW_HUGE_PAGE_BYTES / sizeof(uint64_t))
#define PIECE_SHIFT 24
#define PIECES_PER_REGION (LIVE_MAP_SLOTS / PIECE_SLOTS)
#define PIECE_PROBES 16u
#define PIECE_PROBES_EMPTY 2u
_Static_assert(PIECE_SLOTS << LIVE_MAP_WINDOW_SHIFT == 1u << PIECE_SHIFT, "16 MiB of heap");

static _Atomic bool is_confined;

void live_map_confine(void)
{
    atomic_store_explicit(&is_confined, true, memory_order_relaxed);
}

static bool page_is_used(const _Atomic uint64_t *page)
{
    for (size_t i = 0; i < PAGE_SLOTS; i++) {
        if (atomic_load_explicit(&page[i], memory_order_relaxed) != 0) {
            return true;
        }
    }
    return false;
}

/* Whether there are, or were, blocks nearly everywhere in a piece. Looks at a page in each
 * sixteenth of it; one that was never touched reads as zeroes. */
static bool piece_is_dense(const _Atomic uint64_t *slots)
{
    unsigned empty = 0;
    for (size_t probe = 0; probe < PIECE_PROBES && empty <= PIECE_PROBES_EMPTY; probe++) {
        empty += !page_is_used(&slots[probe * (PIECE_SLOTS / PIECE_PROBES)]);
    }
    return empty <= PIECE_PROBES_EMPTY;
}

static _Atomic uint64_t *region_plane(uintptr_t number, unsigned plane)
{
    struct live_region *region =
        number >= LIVE_MAP_REGIONS
            ? NULL
            : atomic_load_explicit(&live_map_region[number], memory_order_acquire);
    return region == NULL ? NULL
                          : atomic_load_explicit(&region->plane[plane], memory_order_acquire);
}

/* A heap that fills the space next to this region goes on here, most likely: then huge pages
 * save nearly all page faults and most misses of the TLB, and cost hardly any memory that
 * small ones would not. */
static void plane_expect_growth(void *slots, uintptr_t address, unsigned plane)
{
    uintptr_t number = address >> LIVE_MAP_REGION_SHIFT;
    const _Atomic uint64_t *below = region_plane(number - 1, plane);
    const _Atomic uint64_t *above = region_plane(number + 1, plane);
    if (!atomic_load_explicit(&is_confined, memory_order_relaxed)
        && ((below != NULL && piece_is_dense(&below[LIVE_MAP_SLOTS - PIECE_SLOTS]))
            || (above != NULL && piece_is_dense(above)))) {
        raw_syscall3(SYS_madvise, (long)slots, (long)PLANE_BYTES, MADV_HUGEPAGE);
    }
}

/* Advises the pieces beside this one, unless that was done before. */
static void neighbours_advise(struct live_region *region, unsigned plane, unsigned piece,
                              _Atomic uint64_t *slots)
{
    for (unsigned next = piece == 0 ? 1 : piece - 1; next <= piece + 1; next += 2) {
        uint32_t bit = 1u << (plane * PIECES_PER_REGION + next);
        if (next < PIECES_PER_REGION
            && (atomic_fetch_or_explicit(&region->advised, bit, memory_order_relaxed) & bit) == 0) {
            raw_syscall3(SYS_madvise, (long)&slots[next * PIECE_SLOTS], (long)RAW_HUGE_PAGE_BYTES,
                         MADV_HUGEPAGE);
        }
    }
}

void live_map_expect_growth(uintptr_t address)
{
    struct live_region *region = live_map_region_of(address);
    unsigned piece = (unsigned)(address >> PIECE_SHIFT) % PIECES_PER_REGION;
    if (region == NULL || atomic_load_explicit(&is_confined, memory_order_relaxed)) {
        return;
    }
    for (unsigned plane = 0; plane < LIVE_MAP_PLANES; plane++) {
        _Atomic uint64_t *slots = atomic_load_explicit(&region->plane[plane], memory_order_acquire);
        uint32_t bit = 1u << (plane * PIECES_PER_REGION + piece);
        if (slots == NULL
            || (atomic_load_explicit(&region->looked_at, memory_order_relaxed) & bit) != 0
            || !piece_is_dense(&slots[piece * PIECE_SLOTS])) {
            continue;
        }
        atomic_fetch_or_explicit(&region->looked_at, bit, memory_order_relaxed);
        neighbours_advise(region, plane, piece, slots);
    }
}

/* ---- planes ---------------------------------------------------------------- */

_Atomic uint64_t *live_map_plane_new(uintptr_t address, unsigned plane)
{
    struct live_region *region = region_get(address);
    if (region == NULL) {
        return NULL;
    }
    _Atomic uint64_t *slots = atomic_load_explicit(&region->plane[plane], memory_order_acquire);
    if (slots != NULL) {
        return slots;
    }
    _Atomic uint64_t *fresh = plane_map();
    if (fresh == NULL) {
        return NULL;
    }
    if (!atomic_compare_exchange_strong_explicit(&region->plane[plane], &slots, fresh,
                                                 memory_order_acq_rel, memory_order_acquire)) {
        raw_unmap(fresh, PLANE_BYTES);
        return slots;
    }
    plane_expect_growth(fresh, address, plane);
    if (plane == 0) {
        atomic_store_explicit(&live_map_first[address >> LIVE_MAP_REGION_SHIFT], fresh,
                              memory_order_release);
    }
    return fresh;
}

bool live_map_put_beyond(uintptr_t address, uint64_t record, bool is_shared)
{
    struct live_region *region = live_map_region_of(address);
    for (unsigned plane = 0; plane < LIVE_MAP_PLANES; plane++) {
        _Atomic uint64_t *slots =
            region == NULL ? NULL
                           : atomic_load_explicit(&region->plane[plane], memory_order_acquire);
        if (slots == NULL) {
            slots = live_map_plane_new(address, plane);
            if (slots == NULL) {
                return false;
            }
            region = live_map_region_of(address);
        }
        _Atomic uint64_t *slot = &slots[live_map_slot_index(address)];
        if (!is_shared) {
            __asm__ volatile("orq $0, %0" : "+m"(*slot)); /* as in live_map_put() */
        }
        uint64_t seen = atomic_load_explicit(slot, memory_order_relaxed);
        if (live_record_is_live(seen) && live_record_key(seen) != live_record_key(record)) {
            continue;
        }
        if (!is_shared) {
            atomic_store_explicit(slot, record, memory_order_relaxed);
            return true;
        }
        if (atomic_compare_exchange_strong_explicit(slot, &seen, record, memory_order_relaxed,
                                                    memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

_Atomic uint64_t *live_map_find_beyond(uintptr_t address, uint64_t key)
{
    struct live_region *region = live_map_region_of(address);
    size_t index = live_map_slot_index(address);
    for (unsigned plane = 1; region != NULL && plane < LIVE_MAP_PLANES; plane++) {
        _Atomic uint64_t *slots = atomic_load_explicit(&region->plane[plane], memory_order_acquire);
        if (slots == NULL) {
            return NULL;
        }
        if (live_record_key(atomic_load_explicit(&slots[index], memory_order_relaxed)) == key) {
            return &slots[index];
        }
    }
    return NULL;
}

_Atomic uint64_t *live_map_extension(uintptr_t address)
{
    uintptr_t next = address + (1u << LIVE_MAP_WINDOW_SHIFT);
    _Atomic uint64_t *slot = live_map_slot(next);
    if (slot != NULL) {
        return slot;
    }
    _Atomic uint64_t *slots = live_map_plane_new(next, 0);
    return slots == NULL ? NULL : &slots[live_map_slot_index(next)];
}

/* ---- marks ----------------------------------------------------------------- */

static bool has_marks;

void live_map_begin_marks(void)
{
    has_marks = true;
}

static _Atomic uint8_t *marks_get(uintptr_t address)
{
    _Atomic(_Atomic uint8_t *) *entry = &live_map_marks[address >> LIVE_MAP_REGION_SHIFT];
    _Atomic uint8_t *marks = atomic_load_explicit(entry, memory_order_acquire);
    if (marks != NULL) {
        return marks;
    }
    _Atomic uint8_t *fresh = raw_map_lazy(LIVE_MAP_MARKS);
    if (fresh != NULL
        && !atomic_compare_exchange_strong_explicit(entry, &marks, fresh, memory_order_acq_rel,
                                                    memory_order_acquire)) {
        raw_unmap(fresh, LIVE_MAP_MARKS);
        return marks;
    }
    return fresh;
}

/* Atomic: two threads may have blocks of one page. */
static void mark_add(_Atomic uint8_t *mark, int change)
{
    uint8_t seen = atomic_load_explicit(mark, memory_order_relaxed);
    while (seen != LIVE_MAP_MARK_FULL && (seen != 0 || change > 0)
           && !atomic_compare_exchange_weak_explicit(mark, &seen, (uint8_t)(seen + change),
                                                     memory_order_relaxed, memory_order_relaxed)) {
    }
}

static bool mark_change(uintptr_t address, int change)
{
    _Atomic uint8_t *marks = marks_get(address);
    if (marks != NULL) {
        mark_add(&marks[(address >> LIVE_MAP_PAGE_SHIFT) & (LIVE_MAP_MARKS - 1)], change);
    }
    return marks != NULL;
}

/* ---- blocks ---------------------------------------------------------------- */

bool live_map_insert(uintptr_t address, const struct live_block *block, bool is_shared)
{
    uint64_t size = block->size_bytes;
    if (address >> LIVE_MAP_ADDRESS_BITS != 0 || (has_marks && !mark_change(address, 1))) {
        return false;
    }
    if (size >= LIVE_RECORD_SIZE_EXTENDED) {
        _Atomic uint64_t *extension = live_map_extension(address);
        if (extension == NULL) {
            return false;
        }
        atomic_store_explicit(extension, size, memory_order_relaxed);
        size = LIVE_RECORD_SIZE_EXTENDED;
    }
    return live_map_put(
        address, live_record_make(address, size, block->stack, block->birth_tick, block->family),
        is_shared);
}

bool live_map_remove(uintptr_t address, struct live_block *block)
{
    uint64_t record;
    _Atomic uint64_t *slot = live_map_find(address, false, &record);
    if (slot == NULL) {
        return false;
    }
    live_record_unpack(address, record, block);
    atomic_store_explicit(slot, live_record_freed(record), memory_order_relaxed);
    if (has_marks) {
        mark_change(address, -1);
    }
    return true;
}

/* ---- visiting -------------------------------------------------------------- */

#define PLANE_PAGES (PLANE_BYTES / PAGE_BYTES)

/* Pages that were never touched must not be read, or they would be there afterwards. Those that
 * were swapped out are not in memory, but must. */
#define PAGEMAP_IN_MEMORY_OR_SWAP (UINT64_C(3) << 62)
#define PAGEMAP_ENTRIES 512u
_Static_assert(PLANE_PAGES % PAGEMAP_ENTRIES == 0, "read in whole pieces");

static bool swap_exists(void)
{
    struct sysinfo machine = {.totalswap = 0};
    return raw_syscall3(SYS_sysinfo, (long)&machine, 0, 0) != 0 || machine.totalswap != 0;
}

/* By /proc/self/pagemap; where that cannot be read, every page may hold something.
 * Source: Linux, Documentation/admin-guide/mm/pagemap.rst. */
static void plane_find_swapped(_Atomic uint64_t *slots, unsigned char *residency)
{
    uint64_t entries[PAGEMAP_ENTRIES];
    long fd = raw_syscall6(SYS_openat, AT_FDCWD, (long)"/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0,
                           0, 0);
    for (size_t page = 0; page < PLANE_PAGES; page += PAGEMAP_ENTRIES) {
        uint64_t place = ((uintptr_t)slots / PAGE_BYTES + page) * sizeof entries[0];
        bool is_known = !raw_failed(fd)
                        && raw_syscall6(SYS_pread64, fd, (long)entries, sizeof entries, (long)place,
                                        0, 0)
                               == (long)sizeof entries;
        for (size_t i = 0; i < PAGEMAP_ENTRIES; i++) {
            residency[page + i] |= !is_known || (entries[i] & PAGEMAP_IN_MEMORY_OR_SWAP) != 0;
        }
    }
    if (!raw_failed(fd)) {
        raw_syscall3(SYS_close, fd, 0, 0);
    }
}

/* Fills residency[0..PLANE_PAGES), bit 0 of each: the page was written to. */
static bool plane_residency(_Atomic uint64_t *slots, unsigned char *residency)
{
    if (raw_syscall3(SYS_mincore, (long)slots, (long)PLANE_BYTES, (long)residency) != 0) {
        return false;
    }
    if (swap_exists()) {
        plane_find_swapped(slots, residency);
    }
    return true;
}

struct visit {
    live_map_visitor *visitor;
    void *context;
    uint64_t count;
};

/* Calls the function for each plane that exists. */
static void planes_for_each(void (*function)(struct visit *, uintptr_t, _Atomic uint64_t *),
                            struct visit *visit)
{
    uint32_t used = atomic_load_explicit(&region_pool_used, memory_order_acquire);
    for (uint32_t i = 0; i < used && i < REGION_RECORDS; i++) {
        uintptr_t region_address = (uintptr_t)region_number[i] << LIVE_MAP_REGION_SHIFT;
        for (unsigned plane = 0; plane < LIVE_MAP_PLANES; plane++) {
            _Atomic uint64_t *slots =
                atomic_load_explicit(&region_pool[i].plane[plane], memory_order_acquire);
            if (slots != NULL) {
                function(visit, region_address, slots);
            }
        }
    }
}

/* Numbers of the regions in use, by address. Static for the same reason as above. */
static uint32_t region_order[REGION_RECORDS];

static uint32_t regions_sort(void)
{
    uint32_t used = atomic_load_explicit(&region_pool_used, memory_order_acquire);
    uint32_t count = used < REGION_RECORDS ? used : REGION_RECORDS;
    for (uint32_t i = 0; i < count; i++) {
        region_order[i] = i;
    }
    /* Shell sort: regions come nearly in order, and there are few. */
    for (uint32_t gap = count / 2; gap > 0; gap /= 2) {
        for (uint32_t i = gap; i < count; i++) {
            uint32_t moved = region_order[i];
            uint32_t at = i;
            while (at >= gap && region_number[region_order[at - gap]] > region_number[moved]) {
                region_order[at] = region_order[at - gap];
                at -= gap;
            }
            region_order[at] = moved;
        }
    }
    return count;
}

/* Residency of all planes of a region: bit p of residency[i] says that page i of plane p is
 * there. */
static bool region_find_planes(const struct live_region *region,
                               _Atomic uint64_t *planes[LIVE_MAP_PLANES],
                               unsigned char residency[PLANE_PAGES])
{
    bool has_any = false;
    unsigned char page_residency[PLANE_PAGES];
    __builtin_memset(residency, 0, PLANE_PAGES);
    for (unsigned plane = 0; plane < LIVE_MAP_PLANES; plane++) {
        planes[plane] = atomic_load_explicit(&region->plane[plane], memory_order_acquire);
        if (planes[plane] == NULL || !plane_residency(planes[plane], page_residency)) {
            planes[plane] = NULL;
            continue;
        }
        has_any = true;
        for (size_t page = 0; page < PLANE_PAGES; page++) {
            residency[page] |= (unsigned char)((page_residency[page] & 1) << plane);
        }
    }
    return has_any;
}

static void record_visit(struct visit *visit, uintptr_t window_address, uint64_t record)
{
    uintptr_t address = window_address + (((record >> LIVE_RECORD_TAG_SHIFT) & 7) << 3);
    struct live_block block;
    live_record_unpack(address, record, &block);
    visit->visitor(visit->context, address, &block);
    visit->count++;
}

/* One window: its live records in order of their tags. */
static void window_visit(struct visit *visit, uintptr_t window_address,
                         _Atomic uint64_t *const planes[LIVE_MAP_PLANES], unsigned present,
                         size_t index)
{
    uint64_t records[LIVE_MAP_PLANES];
    unsigned count = 0;
    for (unsigned plane = 0; plane < LIVE_MAP_PLANES; plane++) {
        if ((present & 1u << plane) == 0) {
            continue;
        }
        uint64_t record = atomic_load_explicit(&planes[plane][index], memory_order_relaxed);
        if (!live_record_is_live(record)) {
            continue;
        }
        unsigned at = count++;
        while (at > 0 && live_record_key(records[at - 1]) > live_record_key(record)) {
            records[at] = records[at - 1];
            at--;
        }
        records[at] = record;
    }
    for (unsigned i = 0; i < count; i++) {
        record_visit(visit, window_address, records[i]);
    }
}

/* Whether any of a line's slots is live: most lines of a heap that was large once are not. */
static bool group_has_live(const _Atomic uint64_t *slots)
{
    uint64_t live = 0;
    for (size_t i = 0; i < GROUP_SLOTS; i++) {
        live |= atomic_load_explicit(&slots[i], memory_order_relaxed);
    }
    return (live & LIVE_RECORD_PRESENT) != 0;
}

static void region_visit(struct visit *visit, uintptr_t region_address,
                         const struct live_region *region)
{
    _Atomic uint64_t *planes[LIVE_MAP_PLANES];
    unsigned char residency[PLANE_PAGES];
    if (!region_find_planes(region, planes, residency)) {
        return;
    }
    for (size_t page = 0; page < PLANE_PAGES; page++) {
        unsigned present = residency[page];
        if (present == 0) {
            continue;
        }
        for (size_t group = page * PAGE_SLOTS; group < (page + 1) * PAGE_SLOTS;
             group += GROUP_SLOTS) {
            bool has_live = false;
            for (unsigned plane = 0; present >> plane != 0; plane++) {
                has_live = has_live
                           || ((present >> plane & 1) != 0 && group_has_live(&planes[plane][group]));
            }
            for (size_t index = group; has_live && index < group + GROUP_SLOTS; index++) {
                window_visit(visit, region_address + (index << LIVE_MAP_WINDOW_SHIFT), planes,
                             present, index);
            }
        }
    }
}

uint64_t live_map_visit(live_map_visitor *visitor, void *context)
{
    struct visit visit = {.visitor = visitor, .context = context};
    uint32_t used = atomic_load_explicit(&region_pool_used, memory_order_acquire);
    for (uint32_t i = 0; i < used && i < REGION_RECORDS; i++) {
        region_visit(&visit, (uintptr_t)region_number[i] << LIVE_MAP_REGION_SHIFT,
                     &region_pool[i]);
    }
    return visit.count;
}

/* One page of one plane. Most records are older: they cost a load and a comparison. */
static void page_visit_since(struct visit *visit, uintptr_t region_address,
                             const _Atomic uint64_t *slots, size_t first, uint32_t birth_tick)
{
    uint64_t oldest = LIVE_RECORD_PRESENT | (uint64_t)birth_tick << LIVE_RECORD_BIRTH_SHIFT;
    uint64_t mask =
        LIVE_RECORD_PRESENT | (uint64_t)LIVE_RECORD_BIRTH_MAX << LIVE_RECORD_BIRTH_SHIFT;
    for (size_t index = first; index < first + PAGE_SLOTS; index++) {
        uint64_t record = atomic_load_explicit(&slots[index], memory_order_relaxed);
        if (__builtin_expect((record & mask) >= oldest && live_record_is_live(record), 0)) {
            record_visit(visit, region_address + (index << LIVE_MAP_WINDOW_SHIFT), record);
        }
    }
}

uint64_t live_map_visit_since(uint32_t birth_tick, live_map_visitor *visitor, void *context)
{
    struct visit visit = {.visitor = visitor, .context = context};
    uint32_t used = atomic_load_explicit(&region_pool_used, memory_order_acquire);
    for (uint32_t i = 0; i < used && i < REGION_RECORDS; i++) {
        _Atomic uint64_t *planes[LIVE_MAP_PLANES];
        unsigned char residency[PLANE_PAGES];
        if (!region_find_planes(&region_pool[i], planes, residency)) {
            continue;
        }
        for (size_t page = 0; page < PLANE_PAGES; page++) {
            for (unsigned plane = 0; residency[page] >> plane != 0; plane++) {
                if ((residency[page] >> plane & 1) != 0) {
                    page_visit_since(&visit, (uintptr_t)region_number[i] << LIVE_MAP_REGION_SHIFT,
                                     planes[plane], page * PAGE_SLOTS, birth_tick);
                }
            }
        }
    }
    return visit.count;
}

uint64_t live_map_visit_in_order(live_map_visitor *visitor, void *context)
{
    struct visit visit = {.visitor = visitor, .context = context};
    uint32_t count = regions_sort();
    for (uint32_t i = 0; i < count; i++) {
        uint32_t region = region_order[i];
        region_visit(&visit, (uintptr_t)region_number[region] << LIVE_MAP_REGION_SHIFT,
                     &region_pool[region]);
    }
    return visit.count;
}

bool live_map_has_any(void)
{
    uint32_t used = atomic_load_explicit(&region_pool_used, memory_order_acquire);
    for (uint32_t i = 0; i < used && i < REGION_RECORDS; i++) {
        _Atomic uint64_t *planes[LIVE_MAP_PLANES];
        unsigned char residency[PLANE_PAGES];
        if (!region_find_planes(&region_pool[i], planes, residency)) {
            continue;
        }
        for (size_t group = 0; group < LIVE_MAP_SLOTS; group += GROUP_SLOTS) {
            unsigned present = residency[group / PAGE_SLOTS];
            for (unsigned plane = 0; present >> plane != 0; plane++) {
                if ((present >> plane & 1) != 0 && group_has_live(&planes[plane][group])) {
                    return true;
                }
            }
        }
    }
    return false;
}

bool live_map_had_blocks(uintptr_t start, uintptr_t end)
{
    uintptr_t region_bytes = (uintptr_t)1 << LIVE_MAP_REGION_SHIFT;
    unsigned char page_residency[PLANE_PAGES];
    for (uintptr_t at = start; at < end; at = (at & ~(region_bytes - 1)) + region_bytes) {
        struct live_region *region = live_map_region_of(at);
        /* Plane 0 is enough: others are used only beside it. */
        _Atomic uint64_t *slots =
            region == NULL ? NULL : atomic_load_explicit(&region->plane[0], memory_order_acquire);
        if (slots == NULL || !plane_residency(slots, page_residency)) {
            continue;
        }
        uintptr_t stop = (at & ~(region_bytes - 1)) + region_bytes;
        size_t last = live_map_slot_index((stop < end ? stop : end) - 1);
        for (size_t index = live_map_slot_index(at); index <= last; index++) {
            if ((page_residency[index / PAGE_SLOTS] & 1) == 0) {
                index |= PAGE_SLOTS - 1;
            } else if (atomic_load_explicit(&slots[index], memory_order_relaxed) != 0) {
                return true;
            }
        }
    }
    return false;
}

void live_map_visit_own(void (*visit)(void *context, uintptr_t start, size_t bytes), void *context)
{
    uint32_t used = atomic_load_explicit(&region_pool_used, memory_order_acquire);
    for (uint32_t i = 0; i < used && i < REGION_RECORDS; i++) {
        for (unsigned plane = 0; plane < LIVE_MAP_PLANES; plane++) {
            _Atomic uint64_t *slots =
                atomic_load_explicit(&region_pool[i].plane[plane], memory_order_acquire);
            if (slots != NULL) {
                visit(context, (uintptr_t)slots, PLANE_BYTES);
            }
        }
    }
}

static void plane_count(struct visit *visit, uintptr_t region_address, _Atomic uint64_t *slots)
{
    (void)region_address;
    unsigned char residency[PLANE_PAGES];
    if (plane_residency(slots, residency)) {
        for (size_t page = 0; page < PLANE_PAGES; page++) {
            visit->count += (residency[page] & 1) * PAGE_BYTES;
        }
    }
}

uint64_t live_map_resident_bytes(void)
{
    struct visit visit = {.count = 0};
    planes_for_each(plane_count, &visit);
    return visit.count;
}
