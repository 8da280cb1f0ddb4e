#include "census/scan.h"

#include "census/maps_request.h"
#include "census/marking.h"
#include "census/pinning.h"
#include "census/roots.h"
#include "census/suspects.h"
#include "census/thread_names.h"
#include "core/capture.h"
#include "core/live_map.h"
#include "core/raw_syscall.h"

#define TABLES_MAX BLOCK_INDEX_TABLES_MAX
#define HUGE_BYTES_MIN (UINT64_C(8) << 20)

/* All that a scan needs besides the tables. */
struct scan {
    struct memory_map map;
    struct block_index index;
    struct findings findings;
    struct marking marking;
    struct roots roots;
    struct residency residency;
    struct suspects suspects;
    uint32_t since_tick;
    uint64_t own_bytes;
};

static void *scan_map(struct scan *scan, size_t bytes, bool is_dense)
{
    void *memory = raw_map_lazy(bytes);
    if (memory != NULL && scan != NULL) {
        scan->own_bytes += bytes;
        if (is_dense && bytes >= HUGE_BYTES_MIN) { /* looked into all over: fewer misses in the TLB */
            raw_syscall3(SYS_madvise, (long)memory, (long)bytes, MADV_HUGEPAGE);
        }
    }
    return memory;
}

/* ---- the blocks ----------------------------------------------------------- */

struct extent {
    uint64_t blocks;
    uintptr_t last_region;
    uint64_t regions; /* upper bound: a block may reach into further ones */
};

static void extent_add(void *context, uintptr_t address, const struct live_block *block)
{
    struct extent *extent = context;
    uintptr_t region = address >> BLOCK_INDEX_REGION_SHIFT;
    uintptr_t last = (address + block->size_bytes) >> BLOCK_INDEX_REGION_SHIFT;
    extent->blocks++;
    if (region != extent->last_region || last != region) {
        extent->regions += 1 + (last - region);
        extent->last_region = last;
    }
}

static void block_add(void *context, uintptr_t address, const struct live_block *block)
{
    struct scan *scan = context;
    if (!block_index_add(&scan->index, address, block->size_bytes, block->stack)) {
        return;
    }
    if (block->birth_tick < scan->since_tick) {
        marking_leave_out(&scan->index.blocks[scan->index.count - 1]);
    }
    struct arena_census_site *site = findings_site(&scan->findings, block->stack);
    if (site->oldest_tick == 0 || block->birth_tick + 1 < site->oldest_tick) {
        site->oldest_tick = block->birth_tick + 1;
    }
    if (block->family == ARENA_FAMILY_IGNORED) {
        marking_ignore(&scan->index.blocks[scan->index.count - 1]);
    }
}

static const char *blocks_collect(struct scan *scan, uint32_t stack_end)
{
    struct extent extent = {.last_region = UINTPTR_MAX};
    live_map_visit_in_order(extent_add, &extent);
    if (extent.blocks >= BLOCK_NONE || extent.regions >= TABLES_MAX) {
        return "the heap has more blocks than a scan can hold";
    }
    uint32_t capacity = (uint32_t)extent.blocks;
    size_t index_bytes = block_index_bytes(capacity, (uint32_t)extent.regions);
    void *index_memory = scan_map(scan, index_bytes, true);
    void *findings_memory = scan_map(scan, findings_bytes(stack_end), false);
    scan->marking.queue = scan_map(scan, (capacity + 1) * sizeof(uint32_t), true);
    if (index_memory == NULL || findings_memory == NULL || scan->marking.queue == NULL) {
        return "no memory for the scan";
    }
    block_index_init(&scan->index, index_memory, capacity, (uint32_t)extent.regions);
    findings_init(&scan->findings, findings_memory, stack_end);
    live_map_visit_in_order(block_add, scan);
    return block_index_finish(&scan->index) ? NULL : "the heap spans more regions than fit";
}

/* ---- the roots ------------------------------------------------------------ */

static void registers_scan(struct scan *scan, const struct parked_thread *thread)
{
    struct findings_holder holder = {.kind = ARENA_HOLDER_REGISTER,
                                     .tid = thread->tid,
                                     .holder = roots_thread_place(&scan->roots, thread)};
    for (size_t i = 0; i < PARKING_REGISTERS; i++) {
        marking_add_root(&scan->marking, thread->registers[i], &holder);
    }
    for (size_t i = 0; i < PARKING_VECTORS; i++) {
        marking_scan_root(&scan->marking, thread->vectors[i].start, thread->vectors[i].end,
                          &holder);
    }
}

/* The dynamic thread vector: the descriptor points to its second element, and its blocks
 * are thread-local data of libraries. Source: glibc, tcbhead_t and dtv_t. */
static void thread_vector_scan(struct scan *scan, const struct parked_thread *thread)
{
    struct findings_holder holder = {.kind = ARENA_HOLDER_TLS, .tid = thread->tid};
    const struct memory_range *range = memory_map_find(&scan->map, thread->thread_pointer);
    if (range == NULL || !range->is_readable || range->end - thread->thread_pointer < 16) {
        return;
    }
    uintptr_t vector = *(const volatile uintptr_t *)(thread->thread_pointer + 8);
    marking_add_root(&scan->marking, vector - 16, &holder);
}

/* Kept by the C library for its next threads; see roots.h. */
static void dead_vectors_scan(struct scan *scan)
{
    struct findings_holder holder = {.kind = ARENA_HOLDER_TLS};
    for (uint32_t i = 0; i < scan->roots.dead_vector_count; i++) {
        marking_add_root(&scan->marking, scan->roots.dead_vectors[i] - 16, &holder);
    }
}

static void roots_scan(struct scan *scan, uint32_t which, const struct parked_thread *threads,
                       uint32_t count)
{
    for (uint32_t i = 0; i < scan->roots.count; i++) {
        const struct root *root = &scan->roots.roots[i];
        marking_scan_root(&scan->marking, root->start, root->end, &root->holder);
    }
    if ((which & ARENA_ROOTS_TLS) != 0) {
        dead_vectors_scan(scan);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (threads[i].state != PARKED_STANDING) {
            continue;
        }
        if ((which & ARENA_ROOTS_TLS) != 0) {
            thread_vector_scan(scan, &threads[i]);
        }
        if ((which & ARENA_ROOTS_REGISTERS) != 0) {
            registers_scan(scan, &threads[i]);
        }
    }
}

/* How many places of the table of tagged regions were ever in use. */
static uint32_t tagged_count(void)
{
    uint32_t count = ANNOUNCED_TAGGED_MAX;
    while (count > 0
           && atomic_load_explicit(&announced_tagged[count - 1].start, memory_order_acquire) == 0) {
        count--;
    }
    return count;
}

static void heap_mark(struct scan *scan, const struct scan_request *request)
{
    const struct arena_config *config = &request->arena->header->config;
    uint32_t which = config->roots == 0 ? ARENA_ROOTS_ALL : config->roots;
    uint32_t alignment = config->pointer_alignment_bytes;
    scan->marking.index = &scan->index;
    scan->marking.findings = &scan->findings;
    scan->marking.map = &scan->map;
    scan->marking.residency = &scan->residency;
    scan->marking.tagged = announced_tagged;
    scan->marking.tagged_count = tagged_count();
    scan->marking.alignment_bytes =
        alignment == 1 || alignment == 2 || alignment == 4 ? alignment : 8;
    scan->marking.interior_is_start = (config->census_flags & ARENA_CENSUS_FLAG_INTERIOR) != 0;
    scan->marking.heuristics = (config->census_flags & ARENA_CENSUS_FLAG_NO_HEURISTICS) != 0
                                   ? 0
                                   : MARKING_HEURISTICS_ALL;
    request->census->roots = which;
    marking_start(&scan->marking);
    roots_find(&scan->roots, which, request->threads, request->thread_count);
    roots_scan(scan, which, request->threads, request->thread_count);
    marking_spread(&scan->marking);
    marking_possible(&scan->marking);
    if (!request->is_final) {
        suspects_compare(&scan->index, request->suspects, request->suspect_count,
                         request->agreement, &scan->suspects);
    }
    marking_lost(&scan->marking);
    marking_count(&scan->marking);
    pinning_count(&scan->index, &scan->findings);
}

/* ---- the results ---------------------------------------------------------- */

/* Returns space for `bytes` in the arena: the slot's from an earlier census, if it will do. */
static char *space_get(const struct scan_request *request, uint64_t bytes)
{
    struct arena_census_slot *slot = request->slot;
    if (slot->capacity_bytes < bytes) {
        uint64_t wanted = bytes + bytes / 4;
        slot->space = arena_extent_new(request->arena, wanted);
        slot->capacity_bytes = slot->space == 0 ? 0 : wanted;
    }
    return arena_at(request->arena, slot->space, bytes);
}

/* Modules that no stack has led into yet: their names are wanted for their globals. */
static void modules_note(struct scan *scan)
{
    const struct root_module *last = NULL;
    for (uint32_t i = 0; i < scan->findings.edge_count; i++) {
        const struct arena_census_edge *edge = findings_edge(&scan->findings, i);
        if (edge->kind != ARENA_HOLDER_GLOBAL && edge->kind != ARENA_HOLDER_STACK
            && edge->kind != ARENA_HOLDER_REGISTER) {
            continue;
        }
        const struct root_module *module = roots_module_find(&scan->roots, edge->holder);
        if (module != NULL && module != last) {
            capture_note_module(edge->holder);
            last = module;
        }
    }
}

static const char *results_write(struct scan *scan, const struct scan_request *request)
{
    struct findings *findings = &scan->findings;
    struct arena_census *census = request->census;
    /* What an offset leads to is aligned to a line. */
    uint64_t sites_bytes = (findings->site_count * sizeof(struct arena_census_site)
                            + ARENA_CACHE_LINE - 1)
                           & ~(uint64_t)(ARENA_CACHE_LINE - 1);
    uint64_t edges_bytes = (findings->edge_count * sizeof(struct arena_census_edge)
                            + ARENA_CACHE_LINE - 1)
                           & ~(uint64_t)(ARENA_CACHE_LINE - 1);
    uint64_t suspects_bytes = scan->suspects.count * sizeof(struct arena_census_suspect);
    char *space = space_get(request, sites_bytes + edges_bytes + suspects_bytes + 8);
    if (space == NULL) {
        return "the arena is full";
    }
    struct arena_census_site *sites = (struct arena_census_site *)(void *)space;
    struct arena_census_edge *edges = (struct arena_census_edge *)(void *)(space + sites_bytes);
    for (uint32_t stack = 0; stack < findings->stack_end; stack++) {
        struct arena_census_site *site = &findings->sites[stack];
        if (site->stack != 0) {
            sites[census->site_count] = *site;
            sites[census->site_count].stack = stack;
            sites[census->site_count++].oldest_tick = site->oldest_tick - 1;
        }
    }
    for (uint32_t i = 0; i < findings->edge_count; i++) {
        edges[census->edge_count++] = *findings_edge(findings, i);
    }
    census->sites = request->slot->space;
    census->edges = request->slot->space + sites_bytes;
    census->suspects = request->slot->space + sites_bytes + edges_bytes;
    census->suspect_count = scan->suspects.count;
    census->suspended_blocks = scan->suspects.suspended_blocks;
    census->suspended_bytes = scan->suspects.suspended_bytes;
    suspects_write(&scan->index, &scan->suspects,
                   (struct arena_census_suspect *)(void *)(space + sites_bytes + edges_bytes));
    census->edges_merged = findings->edges_merged;
    census->scanned_bytes = scan->marking.scanned_bytes;
    census->own_bytes = scan->own_bytes;
    return NULL;
}

const char *scan_run(const struct scan_request *request)
{
    if (!live_map_has_any()) {
        return NULL; /* nothing to look for */
    }
    struct scan *scan = scan_map(NULL, sizeof *scan, false);
    if (scan == NULL) {
        return "no memory for the scan";
    }
    size_t map_bytes = MEMORY_MAP_RANGES_MAX * sizeof(struct memory_range);
    void *roots_memory = scan_map(scan, roots_bytes(), false);
    scan->map.ranges = scan_map(scan, map_bytes, false);
    scan->map.capacity = MEMORY_MAP_RANGES_MAX;
    scan->since_tick = request->since_tick;
    if (roots_memory == NULL || scan->map.ranges == NULL) {
        return "no memory for the scan";
    }
    /* First of all: what is mapped from here on is ours, and no root. */
    int result = memory_map_read(&scan->map);
    if (result != 0 || scan->map.count == 0) {
        result = maps_request(request->arena, &scan->map);
    }
    if (result != 0 || scan->map.count == 0) {
        return "/proc/self/maps cannot be read, neither here nor by memtrack";
    }
    const char *failure = blocks_collect(scan, request->stack_end);
    if (failure != NULL) {
        return failure;
    }
    residency_open(&scan->residency);
    roots_init(&scan->roots, roots_memory, &scan->map, &scan->index);
    roots_exclude(&scan->roots, request->own_start, request->own_end);
    roots_exclude(&scan->roots, (uintptr_t)scan, (uintptr_t)(scan + 1));
    roots_exclude(&scan->roots, (uintptr_t)roots_memory, (uintptr_t)roots_memory + roots_bytes());
    roots_exclude(&scan->roots, (uintptr_t)scan->map.ranges,
                  (uintptr_t)scan->map.ranges + map_bytes);
    roots_exclude_own(&scan->roots);
    roots_exclude_heap(&scan->roots, request->libc_function, request->allocator_function);
    roots_exclude_local(&scan->roots, &request->allocator_local);
    heap_mark(scan, request);
    residency_close(&scan->residency);
    modules_note(scan);
    thread_names_note(request->arena);
    return results_write(scan, request);
}
