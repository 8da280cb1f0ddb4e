/* The live map against a plain table of the same blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/mman.h>

#include "arena/layout.h"
#include "core/live_map.h"

/* Addresses are only numbers to the map: nothing is mapped there. Each test has its own. */
#define TEST_BASE UINT64_C(0x100000000000)

static struct live_block make_block(uint64_t size_bytes, uint32_t stack)
{
    return (struct live_block){.size_bytes = size_bytes,
                               .stack = stack,
                               .birth_tick = stack % (LIVE_RECORD_BIRTH_MAX + 1),
                               .family = stack % 3};
}

static void assert_same_block(const struct live_block *a, const struct live_block *b)
{
    assert_int_equal(a->size_bytes, b->size_bytes);
    assert_int_equal(a->stack, b->stack);
    assert_int_equal(a->birth_tick, b->birth_tick);
    assert_int_equal(a->family, b->family);
}

static void live_map_keeps_every_field_at_its_limits(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 65534, 65535, 65536, UINT64_C(1) << 40};
    uintptr_t address = TEST_BASE;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++, address += UINT64_C(1) << 20) {
        struct live_block block = {.size_bytes = sizes[i],
                                   .stack = ARENA_STACKS_MAX - 1,
                                   .birth_tick = LIVE_RECORD_BIRTH_MAX,
                                   .family = ARENA_FAMILY_IGNORED};
        struct live_block found;
        assert_true(live_map_insert(address, &block, false));
        assert_true(live_map_remove(address, &found));
        assert_same_block(&block, &found);
        assert_false(live_map_remove(address, &found));
    }
}

static void live_map_holds_eight_blocks_in_one_window(void **state)
{
    (void)state;
    uintptr_t window = TEST_BASE + (UINT64_C(1) << 30);
    for (uint32_t i = 0; i < 8; i++) {
        struct live_block block = make_block(8, i + 1);
        assert_true(live_map_insert(window + i * 8, &block, i % 2 == 0));
    }
    for (uint32_t i = 8; i-- > 0;) {
        struct live_block found;
        struct live_block block = make_block(8, i + 1);
        assert_true(live_map_remove(window + i * 8, &found));
        assert_same_block(&block, &found);
    }
}

static void live_map_tells_released_from_unknown(void **state)
{
    (void)state;
    uintptr_t address = TEST_BASE + (UINT64_C(2) << 30);
    uint64_t record;
    struct live_block block = make_block(100, 7);
    struct live_block found;
    assert_null(live_map_find(address, true, &record));
    live_map_insert(address, &block, false);
    assert_null(live_map_find(address, true, &record));
    assert_null(live_map_find(address + 8, false, &record));
    live_map_remove(address, &found);
    assert_non_null(live_map_find(address, true, &record));
    live_record_unpack(address, record, &found);
    assert_same_block(&block, &found);
    live_map_insert(address, &block, false);
    assert_non_null(live_map_find(address, false, &record));
    assert_null(live_map_find(UINTPTR_MAX - 7, false, &record));
    assert_false(live_map_insert(UINTPTR_MAX - 7, &block, false));
}

/* A heap of 16-byte granules with random sizes: every address that a malloc could give. */
#define MODEL_GRANULES 20000
struct model {
    uint32_t live_granules[MODEL_GRANULES]; /* 0: free; else length of the block begun here */
    struct live_block block[MODEL_GRANULES];
    uint64_t blocks;
    uint64_t bytes;
};

struct visited {
    const struct model *model;
    uint64_t blocks;
    uint64_t bytes;
};

static void visit_compare(void *context, uintptr_t address, const struct live_block *block)
{
    struct visited *visited = context;
    uintptr_t base = TEST_BASE + (UINT64_C(4) << 30);
    if (address < base || address >= base + MODEL_GRANULES * 16) {
        return; /* another test's */
    }
    size_t granule = (address - base) / 16;
    assert_int_not_equal(visited->model->live_granules[granule], 0);
    assert_same_block(&visited->model->block[granule], block);
    visited->blocks++;
    visited->bytes += block->size_bytes;
}

static void live_map_agrees_with_a_model_over_random_heaps(void **state)
{
    (void)state;
    static struct model model;
    uintptr_t base = TEST_BASE + (UINT64_C(4) << 30);
    srandom(1);
    for (int event = 0; event < 300000; event++) {
        size_t granule = (size_t)random() % MODEL_GRANULES;
        uintptr_t address = base + granule * 16;
        if (model.live_granules[granule] != 0) {
            struct live_block found;
            assert_true(live_map_remove(address, &found));
            assert_same_block(&model.block[granule], &found);
            model.blocks--;
            model.bytes -= found.size_bytes;
            model.live_granules[granule] = 0;
            continue;
        }
        /* Room up to the next live block, and not inside an earlier one. */
        uint32_t want = random() % 50 == 0 ? 4200 : 1 + (uint32_t)random() % 8;
        bool is_free = granule + want <= MODEL_GRANULES;
        for (size_t i = granule; is_free && i < granule + want; i++) {
            is_free = model.live_granules[i] == 0;
        }
        for (size_t back = 1; is_free && back <= 4200 && back <= granule; back++) {
            is_free = model.live_granules[granule - back] <= back;
        }
        if (!is_free) {
            continue;
        }
        struct live_block block = make_block(want * 16 - 8, (uint32_t)event % 1000 + 1);
        assert_true(live_map_insert(address, &block, event % 3 == 0));
        model.live_granules[granule] = want;
        model.block[granule] = block;
        model.blocks++;
        model.bytes += block.size_bytes;
    }
    struct visited visited = {.model = &model};
    live_map_visit(visit_compare, &visited);
    assert_true(model.blocks > 100);
    assert_int_equal(visited.blocks, model.blocks);
    assert_int_equal(visited.bytes, model.bytes);
    static const uint32_t ticks[] = {0, 1, 500, 1000, 1001, LIVE_RECORD_BIRTH_MAX};
    for (size_t i = 0; i < sizeof ticks / sizeof *ticks; i++) {
        uint64_t younger = 0;
        for (size_t granule = 0; granule < MODEL_GRANULES; granule++) {
            younger += model.live_granules[granule] != 0
                       && model.block[granule].birth_tick >= ticks[i];
        }
        visited = (struct visited){.model = &model};
        live_map_visit_since(ticks[i], visit_compare, &visited);
        assert_int_equal(visited.blocks, younger);
    }
}

/* Two threads own the two halves of each window, as two threads that share an arena of
 * glibc may own neighbouring blocks of 32 bytes. */
#define RACE_WINDOWS 4096
#define RACE_ROUNDS 60
static void *race(void *argument)
{
    uintptr_t base = TEST_BASE + (UINT64_C(8) << 30) + (uintptr_t)argument * 32;
    uintptr_t failures = 0;
    for (uint32_t round = 0; round < RACE_ROUNDS; round++) {
        for (uint32_t i = 0; i < RACE_WINDOWS; i++) {
            struct live_block block = make_block(24, i + 1 + round);
            failures += !live_map_insert(base + i * 64, &block, true);
        }
        for (uint32_t i = 0; i < RACE_WINDOWS; i++) {
            struct live_block found;
            failures += !live_map_remove(base + i * 64, &found) || found.stack != i + 1 + round;
        }
    }
    return (void *)failures;
}

static void live_map_loses_nothing_when_two_threads_share_windows(void **state)
{
    (void)state;
    pthread_t threads[2];
    for (uintptr_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, race, (void *)i), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        void *failures;
        pthread_join(threads[i], &failures);
        assert_int_equal((uintptr_t)failures, 0);
    }
}

/* Fills [start, start + bytes) with blocks of `step` bytes. */
static void fill(uintptr_t start, size_t bytes, size_t step)
{
    struct live_block block = make_block(16, 5);
    for (size_t at = 0; at < bytes; at += step) {
        assert_true(live_map_insert(start + at, &block, false));
    }
}

static uint32_t advised(uintptr_t address)
{
    return live_map_region_of(address)->advised;
}

static void live_map_asks_for_huge_pages_beside_a_dense_heap_alone(void **state)
{
    (void)state;
    uintptr_t piece = 16u << 20;
    uintptr_t dense = TEST_BASE + (UINT64_C(16) << 30) + piece;
    uintptr_t sparse = TEST_BASE + (UINT64_C(17) << 30) + piece;
    fill(dense, piece, 64);
    live_map_expect_growth(dense + piece - 64);
    assert_int_equal(advised(dense), 1u << 0 | 1u << 2);
    fill(sparse, piece, 1u << 20 | 4096u);
    live_map_expect_growth(sparse);
    assert_int_equal(advised(sparse), 0);
    live_map_expect_growth(0);
    live_map_expect_growth(UINTPTR_MAX);
    /* Two blocks in each window: the second plane is as dense. */
    fill(sparse, piece, 32);
    live_map_expect_growth(sparse);
    assert_int_equal(advised(sparse), 1u << 0 | 1u << 2 | 1u << 4 | 1u << 6);
    live_map_confine();
    fill(dense + piece, piece, 64);
    live_map_expect_growth(dense + piece);
    assert_int_equal(advised(dense), 1u << 0 | 1u << 2);
}

static void live_map_marks_pages_with_blocks(void **state)
{
    (void)state;
    uintptr_t page = TEST_BASE + (UINT64_C(18) << 30);
    struct live_block block = make_block(8, 9);
    struct live_block found;
    live_map_begin_marks();
    assert_false(live_map_is_marked(page));
    assert_true(live_map_insert(page, &block, false));
    assert_true(live_map_insert(page + 4088, &block, true));
    assert_true(live_map_is_marked(page + 2000));
    assert_false(live_map_is_marked(page + 4096));
    assert_false(live_map_is_marked(page - 1));
    assert_true(live_map_remove(page, &found));
    assert_true(live_map_is_marked(page));
    assert_true(live_map_remove(page + 4088, &found));
    assert_false(live_map_is_marked(page));
    assert_false(live_map_remove(page, &found)); /* of what is not there nothing is taken away */
    assert_true(live_map_insert(page, &block, false));
    assert_true(live_map_is_marked(page));
    /* More than the mark can count: it stays, rather than to lose a block. */
    for (uintptr_t at = 8; at < 4096; at += 8) {
        assert_true(live_map_insert(page + at, &block, false));
    }
    for (uintptr_t at = 8; at < 4096; at += 8) {
        assert_true(live_map_remove(page + at, &found));
    }
    assert_true(live_map_is_marked(page));
    assert_false(live_map_is_marked(UINTPTR_MAX));
    assert_false(live_map_insert(UINTPTR_MAX - 7, &block, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_map_keeps_every_field_at_its_limits),
        cmocka_unit_test(live_map_holds_eight_blocks_in_one_window),
        cmocka_unit_test(live_map_tells_released_from_unknown),
        cmocka_unit_test(live_map_agrees_with_a_model_over_random_heaps),
        cmocka_unit_test(live_map_loses_nothing_when_two_threads_share_windows),
        cmocka_unit_test(live_map_asks_for_huge_pages_beside_a_dense_heap_alone),
        cmocka_unit_test(live_map_marks_pages_with_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
