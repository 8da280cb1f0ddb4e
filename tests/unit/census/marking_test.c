/* Marking, on heaps made up of real memory. The nine cases and their classes are those of
 * Valgrind's manual, 4.2.9. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "census/marking.h"
#include "census/pinning.h"

enum { SITES = 64 };

/* A heap of equal slots; block i lies in slot i. */
struct heap {
    struct block_index index;
    struct findings findings;
    struct marking marking;
    char *memory;
    size_t slot_bytes;
    void *index_memory;
    size_t index_bytes;
    void *findings_memory;
    uintptr_t roots[8];
};

static void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

static void heap_new(struct heap *heap, uint32_t count, size_t slot_bytes)
{
    memset(heap, 0, sizeof *heap);
    heap->slot_bytes = slot_bytes;
    heap->memory = map(count * slot_bytes + 4096);
    uint32_t regions = (uint32_t)(count * slot_bytes / (64u << 20)) + 3;
    heap->index_bytes = block_index_bytes(count, regions);
    heap->index_memory = map(heap->index_bytes);
    heap->findings_memory = map(findings_bytes(SITES));
    block_index_init(&heap->index, heap->index_memory, count, regions);
    findings_init(&heap->findings, heap->findings_memory, SITES);
    heap->marking = (struct marking){.index = &heap->index,
                                     .findings = &heap->findings,
                                     .queue = calloc(count + 1, sizeof(uint32_t)),
                                     .alignment_bytes = 8};
}

static void heap_free(struct heap *heap)
{
    munmap(heap->index_memory, heap->index_bytes);
    munmap(heap->findings_memory, findings_bytes(SITES));
    free(heap->marking.queue);
}

static uintptr_t heap_add(struct heap *heap, size_t size_bytes, uint32_t stack)
{
    uintptr_t address = (uintptr_t)heap->memory + heap->index.count * heap->slot_bytes;
    assert_true(block_index_add(&heap->index, address, size_bytes, stack));
    return address;
}

static void point(uintptr_t from, size_t word, uintptr_t to)
{
    ((uintptr_t *)from)[word] = to;
}

static void heap_mark(struct heap *heap)
{
    const struct findings_holder global = {.kind = ARENA_HOLDER_GLOBAL};
    assert_true(block_index_finish(&heap->index));
    marking_start(&heap->marking);
    marking_scan_root(&heap->marking, (uintptr_t)heap->roots,
                      (uintptr_t)heap->roots + sizeof heap->roots, &global);
    marking_spread(&heap->marking);
    marking_possible(&heap->marking);
    marking_lost(&heap->marking);
    marking_count(&heap->marking);
}

static int class_of(const struct heap *heap, uint32_t block)
{
    return (int)marking_class(&heap->index.blocks[block]);
}

/* ---- the nine cases ------------------------------------------------------- */

enum link { LINK_NONE, LINK_START, LINK_INTERIOR };

static void expect_case(enum link to_a, bool has_a, enum link to_b, int class_a, int class_b)
{
    struct heap heap;
    heap_new(&heap, 2, 64);
    uintptr_t b = 0;
    uintptr_t a = 0;
    if (has_a) {
        a = heap_add(&heap, 64, 1);
    }
    b = heap_add(&heap, 64, 2);
    uintptr_t *holder = has_a ? (uintptr_t *)a : &heap.roots[3];
    if (has_a && to_a != LINK_NONE) {
        heap.roots[3] = to_a == LINK_START ? a : a + 8;
    }
    if (to_b != LINK_NONE) {
        *holder = to_b == LINK_START ? b : b + 8;
    }
    heap_mark(&heap);
    if (has_a) {
        assert_int_equal(class_of(&heap, 0), class_a);
    }
    assert_int_equal(class_of(&heap, has_a ? 1 : 0), class_b);
    heap_free(&heap);
}

static void classes_are_those_of_the_nine_cases(void **state)
{
    (void)state;
    expect_case(LINK_NONE, false, LINK_START, 0, ARENA_LEAK_REACHABLE);
    expect_case(LINK_START, true, LINK_START, ARENA_LEAK_REACHABLE, ARENA_LEAK_REACHABLE);
    expect_case(LINK_NONE, false, LINK_NONE, 0, ARENA_LEAK_DEFINITE);
    expect_case(LINK_NONE, true, LINK_START, ARENA_LEAK_DEFINITE, ARENA_LEAK_INDIRECT);
    expect_case(LINK_NONE, false, LINK_INTERIOR, 0, ARENA_LEAK_POSSIBLE);
    expect_case(LINK_START, true, LINK_INTERIOR, ARENA_LEAK_REACHABLE, ARENA_LEAK_POSSIBLE);
    expect_case(LINK_INTERIOR, true, LINK_START, ARENA_LEAK_POSSIBLE, ARENA_LEAK_POSSIBLE);
    expect_case(LINK_INTERIOR, true, LINK_INTERIOR, ARENA_LEAK_POSSIBLE, ARENA_LEAK_POSSIBLE);
    expect_case(LINK_NONE, true, LINK_INTERIOR, ARENA_LEAK_DEFINITE, ARENA_LEAK_INDIRECT);
}

/* ---- lost blocks ---------------------------------------------------------- */

static void cycle_has_one_definite_block(void **state)
{
    (void)state;
    for (size_t turn = 0; turn < 4; turn++) {
        struct heap heap;
        heap_new(&heap, 4, 64);
        for (size_t i = 0; i < 4; i++) {
            heap_add(&heap, 40, 1);
        }
        for (size_t i = 0; i < 4; i++) {
            point((uintptr_t)heap.memory + i * 64, 1,
                  (uintptr_t)heap.memory + (i * 3 + 1 + turn) % 4 * 64);
        }
        heap_mark(&heap);
        /* i -> 3i + 1 + turn is a cycle of four for even turns, two of two or so for others:
         * in any case each block has one pointer to it. */
        const struct arena_census_site *site = findings_site(&heap.findings, 1);
        size_t definite = site->blocks[ARENA_LEAK_DEFINITE];
        size_t cycles = 0;
        bool seen[4] = {false};
        for (size_t i = 0; i < 4; i++) {
            if (!seen[i]) {
                cycles++;
                for (size_t at = i; !seen[at]; at = (at * 3 + 1 + turn) % 4) {
                    seen[at] = true;
                }
            }
        }
        assert_int_equal(definite, cycles);
        assert_int_equal(site->blocks[ARENA_LEAK_INDIRECT], 4 - cycles);
        assert_int_equal(site->led_blocks, 4 - cycles);
        heap_free(&heap);
    }
}

/* head -> a cycle; every order of the addresses. */
static void what_leads_to_a_cycle_is_its_definite_block(void **state)
{
    (void)state;
    static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                          {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t i = 0; i < 6; i++) {
        struct heap heap;
        heap_new(&heap, 3, 64);
        for (uint32_t j = 0; j < 3; j++) {
            heap_add(&heap, 64, 1);
        }
        uintptr_t head = (uintptr_t)heap.memory + orders[i][0] * 64;
        uintptr_t left = (uintptr_t)heap.memory + orders[i][1] * 64;
        uintptr_t right = (uintptr_t)heap.memory + orders[i][2] * 64;
        point(head, 0, right);
        point(left, 0, right);
        point(right, 7, left);
        heap_mark(&heap);
        assert_int_equal(class_of(&heap, orders[i][0]), ARENA_LEAK_DEFINITE);
        assert_int_equal(class_of(&heap, orders[i][1]), ARENA_LEAK_INDIRECT);
        assert_int_equal(class_of(&heap, orders[i][2]), ARENA_LEAK_INDIRECT);
        heap_free(&heap);
    }
}

static void million_lost_blocks_in_a_list_are_one_definite_leak(void **state)
{
    (void)state;
    struct heap heap;
    heap_new(&heap, 1000000, 32);
    for (uint32_t i = 0; i < 1000000; i++) {
        uintptr_t block = heap_add(&heap, 24, 1);
        if (i > 0) {
            point(block, 0, block - 32); /* against the order of addresses */
        }
    }
    heap_mark(&heap);
    const struct arena_census_site *site = findings_site(&heap.findings, 1);
    assert_int_equal(site->blocks[ARENA_LEAK_DEFINITE], 1);
    assert_int_equal(site->blocks[ARENA_LEAK_INDIRECT], 999999);
    assert_int_equal(site->led_bytes, 999999u * 24);
    assert_int_equal(class_of(&heap, 999999), ARENA_LEAK_DEFINITE);
    heap_free(&heap);
}

/* ---- details -------------------------------------------------------------- */

static void block_of_no_bytes_is_held_by_its_address_alone(void **state)
{
    (void)state;
    struct heap heap;
    heap_new(&heap, 3, 64);
    heap.roots[0] = heap_add(&heap, 0, 1);
    heap.roots[1] = heap_add(&heap, 0, 1) + 1;
    heap.roots[2] = heap_add(&heap, 40, 1) + 40; /* just behind the block */
    heap_mark(&heap);
    assert_int_equal(class_of(&heap, 0), ARENA_LEAK_REACHABLE);
    assert_int_equal(class_of(&heap, 1), ARENA_LEAK_DEFINITE);
    assert_int_equal(class_of(&heap, 2), ARENA_LEAK_DEFINITE);
    heap_free(&heap);
}

static void possible_block_becomes_reachable_by_a_later_start_pointer(void **state)
{
    (void)state;
    struct heap heap;
    heap_new(&heap, 2, 64);
    uintptr_t held = heap_add(&heap, 64, 1);
    uintptr_t holder = heap_add(&heap, 64, 2);
    heap.roots[0] = held + 16;
    heap.roots[5] = holder;
    point(holder, 7, held);
    heap_mark(&heap);
    assert_int_equal(class_of(&heap, 0), ARENA_LEAK_REACHABLE);
    heap_free(&heap);
}

static void interior_pointers_hold_when_asked(void **state)
{
    (void)state;
    struct heap heap;
    heap_new(&heap, 1, 64);
    heap.roots[0] = heap_add(&heap, 64, 1) + 33;
    heap.marking.interior_is_start = true;
    heap_mark(&heap);
    assert_int_equal(class_of(&heap, 0), ARENA_LEAK_REACHABLE);
    heap_free(&heap);
}

static void unaligned_pointers_count_only_when_asked(void **state)
{
    (void)state;
    for (uint32_t alignment = 1; alignment <= 8; alignment *= 2) {
        struct heap heap;
        heap_new(&heap, 1, 64);
        uintptr_t block = heap_add(&heap, 64, 1);
        memcpy((char *)heap.roots + 9, &block, sizeof block);
        heap.marking.alignment_bytes = alignment;
        heap_mark(&heap);
        assert_int_equal(class_of(&heap, 0),
                         alignment == 1 ? ARENA_LEAK_REACHABLE : ARENA_LEAK_DEFINITE);
        heap_free(&heap);
    }
}

static void ignored_block_holds_what_it_points_to(void **state)
{
    (void)state;
    struct heap heap;
    heap_new(&heap, 2, 64);
    uintptr_t ignored = heap_add(&heap, 64, 1);
    point(ignored, 2, heap_add(&heap, 64, 2));
    marking_ignore(&heap.index.blocks[0]);
    heap_mark(&heap);
    assert_int_equal(class_of(&heap, 0), ARENA_LEAK_IGNORED);
    assert_int_equal(class_of(&heap, 1), ARENA_LEAK_REACHABLE);
    heap_free(&heap);
}

static void heuristics_take_usual_interior_pointers_as_starts(void **state)
{
    (void)state;
    struct heap heap;
    heap_new(&heap, 5, 128);
    uintptr_t string = heap_add(&heap, 24 + 20 + 1, 1);
    uintptr_t sized = heap_add(&heap, 72, 1);
    uintptr_t array = heap_add(&heap, 8 + 5 * 16, 1);
    uintptr_t not_string = heap_add(&heap, 24 + 20 + 1, 1);
    uintptr_t not_array = heap_add(&heap, 8 + 5 * 16, 1);
    point(string, 0, 7);  /* length */
    point(string, 1, 20); /* capacity */
    point(sized, 0, 64);
    point(array, 0, 5);
    point(not_string, 0, 7);
    point(not_string, 1, 19);
    point(not_array, 0, 7);
    heap.roots[0] = string + 24;
    heap.roots[1] = sized + 8;
    heap.roots[2] = array + 8;
    heap.roots[3] = not_string + 24;
    heap.roots[4] = not_array + 8;
    heap.marking.heuristics = MARKING_HEURISTICS_ALL;
    heap_mark(&heap);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(class_of(&heap, i),
                         i < 3 ? ARENA_LEAK_REACHABLE : ARENA_LEAK_POSSIBLE);
    }
    heap_free(&heap);
}

static void large_block_is_found_at_its_far_end(void **state)
{
    (void)state;
    struct heap heap;
    heap_new(&heap, 2, (size_t)200 << 20);
    uintptr_t large = heap_add(&heap, (size_t)200 << 20, 1);
    uintptr_t next = heap_add(&heap, 100, 1);
    assert_true(block_index_finish(&heap.index));
    assert_int_equal(block_index_find(&heap.index, large + ((size_t)150 << 20)), 0);
    assert_int_equal(block_index_find(&heap.index, next - 1), 0);
    assert_int_equal(block_index_find(&heap.index, next), 1);
    assert_int_equal(block_index_find(&heap.index, next + 100), BLOCK_NONE);
    assert_int_equal(block_index_find(&heap.index, large - 1), BLOCK_NONE);
    assert_int_equal(block_index_find(&heap.index, UINTPTR_MAX), BLOCK_NONE);
    heap_free(&heap);
}

static void empty_index_finds_nothing(void **state)
{
    (void)state;
    struct heap heap;
    heap_new(&heap, 1, 64);
    assert_true(block_index_finish(&heap.index));
    assert_int_equal(block_index_find(&heap.index, 0), BLOCK_NONE);
    assert_int_equal(block_index_find(&heap.index, UINTPTR_MAX), BLOCK_NONE);
    assert_int_equal(block_index_find(&heap.index, (uintptr_t)&heap), BLOCK_NONE);
    heap_free(&heap);
}

static void edges_say_who_held_first(void **state)
{
    (void)state;
    struct heap heap;
    heap_new(&heap, 3, 64);
    uintptr_t head = heap_add(&heap, 64, 1);
    uintptr_t second = heap_add(&heap, 32, 2);
    uintptr_t third = heap_add(&heap, 32, 2);
    heap.roots[6] = head;
    point(head, 0, second);
    point(head, 1, third);
    heap_mark(&heap);
    size_t found = 0;
    for (size_t i = 0; i < FINDINGS_EDGES_MAX; i++) {
        const struct arena_census_edge *edge = &heap.findings.edges[i];
        if (edge->kind == ARENA_HOLDER_GLOBAL && edge->blocks != 0) {
            assert_int_equal(edge->holder, (uintptr_t)&heap.roots[6]);
            assert_int_equal(edge->stack, 1);
            assert_int_equal(edge->bytes, 64);
            found++;
        } else if (edge->kind == ARENA_HOLDER_SITE && edge->blocks != 0) {
            assert_int_equal(edge->holder, 1);
            assert_int_equal(edge->stack, 2);
            assert_int_equal(edge->blocks, 2);
            assert_int_equal(edge->bytes, 64);
            found++;
        }
    }
    assert_int_equal(found, 2);
    heap_free(&heap);
}

static void mostly_empty_pages_count_for_who_keeps_them(void **state)
{
    (void)state;
    struct heap heap;
    heap_new(&heap, 4, 4096);
    heap_add(&heap, 100, 1);
    heap_add(&heap, 4096, 2);
    heap_add(&heap, 1000, 1);
    heap_add(&heap, 2000, 3);
    assert_true(block_index_finish(&heap.index));
    pinning_count(&heap.index, &heap.findings);
    assert_int_equal(findings_site(&heap.findings, 1)->pinned_pages, 2);
    assert_int_equal(findings_site(&heap.findings, 1)->pinned_bytes, 3996 + 3096);
    assert_int_equal(findings_site(&heap.findings, 2)->pinned_pages, 0);
    assert_int_equal(findings_site(&heap.findings, 3)->pinned_pages, 0);
    heap_free(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_those_of_the_nine_cases),
        cmocka_unit_test(cycle_has_one_definite_block),
        cmocka_unit_test(what_leads_to_a_cycle_is_its_definite_block),
        cmocka_unit_test(million_lost_blocks_in_a_list_are_one_definite_leak),
        cmocka_unit_test(block_of_no_bytes_is_held_by_its_address_alone),
        cmocka_unit_test(possible_block_becomes_reachable_by_a_later_start_pointer),
        cmocka_unit_test(interior_pointers_hold_when_asked),
        cmocka_unit_test(unaligned_pointers_count_only_when_asked),
        cmocka_unit_test(ignored_block_holds_what_it_points_to),
        cmocka_unit_test(heuristics_take_usual_interior_pointers_as_starts),
        cmocka_unit_test(large_block_is_found_at_its_far_end),
        cmocka_unit_test(empty_index_finds_nothing),
        cmocka_unit_test(edges_say_who_held_first),
        cmocka_unit_test(mostly_empty_pages_count_for_who_keeps_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
