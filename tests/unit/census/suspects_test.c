/* Blocks that several censuses in a row found lost; the map of live blocks is real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "census/marking.h"
#include "census/suspects.h"
#include "core/live_map.h"

enum { BLOCKS = 6, BLOCK_BYTES = 128 };

struct heap {
    char *memory;
    struct block_index index;
    struct arena_census_suspect list[2][BLOCKS];
    struct suspects suspects;
};

static void block_put(const struct heap *heap, unsigned number, uint32_t birth_tick)
{
    uintptr_t address = (uintptr_t)heap->memory + number * BLOCK_BYTES;
    struct live_block block = {.size_bytes = 64, .stack = 7, .birth_tick = birth_tick};
    assert_true(live_map_insert(address, &block, false));
}

static void heap_new(struct heap *heap)
{
    memset(heap, 0, sizeof *heap);
    heap->memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(heap->memory, MAP_FAILED);
    for (unsigned i = 0; i < BLOCKS; i++) {
        block_put(heap, i, 1);
    }
}

/* A census that finds the blocks lost whose bits are set. Returns how many were suspended;
 * lost: bits of those that stayed lost. */
static uint64_t census(struct heap *heap, unsigned unreachable, unsigned number,
                       uint32_t agreement, unsigned *lost)
{
    static char memory[1 << 23] __attribute__((aligned(64)));
    memset(memory, 0, sizeof memory);
    assert_true(block_index_bytes(BLOCKS, 2) < sizeof memory);
    block_index_init(&heap->index, memory, BLOCKS, 2);
    uint32_t before = heap->suspects.count;
    for (unsigned i = 0; i < BLOCKS; i++) {
        uintptr_t address = (uintptr_t)heap->memory + i * BLOCK_BYTES;
        assert_true(block_index_add(&heap->index, address, 64, 7));
        if ((unreachable >> i & 1) == 0) {
            marking_suspend(&heap->index.blocks[i]); /* as good as reached */
        }
    }
    suspects_compare(&heap->index, heap->list[(number + 1) % 2], number == 0 ? 0 : before,
                     agreement, &heap->suspects);
    suspects_write(&heap->index, &heap->suspects, heap->list[number % 2]);
    *lost = 0;
    for (unsigned i = 0; i < BLOCKS; i++) {
        *lost |= (unsigned)marking_is_unmarked(&heap->index.blocks[i]) << i;
    }
    return heap->suspects.suspended_blocks;
}

static void blocks_are_lost_when_three_in_a_row_say_so(void **state)
{
    (void)state;
    struct heap heap;
    unsigned lost;
    heap_new(&heap);
    assert_int_equal(census(&heap, 0x2d, 0, 3, &lost), 4);
    assert_int_equal(lost, 0);
    assert_int_equal(census(&heap, 0x2d, 1, 3, &lost), 4);
    assert_int_equal(lost, 0);
    assert_int_equal(census(&heap, 0x2d, 2, 3, &lost), 0);
    assert_int_equal(lost, 0x2d);
    assert_int_equal(census(&heap, 0x2f, 3, 3, &lost), 1); /* a new one has to wait */
    assert_int_equal(lost, 0x2d);
    assert_int_equal(heap.suspects.suspended_bytes, 64);
}

static void a_block_that_was_reached_in_between_starts_anew(void **state)
{
    (void)state;
    struct heap heap;
    unsigned lost;
    heap_new(&heap);
    census(&heap, 0x07, 0, 3, &lost);
    census(&heap, 0x05, 1, 3, &lost);
    census(&heap, 0x07, 2, 3, &lost);
    assert_int_equal(lost, 0x05);
    census(&heap, 0x07, 3, 3, &lost);
    assert_int_equal(lost, 0x05);
    census(&heap, 0x07, 4, 3, &lost);
    assert_int_equal(lost, 0x07);
}

static void another_block_at_the_same_address_starts_anew(void **state)
{
    (void)state;
    struct heap heap;
    unsigned lost;
    heap_new(&heap);
    census(&heap, 0x03, 0, 3, &lost);
    struct live_block gone;
    assert_true(live_map_remove((uintptr_t)heap.memory, &gone));
    block_put(&heap, 0, 2);
    census(&heap, 0x03, 1, 3, &lost);
    census(&heap, 0x03, 2, 3, &lost);
    assert_int_equal(lost, 0x02);
    census(&heap, 0x03, 3, 3, &lost);
    assert_int_equal(lost, 0x03);
}

static void one_census_alone_is_enough_where_that_is_asked(void **state)
{
    (void)state;
    struct heap heap;
    unsigned lost;
    heap_new(&heap);
    assert_int_equal(census(&heap, 0x3f, 0, 1, &lost), 0);
    assert_int_equal(lost, 0x3f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_lost_when_three_in_a_row_say_so),
        cmocka_unit_test(a_block_that_was_reached_in_between_starts_anew),
        cmocka_unit_test(another_block_at_the_same_address_starts_anew),
        cmocka_unit_test(one_census_alone_is_enough_where_that_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
