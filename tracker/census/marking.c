#include "census/marking.h"

#include "census/heuristics.h"

/* Bits of a block's state. */
#define STATE_SHIFT BLOCK_ADDRESS_BITS
#define STATE_BITS(bits) ((uint64_t)(bits) << STATE_SHIFT)
#define STATE_CLASS STATE_BITS(7) /* enum mark */
#define STATE_SEED STATE_BITS(8)  /* a pointer leads into it */
#define STATE_IGNORED STATE_BITS(16)
#define STATE_VISITED STATE_BITS(32)
#define STATE_CANDIDATE STATE_BITS(64)
#define STATE_LEFT_OUT STATE_BITS(128)

enum mark { MARK_NONE, MARK_REACHABLE, MARK_POSSIBLE, MARK_INDIRECT, MARK_DEFINITE };

enum marking_pass { PASS_REACHABLE, PASS_POSSIBLE, PASS_VISIT, PASS_LOST };

/* Blocks and roots from this size on are looked at page by page. */
#define SPARSE_BYTES_MIN (UINT64_C(1) << 16)

/* How many blocks ahead of its turn a block is fetched into the cache. */
#define FETCH_AHEAD 4u

/* Scanning reads whatever is there, on purpose. */
#if defined(__SANITIZE_ADDRESS__)
#define MARKING_READS_ANYTHING __attribute__((no_sanitize("address")))
#else
#define MARKING_READS_ANYTHING
#endif

static enum mark mark_of(const struct census_block *block)
{
    return (enum mark)((block->state_address & STATE_CLASS) >> STATE_SHIFT);
}

static void mark_set(struct census_block *block, enum mark mark)
{
    block->state_address = (block->state_address & ~STATE_CLASS) | STATE_BITS(mark);
}

static bool is_as_good_as_start(const struct marking *marking, const struct census_block *block,
                                uintptr_t value)
{
    return marking->interior_is_start
           || (marking->heuristics != 0
               && heuristics_match(marking->heuristics, marking->map, block_address(block),
                                   block_size_bytes(block), value));
}

/* A pointer was found. `leader`: the definite block of PASS_LOST. */
static void marking_meet(struct marking *marking, uintptr_t value,
                         const struct findings_holder *holder)
{
    uint32_t number = block_index_find(marking->index, value);
    if (number == BLOCK_NONE) {
        return;
    }
    struct census_block *block = &marking->index->blocks[number];
    if (mark_of(block) != MARK_NONE) {
        if (marking->pass == PASS_REACHABLE) {
            findings_add_reference(marking->findings, holder, block_stack(block));
        }
        return;
    }
    uint64_t size_bytes = block_size_bytes(block);
    bool is_interior = value != block_address(block);
    switch ((enum marking_pass)marking->pass) {
    case PASS_REACHABLE:
        if (is_interior && !is_as_good_as_start(marking, block, value)) {
            if ((block->state_address & STATE_SEED) == 0) {
                block->state_address |= STATE_SEED;
                findings_add_edge(marking->findings, holder, block_stack(block), size_bytes, true);
            }
            return;
        }
        mark_set(block, MARK_REACHABLE);
        findings_add_edge(marking->findings, holder, block_stack(block), size_bytes, false);
        break;
    case PASS_POSSIBLE:
        mark_set(block, MARK_POSSIBLE);
        findings_add_edge(marking->findings, holder, block_stack(block), size_bytes, true);
        break;
    case PASS_VISIT:
        if ((block->state_address & STATE_VISITED) != 0) {
            return;
        }
        block->state_address |= STATE_VISITED;
        break;
    case PASS_LOST: {
        mark_set(block, MARK_INDIRECT);
        if ((block->state_address & STATE_LEFT_OUT) != 0) {
            break;
        }
        struct arena_census_site *site =
            findings_site(marking->findings, (uint32_t)holder->holder);
        site->led_blocks++;
        site->led_bytes += size_bytes;
        break;
    }
    }
    marking->queue[marking->tail++] = number;
}

/* Whether each pointer's own address stands for its holder. */
static bool is_held_by_address(const struct findings_holder *holder)
{
    return holder->holder == 0 && holder->kind != ARENA_HOLDER_STACK
           && holder->kind != ARENA_HOLDER_REGISTER && holder->kind != ARENA_HOLDER_SITE;
}

static inline void pending_add(struct marking *marking, uintptr_t value,
                               const struct findings_holder *holder)
{
    struct marking_pending *pending = &marking->pending[marking->pending_next];
    marking->pending_next = (marking->pending_next + 1) % MARKING_PENDING;
    if (pending->value != 0) {
        marking_meet(marking, pending->value, &pending->holder);
    }
    block_index_prefetch(marking->index, value);
    pending->value = value;
    pending->holder = *holder;
}

/* In the order in which they came. */
static void pending_finish(struct marking *marking)
{
    for (uint32_t i = 0; i < MARKING_PENDING; i++) {
        struct marking_pending *pending = &marking->pending[marking->pending_next];
        marking->pending_next = (marking->pending_next + 1) % MARKING_PENDING;
        if (pending->value != 0) {
            marking_meet(marking, pending->value, &pending->holder);
            pending->value = 0;
        }
    }
}

/* Reads words of [start, end), all of it readable, in the form that the program declared. */
MARKING_READS_ANYTHING static void tagged_scan(struct marking *marking, uintptr_t start,
                                               uintptr_t end,
                                               const struct announced_pointers *pointers,
                                               const struct findings_holder *holder)
{
    struct findings_holder here = *holder;
    bool is_by_address = is_held_by_address(holder);
    uintptr_t step = pointers->word_bytes;
    start = (start + step - 1) & ~(step - 1);
    for (uintptr_t at = start; at < end && end - at >= step; at += step) {
        uint64_t word = 0;
        __builtin_memcpy(&word, (const void *)at, step);
        uintptr_t value = announced_pointer_decode(pointers, word);
        if (word != 0 && value - marking->index->low < marking->index->high - marking->index->low) {
            if (is_by_address) {
                here.holder = at;
            }
            pending_add(marking, value, &here);
        }
    }
}

static void tagged_regions_scan(struct marking *marking, uintptr_t start, uintptr_t end,
                                const struct findings_holder *holder)
{
    for (uint32_t i = 0; i < marking->tagged_count; i++) {
        const struct announced_tagged *tagged = &marking->tagged[i];
        uintptr_t from = atomic_load_explicit(&tagged->start, memory_order_relaxed);
        uintptr_t to = from + tagged->size_bytes;
        if (from > 1 && from < end && to > start) { /* 0, 1: unused, or being filled */
            tagged_scan(marking, from > start ? from : start, to < end ? to : end,
                        &tagged->pointers, holder);
        }
    }
}

/* Scans [start, end), all of it readable. */
MARKING_READS_ANYTHING static void words_scan(struct marking *marking, uintptr_t start,
                                              uintptr_t end, const struct findings_holder *holder)
{
    uintptr_t low = marking->index->low;
    uintptr_t span = marking->index->high - low;
    uintptr_t step = marking->alignment_bytes;
    if (__builtin_expect(marking->tagged_count != 0, 0)) {
        tagged_regions_scan(marking, start, end, holder);
    }
    start = (start + step - 1) & ~(step - 1);
    if (end < sizeof(uintptr_t) || start > end - sizeof(uintptr_t)) {
        return;
    }
    marking->scanned_bytes += end - start;
    struct findings_holder here = *holder;
    bool is_by_address = is_held_by_address(holder);
    for (uintptr_t at = start; at <= end - sizeof(uintptr_t); at += step) {
        uintptr_t value;
        __builtin_memcpy(&value, (const void *)at, sizeof value);
        /* Between the first block and the last one lie modules and stacks as well. */
        if (value - low < span && block_index_has_region(marking->index, value)) {
            if (is_by_address) {
                here.holder = at;
            }
            pending_add(marking, value, &here);
        }
    }
}

/* The same, where some pages may never have been touched. */
static void pages_scan(struct marking *marking, uintptr_t start, uintptr_t end, bool is_private,
                       const struct findings_holder *holder)
{
    if (marking->residency == NULL || !is_private || end - start < SPARSE_BYTES_MIN) {
        words_scan(marking, start, end, holder);
        return;
    }
    /* A pointer never lies across pages that differ in this: then half of it is zero. */
    while ((start = residency_next(marking->residency, start, end)) < end) {
        uintptr_t stretch = residency_stretch(marking->residency, start, end);
        words_scan(marking, start, stretch, holder);
        start = stretch;
    }
}

/* Scans what of [start, end) can be read. */
static void range_scan(struct marking *marking, uintptr_t start, uintptr_t end,
                       const struct findings_holder *holder)
{
    if (marking->map == NULL) {
        words_scan(marking, start, end, holder);
        return;
    }
    while (start < end) {
        const struct memory_range *range = marking->range;
        if (range == NULL || start < range->start || start >= range->end) {
            range = memory_map_find(marking->map, start);
            if (range == NULL) {
                return; /* unmapped: not a block any more */
            }
            marking->range = range;
        }
        uintptr_t stop = end < range->end ? end : range->end;
        if (range->is_readable) {
            pages_scan(marking, start, stop,
                       range->kind == MEMORY_ANONYMOUS || range->kind == MEMORY_BREAK, holder);
        }
        start = stop;
    }
}

static void block_scan(struct marking *marking, const struct census_block *block,
                       const struct findings_holder *holder)
{
    uintptr_t address = block_address(block);
    range_scan(marking, address, address + block_size_bytes(block), holder);
}

/* Scans all that is queued, and what that queues. `leader`: NULL, or stands for the holder
 * of all that is found. */
static void marking_drain(struct marking *marking, const struct findings_holder *leader)
{
    const struct census_block *blocks = marking->index->blocks;
    for (;;) {
        if (marking->head == marking->tail) {
            pending_finish(marking);
            if (marking->head == marking->tail) {
                break;
            }
        }
        if (marking->head + 2 * FETCH_AHEAD < marking->tail) {
            __builtin_prefetch(&blocks[marking->queue[marking->head + 2 * FETCH_AHEAD]]);
            __builtin_prefetch(
                (const void *)block_address(&blocks[marking->queue[marking->head + FETCH_AHEAD]]));
        }
        const struct census_block *block = &blocks[marking->queue[marking->head++]];
        struct findings_holder holder = {.kind = ARENA_HOLDER_SITE,
                                         .holder = block_stack(block)};
        block_scan(marking, block, leader != NULL ? leader : &holder);
    }
    marking->head = 0;
    marking->tail = 0;
}

void marking_scan_root(struct marking *marking, uintptr_t start, uintptr_t end,
                       const struct findings_holder *holder)
{
    marking->pass = PASS_REACHABLE;
    range_scan(marking, start, end, holder);
    pending_finish(marking); /* before roots that say less */
}

void marking_add_root(struct marking *marking, uintptr_t value,
                      const struct findings_holder *holder)
{
    marking->pass = PASS_REACHABLE;
    marking_meet(marking, value, holder);
}

void marking_ignore(struct census_block *block)
{
    block->state_address |= STATE_IGNORED;
}

void marking_leave_out(struct census_block *block)
{
    block->state_address |= STATE_LEFT_OUT;
}

bool marking_is_unmarked(const struct census_block *block)
{
    return mark_of(block) == MARK_NONE;
}

void marking_suspend(struct census_block *block)
{
    mark_set(block, MARK_REACHABLE);
}

void marking_start(struct marking *marking)
{
    marking->pass = PASS_REACHABLE;
    for (uint32_t i = 0; i < marking->index->count; i++) {
        struct census_block *block = &marking->index->blocks[i];
        if ((block->state_address & STATE_IGNORED) != 0) {
            mark_set(block, MARK_REACHABLE);
            marking->queue[marking->tail++] = i;
        }
    }
}

void marking_spread(struct marking *marking)
{
    marking->pass = PASS_REACHABLE;
    marking_drain(marking, NULL);
}

void marking_possible(struct marking *marking)
{
    marking->pass = PASS_POSSIBLE;
    for (uint32_t i = 0; i < marking->index->count; i++) {
        struct census_block *block = &marking->index->blocks[i];
        if (mark_of(block) == MARK_NONE && (block->state_address & STATE_SEED) != 0) {
            mark_set(block, MARK_POSSIBLE);
            marking->queue[marking->tail++] = i;
        }
    }
    marking_drain(marking, NULL);
}

void marking_lost(struct marking *marking)
{
    struct census_block *blocks = marking->index->blocks;
    const struct findings_holder nobody = {.kind = ARENA_HOLDER_SITE};
    marking->pass = PASS_VISIT;
    for (uint32_t i = 0; i < marking->index->count; i++) {
        if (mark_of(&blocks[i]) == MARK_NONE && (blocks[i].state_address & STATE_VISITED) == 0) {
            blocks[i].state_address |= STATE_VISITED | STATE_CANDIDATE;
            block_scan(marking, &blocks[i], &nobody);
            marking_drain(marking, &nobody);
        }
    }
    marking->pass = PASS_LOST;
    for (uint32_t i = marking->index->count; i-- > 0;) {
        if ((blocks[i].state_address & STATE_CANDIDATE) == 0 || mark_of(&blocks[i]) != MARK_NONE) {
            continue;
        }
        struct findings_holder leader = {.kind = ARENA_HOLDER_SITE,
                                         .holder = block_stack(&blocks[i])};
        mark_set(&blocks[i], MARK_DEFINITE);
        block_scan(marking, &blocks[i], &leader);
        marking_drain(marking, &leader);
    }
}

enum arena_leak_class marking_class(const struct census_block *block)
{
    if ((block->state_address & STATE_IGNORED) != 0) {
        return ARENA_LEAK_IGNORED;
    }
    switch (mark_of(block)) {
    case MARK_REACHABLE:
        return ARENA_LEAK_REACHABLE;
    case MARK_POSSIBLE:
        return ARENA_LEAK_POSSIBLE;
    case MARK_INDIRECT:
        return ARENA_LEAK_INDIRECT;
    case MARK_NONE:
    case MARK_DEFINITE:
        break;
    }
    return ARENA_LEAK_DEFINITE;
}

void marking_count(struct marking *marking)
{
    for (uint32_t i = 0; i < marking->index->count; i++) {
        const struct census_block *block = &marking->index->blocks[i];
        if ((block->state_address & STATE_LEFT_OUT) != 0) {
            continue;
        }
        findings_add_block(marking->findings, block_stack(block), block_size_bytes(block),
                           marking_class(block));
    }
}
