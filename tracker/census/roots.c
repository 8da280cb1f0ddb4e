#include "census/roots.h"

#include <elf.h>

#include "census/glibc_heap.h"
#include "core/announced.h"
#include "core/live_map.h"
#include "core/process.h"
#include "core/thread.h"
#include "core/unwind.h"

#define PAGE_MASK UINT64_C(4095)
#define RED_ZONE_BYTES 128u
/* struct pthread lies at the thread pointer. Source: glibc, _thread_db_sizeof_pthread. */
#define THREAD_DESCRIPTOR_BYTES 4096u
#define FRAMES_MAX 512u
/* Where in it the thread's id stands, its least size, and how far from the end of a stack
 * it may begin (with thread-local data above it there is none). */
#define DESCRIPTOR_TID 720u
#define DESCRIPTOR_BYTES_MIN 1024u
#define DESCRIPTOR_SEARCH_BYTES 16384u

static size_t aligned(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

size_t roots_bytes(void)
{
    return aligned(ROOTS_MAX * sizeof(struct root))
           + aligned(ROOTS_EXCLUDED_MAX * sizeof(struct root_excluded))
           + aligned(ROOTS_MODULES_MAX * sizeof(struct root_module));
}

/* ---- modules -------------------------------------------------------------- */

/* The file is mapped from its beginning at range->start: reads its program headers. */
static void module_add(struct roots *roots, const struct memory_range *range)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)range->start;
    size_t bytes = range->end - range->start;
    if (bytes < sizeof *header || __builtin_memcmp(header->e_ident, ELFMAG, SELFMAG) != 0
        || header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff > bytes
        || (bytes - header->e_phoff) / sizeof(Elf64_Phdr) < header->e_phnum) {
        return;
    }
    if (roots->module_count == ROOTS_MODULES_MAX) {
        roots->is_cut = true;
        return;
    }
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(range->start + header->e_phoff);
    uint64_t low = UINT64_MAX;
    uint64_t high = 0;
    uint64_t local = 0;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        const Elf64_Phdr *segment = &segments[i];
        if (segment->p_type == PT_LOAD) {
            low = segment->p_vaddr < low ? segment->p_vaddr : low;
            high = segment->p_vaddr + segment->p_memsz > high ? segment->p_vaddr + segment->p_memsz
                                                              : high;
        } else if (segment->p_type == PT_TLS) {
            local = segment->p_memsz + segment->p_align;
        }
    }
    if (low >= high || high - low > UINT64_C(1) << 40) {
        return;
    }
    roots->modules[roots->module_count++] = (struct root_module){
        .start = range->start,
        .end = range->start + (((high - (low & ~PAGE_MASK)) + PAGE_MASK) & ~PAGE_MASK),
        .thread_local_bytes = local};
    roots->thread_local_bytes += local;
}

const struct root_module *roots_module_find(const struct roots *roots, uintptr_t address)
{
    for (uint32_t i = 0; i < roots->module_count; i++) {
        if (address >= roots->modules[i].start && address < roots->modules[i].end) {
            return &roots->modules[i];
        }
    }
    return NULL;
}

void roots_init(struct roots *roots, void *memory, const struct memory_map *map,
                const struct block_index *index)
{
    char *next = memory;
    *roots = (struct roots){.map = map, .index = index};
    roots->roots = (struct root *)(void *)next;
    next += aligned(ROOTS_MAX * sizeof(struct root));
    roots->excluded = (struct root_excluded *)(void *)next;
    next += aligned(ROOTS_EXCLUDED_MAX * sizeof(struct root_excluded));
    roots->modules = (struct root_module *)(void *)next;
    for (size_t i = 0; i < map->count; i++) {
        const struct memory_range *range = &map->ranges[i];
        if (range->kind == MEMORY_MODULE && range->file_offset == 0 && range->is_readable) {
            module_add(roots, range);
        }
    }
}

/* ---- what is left out ----------------------------------------------------- */

void roots_exclude(struct roots *roots, uintptr_t start, uintptr_t end)
{
    if (roots->excluded_count == ROOTS_EXCLUDED_MAX) {
        roots->is_cut = true;
        return;
    }
    if (start < end) {
        roots->excluded[roots->excluded_count++] = (struct root_excluded){start, end};
    }
}

static void exclude_bytes(void *context, uintptr_t start, size_t bytes)
{
    roots_exclude(context, start, start + bytes);
}

static void exclude_range(void *context, uintptr_t start, uintptr_t end)
{
    roots_exclude(context, start, end);
}

void roots_exclude_own(struct roots *roots)
{
    const struct root_module *own = roots_module_find(roots, (uintptr_t)&process_cold);
    if (own != NULL) {
        roots_exclude(roots, own->start, own->end);
    }
    live_map_visit_own(exclude_bytes, roots);
    thread_visit_own(exclude_bytes, roots);
}

/* A mapping of an allocator that we know nothing of: all in which blocks lie, or lay. */
struct heap_search {
    struct roots *roots;
    const struct memory_range *excluded; /* the last one */
};

static void exclude_block_range(struct heap_search *search, uintptr_t address)
{
    const struct memory_range *range = search->excluded;
    if (range != NULL && address >= range->start && address < range->end) {
        return;
    }
    range = memory_map_find(search->roots->map, address);
    if (range != NULL && (range->kind == MEMORY_ANONYMOUS || range->kind == MEMORY_BREAK)
        && roots_module_find(search->roots, address) == NULL) {
        search->excluded = range;
        roots_exclude(search->roots, range->start, range->end);
    }
}

static void exclude_unknown_heap(struct roots *roots)
{
    struct heap_search search = {.roots = roots};
    for (uint32_t i = 0; i < roots->index->count; i++) {
        exclude_block_range(&search, block_address(&roots->index->blocks[i]));
    }
    for (size_t i = 0; i < roots->map->count; i++) {
        const struct memory_range *range = &roots->map->ranges[i];
        if (range->kind == MEMORY_ANONYMOUS && range->is_writable
            && live_map_had_blocks(range->start, range->end)) {
            exclude_block_range(&search, range->start);
        }
    }
}

static uintptr_t find_main_arena(const struct roots *roots, const struct root_module *libc)
{
    for (size_t i = 0; i < roots->map->count; i++) {
        const struct memory_range *range = &roots->map->ranges[i];
        if (range->start >= libc->start && range->end <= libc->end && range->is_writable
            && range->is_readable) {
            uintptr_t arena = glibc_heap_find_arena(range->start, range->end);
            if (arena != 0) {
                return arena;
            }
        }
    }
    return 0;
}

/* Blocks of glibc's malloc that have mappings of their own. */
static void exclude_mapped_chunks(struct roots *roots)
{
    uintptr_t done_start = 0;
    uintptr_t done_end = 0;
    for (uint32_t i = 0; i < roots->index->count; i++) {
        uintptr_t address = block_address(&roots->index->blocks[i]);
        uintptr_t start;
        uintptr_t end;
        if (address >= done_start && address < done_end) {
            continue;
        }
        /* Such a chunk begins a mapping. Aligned ones begin later in it, but are large. */
        bool may_be = (address & PAGE_MASK) == 16
                      || block_size_bytes(&roots->index->blocks[i]) >= PAGE_MASK / 2;
        if (may_be && glibc_heap_mapped_chunk(roots->map, address, &start, &end)) {
            roots_exclude(roots, start, end);
            done_start = start;
            done_end = end;
        }
    }
}

void roots_exclude_heap(struct roots *roots, uintptr_t libc_address, uintptr_t allocator_address)
{
    const struct root_module *libc = roots_module_find(roots, libc_address);
    const struct root_module *allocator = roots_module_find(roots, allocator_address);
    if (libc != NULL) {
        roots->libc_start = libc->start;
        roots->libc_end = libc->end;
    }
    uintptr_t arena = libc == NULL ? 0 : find_main_arena(roots, libc);
    if (arena != 0) {
        roots_exclude(roots, arena, arena + GLIBC_ARENA_BYTES);
    }
    for (size_t i = 0; i < roots->map->count; i++) {
        const struct memory_range *range = &roots->map->ranges[i];
        if (range->kind == MEMORY_BREAK) {
            roots_exclude(roots, range->start, range->end);
        }
    }
    if (arena == 0 || allocator != libc) {
        if (allocator != NULL && allocator != libc) {
            roots_exclude(roots, allocator->start, allocator->end);
        }
        exclude_unknown_heap(roots);
        return;
    }
    glibc_heap_visit(roots->map, arena, exclude_range, roots);
    exclude_mapped_chunks(roots);
}

/* Sorts by address and merges. Heap sort: no recursion, no worst case. */
static void excluded_sift(struct root_excluded *ranges, uint32_t at, uint32_t count)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count) {
            return;
        }
        if (child + 1 < count && ranges[child + 1].start > ranges[child].start) {
            child++;
        }
        if (ranges[at].start >= ranges[child].start) {
            return;
        }
        struct root_excluded moved = ranges[at];
        ranges[at] = ranges[child];
        ranges[child] = moved;
        at = child;
    }
}

static void excluded_sort(struct roots *roots)
{
    struct root_excluded *ranges = roots->excluded;
    uint32_t count = roots->excluded_count;
    for (uint32_t i = count / 2; i-- > 0;) {
        excluded_sift(ranges, i, count);
    }
    for (uint32_t end = count; end-- > 1;) {
        struct root_excluded greatest = ranges[0];
        ranges[0] = ranges[end];
        ranges[end] = greatest;
        excluded_sift(ranges, 0, end);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kept > 0 && ranges[i].start <= ranges[kept - 1].end) {
            if (ranges[i].end > ranges[kept - 1].end) {
                ranges[kept - 1].end = ranges[i].end;
            }
        } else {
            ranges[kept++] = ranges[i];
        }
    }
    roots->excluded_count = kept;
}

/* The first excluded range that ends after `address`. */
static uint32_t excluded_after(const struct roots *roots, uintptr_t address)
{
    uint32_t low = 0;
    uint32_t high = roots->excluded_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (roots->excluded[middle].end <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void roots_exclude_local(struct roots *roots, const struct census_local *local)
{
    roots->allocator_local = *local;
}

/* ---- roots ---------------------------------------------------------------- */

static void root_add(struct roots *roots, uintptr_t start, uintptr_t end,
                     const struct findings_holder *holder)
{
    if (roots->count == ROOTS_MAX) {
        roots->is_cut = true;
        return;
    }
    roots->roots[roots->count++] = (struct root){start, end, *holder};
}

/* Adds what of [start, end) is not in a live block: those are scanned when something leads
 * to them, wherever the program or a custom allocator has put them. */
static void root_add_between_blocks(struct roots *roots, uintptr_t start, uintptr_t end,
                                    const struct findings_holder *holder)
{
    const struct census_block *blocks = roots->index->blocks;
    uint32_t low = 0;
    uint32_t high = roots->index->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (block_address(&blocks[middle]) + block_size_bytes(&blocks[middle]) <= start) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; start < end && low < roots->index->count && block_address(&blocks[low]) < end; low++) {
        if (start < block_address(&blocks[low])) {
            root_add(roots, start, block_address(&blocks[low]), holder);
        }
        uintptr_t after = block_address(&blocks[low]) + block_size_bytes(&blocks[low]);
        start = after > start ? after : start;
    }
    if (start < end) {
        root_add(roots, start, end, holder);
    }
}

/* Adds what of [start, end) is not excluded. */
static void root_add_rest(struct roots *roots, uintptr_t start, uintptr_t end,
                          const struct findings_holder *holder)
{
    for (uint32_t i = excluded_after(roots, start); start < end; i++) {
        uintptr_t stop = end;
        uintptr_t next = end;
        if (i < roots->excluded_count && roots->excluded[i].start < end) {
            stop = roots->excluded[i].start;
            next = roots->excluded[i].end;
        }
        if (start < stop) {
            root_add_between_blocks(roots, start, stop, holder);
        }
        start = next;
    }
}

/* The part of a module's data that the loader makes read-only after it has stored there:
 * it lies just before the data that stay writable. */
static bool is_sealed_data(const struct roots *roots, const struct memory_range *range)
{
    const struct memory_range *next = range + 1;
    return !range->is_executable && next < roots->map->ranges + roots->map->count
           && next->kind == MEMORY_MODULE && next->is_writable && next->start == range->end
           && next->inode_low == range->inode_low;
}

/* What the program may have stored pointers in. Memory that it made read-only counts. */
static bool range_may_hold(const struct roots *roots, const struct memory_range *range)
{
    if (!range->is_readable) {
        return false;
    }
    return range->kind == MEMORY_MODULE ? range->is_writable || is_sealed_data(roots, range)
                                        : range->kind != MEMORY_OTHER;
}

/* Splits a range into what belongs to modules (.data, .bss) and the rest. */
static void range_add(struct roots *roots, const struct memory_range *range, bool is_module)
{
    struct findings_holder global = {.kind = ARENA_HOLDER_GLOBAL};
    struct findings_holder mapping = {.kind = ARENA_HOLDER_MAPPING};
    if (range->kind == MEMORY_MODULE) {
        if (is_module) {
            root_add_rest(roots, range->start, range->end, &global);
        }
        return;
    }
    uintptr_t at = range->start;
    while (at < range->end) {
        const struct root_module *module = roots_module_find(roots, at);
        uintptr_t stop = range->end;
        if (module != NULL) {
            stop = module->end < stop ? module->end : stop;
        } else {
            for (uint32_t i = 0; i < roots->module_count; i++) {
                if (roots->modules[i].start > at && roots->modules[i].start < stop) {
                    stop = roots->modules[i].start;
                }
            }
        }
        if ((module != NULL) == is_module) {
            root_add_rest(roots, at, stop, is_module ? &global : &mapping);
        }
        at = stop;
    }
}

static void ranges_add(struct roots *roots, bool is_module)
{
    for (size_t i = 0; i < roots->map->count; i++) {
        if (range_may_hold(roots, &roots->map->ranges[i])) {
            range_add(roots, &roots->map->ranges[i], is_module);
        }
    }
}

static void announced_add(struct roots *roots)
{
    struct findings_holder holder = {.kind = ARENA_HOLDER_MAPPING};
    for (size_t i = 0; i < ANNOUNCED_ROOTS_MAX; i++) {
        uintptr_t start = atomic_load_explicit(&announced_roots[i].start, memory_order_acquire);
        if (start != 0) {
            root_add(roots, start, start + announced_roots[i].size_bytes, &holder);
        }
    }
}

/* Where a thread's stack ends: with its mapping, its block if it is one, or where its
 * thread-local data begin. */
static uintptr_t stack_end(const struct roots *roots, const struct parked_thread *thread)
{
    uint32_t block = block_index_find(roots->index, thread->sp);
    if (block != BLOCK_NONE) {
        const struct census_block *found = &roots->index->blocks[block];
        return block_address(found) + block_size_bytes(found);
    }
    const struct memory_range *range = memory_map_find(roots->map, thread->sp);
    if (range == NULL) {
        return thread->sp;
    }
    uintptr_t end = range->end;
    uintptr_t local = thread->thread_pointer - roots->thread_local_bytes;
    return local > thread->sp && local < end ? local : end;
}

/* Thread-local data, the thread's descriptor and in it pthread_setspecific()'s. */
static void local_add(struct roots *roots, const struct parked_thread *thread)
{
    struct findings_holder holder = {.kind = ARENA_HOLDER_TLS, .tid = thread->tid};
    const struct memory_range *range = memory_map_find(roots->map, thread->thread_pointer);
    if (range == NULL || !range->is_readable) {
        return;
    }
    uintptr_t start = thread->thread_pointer - roots->thread_local_bytes;
    uintptr_t end = thread->thread_pointer + THREAD_DESCRIPTOR_BYTES;
    uintptr_t hidden = thread->thread_pointer - roots->allocator_local.below_bytes;
    start = start > range->start ? start : range->start;
    end = end < range->end ? end : range->end;
    if (roots->allocator_local.size_bytes > 0 && hidden >= start && hidden < end) {
        root_add(roots, start, hidden, &holder);
        start = hidden + roots->allocator_local.size_bytes;
    }
    root_add(roots, start, end, &holder);
}

static void allocator_local_exclude(struct roots *roots, const struct parked_thread *thread)
{
    uintptr_t start = thread->thread_pointer - roots->allocator_local.below_bytes;
    roots_exclude(roots, start, start + roots->allocator_local.size_bytes);
}

/* A thread's frames from the innermost outwards. */
struct stack_walk {
    struct unwind_pages pages;
    struct unwind_state state;
    uintptr_t end; /* of the stack */
    unsigned depth;
};

/* Goes on to the next outer frame. False: there is none that can be reached. */
static bool stack_step(struct stack_walk *walk)
{
    uintptr_t before = walk->state.sp;
    unwind_rule_t rule = unwind_rule(walk->state.pc);
    enum unwind_outcome outcome = unwind_step(&walk->state, &rule, &walk->pages);
    return ++walk->depth < FRAMES_MAX && (outcome == UNWIND_STEPPED || outcome == UNWIND_GUESSED)
           && walk->state.sp > before && walk->state.sp <= walk->end;
}

/* Past the frames of the C library. False: there are no others. */
static bool stack_leave_libc(const struct roots *roots, struct stack_walk *walk)
{
    while (walk->state.pc - 1 - roots->libc_start < roots->libc_end - roots->libc_start) {
        if (!stack_step(walk)) {
            return false;
        }
    }
    return true;
}

static struct stack_walk stack_walk_of(const struct roots *roots,
                                       const struct parked_thread *thread)
{
    return (struct stack_walk){
        .state = {.pc = thread->pc, .sp = thread->sp, .bp = thread->bp},
        .end = stack_end(roots, thread)};
}

uintptr_t roots_thread_place(const struct roots *roots, const struct parked_thread *thread)
{
    struct stack_walk walk = stack_walk_of(roots, thread);
    return stack_leave_libc(roots, &walk) ? walk.state.pc : thread->pc;
}

/* The stack from its pointer up, frame by frame as far as it can be unwound. What lies in
 * frames of the C library, registers that they saved above all, is their caller's. */
static void stack_add(struct roots *roots, const struct parked_thread *thread)
{
    struct findings_holder holder = {.kind = ARENA_HOLDER_STACK, .tid = thread->tid};
    struct stack_walk walk = stack_walk_of(roots, thread);
    uintptr_t start = thread->sp - RED_ZONE_BYTES;
    while (start < walk.end && stack_leave_libc(roots, &walk)) {
        holder.holder = walk.state.pc;
        if (!stack_step(&walk)) {
            break;
        }
        root_add(roots, start, walk.state.sp, &holder);
        start = walk.state.sp;
    }
    holder.holder = 0;
    if (start < walk.end) {
        root_add(roots, start, walk.end, &holder);
    }
}

/* Dead parts of stacks and what is scanned as a stack are no mappings. A stack of which
 * nobody says where it begins (no guard page below it, thread-local data elsewhere) shares
 * its mapping with other things: only what is above the stack pointer is known. */
static void stack_exclude(struct roots *roots, const struct parked_thread *thread)
{
    const struct memory_range *range = memory_map_find(roots->map, thread->sp);
    if (range == NULL || block_index_find(roots->index, thread->sp) != BLOCK_NONE) {
        return;
    }
    size_t number = (size_t)(range - roots->map->ranges);
    bool has_guard = number > 0 && range[-1].end == range->start && !range[-1].is_readable;
    bool is_its_own = range->kind == MEMORY_STACK
                      || (has_guard && thread->thread_pointer >= thread->sp
                          && thread->thread_pointer < range->end);
    uintptr_t start = is_its_own ? range->start : thread->sp - RED_ZONE_BYTES;
    roots_exclude(roots, start, stack_end(roots, thread));
}

/* Whether the descriptor of a thread that ended lies at `address`: it points to itself
 * twice, and no thread that runs has it. Source: glibc, tcbhead_t and struct pthread. */
static bool is_dead_descriptor(uintptr_t address, const struct parked_thread *threads,
                               uint32_t thread_count)
{
    const uintptr_t *words = (const uintptr_t *)address;
    if (words[0] != address || words[2] != address) {
        return false;
    }
    int32_t tid = (int32_t)words[DESCRIPTOR_TID / sizeof(uintptr_t)];
    for (uint32_t i = 0; i < thread_count; i++) {
        bool is_it = threads[i].state == PARKED_STANDING ? threads[i].thread_pointer == address
                                                         : threads[i].tid == tid;
        if (is_it && threads[i].state != PARKED_GONE) {
            return false;
        }
    }
    return true;
}

/* The C library keeps the stacks of threads that ended for new ones: nothing in them is of
 * use. They end with a descriptor and begin after a guard. */
static void dead_stacks_exclude(struct roots *roots, const struct parked_thread *threads,
                                uint32_t thread_count)
{
    for (size_t i = 1; i < roots->map->count; i++) {
        const struct memory_range *range = &roots->map->ranges[i];
        if (range->kind != MEMORY_ANONYMOUS || !range->is_readable || !range->is_writable
            || range[-1].end != range->start || range[-1].is_readable) {
            continue;
        }
        uintptr_t lowest = range->end - range->start > DESCRIPTOR_SEARCH_BYTES
                               ? range->end - DESCRIPTOR_SEARCH_BYTES
                               : range->start;
        for (uintptr_t at = (range->end - DESCRIPTOR_BYTES_MIN) & ~(uintptr_t)63; at > lowest;
             at -= 64) {
            if (is_dead_descriptor(at, threads, thread_count)) {
                roots_exclude(roots, range->start, range->end);
                if (roots->dead_vector_count < ROOTS_DEAD_THREADS_MAX) {
                    roots->dead_vectors[roots->dead_vector_count++] = ((const uintptr_t *)at)[1];
                }
                break;
            }
        }
    }
}

void roots_find(struct roots *roots, uint32_t which, const struct parked_thread *threads,
                uint32_t thread_count)
{
    if (which == 0) {
        which = ARENA_ROOTS_ALL;
    }
    for (uint32_t i = 0; i < thread_count; i++) {
        if (threads[i].state == PARKED_STANDING) {
            stack_exclude(roots, &threads[i]);
            allocator_local_exclude(roots, &threads[i]);
        }
    }
    if (thread_count < PARKING_THREADS_MAX) { /* else some are not in the list */
        dead_stacks_exclude(roots, threads, thread_count);
    }
    excluded_sort(roots);
    if ((which & ARENA_ROOTS_GLOBALS) != 0) {
        ranges_add(roots, true);
    }
    announced_add(roots);
    for (uint32_t i = 0; i < thread_count && (which & ARENA_ROOTS_TLS) != 0; i++) {
        if (threads[i].state == PARKED_STANDING) {
            local_add(roots, &threads[i]);
        }
    }
    if ((which & ARENA_ROOTS_MAPPINGS) != 0) {
        ranges_add(roots, false);
    }
    for (uint32_t i = 0; i < thread_count && (which & ARENA_ROOTS_STACKS) != 0; i++) {
        if (threads[i].state == PARKED_STANDING) {
            stack_add(roots, &threads[i]);
        }
    }
}
