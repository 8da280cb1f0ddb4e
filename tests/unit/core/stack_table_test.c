#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test_arena.h"

#include "core/stack_table.h"

#define DEPTH_MAX 64

struct fixture {
    struct arena arena;
    struct arena_image *image;
    struct stack_table table;
};

static struct fixture fixture_new(uint64_t arena_bytes)
{
    struct fixture fixture;
    fixture.arena = test_arena_new(arena_bytes);
    fixture.image = test_arena_image_new(&fixture.arena);
    stack_table_open(&fixture.table, &fixture.arena, fixture.image);
    return fixture;
}

/* Hashes as the unwinder does: cumulative from the outermost frame inwards. */
static void frames_hash(struct capture_frame *frames, uint32_t depth)
{
    uint64_t hash = UINT64_C(0x243f6a8885a308d3);
    for (uint32_t i = depth; i-- > 0;) {
        hash = (hash ^ frames[i].pc) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
        frames[i].hash = hash | (hash == 0);
    }
}

/* Stack number `number`: its outer frames are shared by many, as those of a program are. */
static uint32_t frames_make(struct capture_frame *frames, uint32_t number)
{
    uint32_t depth = 5 + number % 20;
    for (uint32_t i = 0; i < depth; i++) {
        uint32_t from_outside = depth - 1 - i;
        uint32_t part = from_outside < 2 ? 0 : from_outside < 4 ? number / 4096 : number;
        frames[i].pc = UINT64_C(0x7f0000401000) + from_outside * UINT64_C(0x100000000) + part * 16;
    }
    frames_hash(frames, depth);
    return depth;
}

static uint32_t insert_number(struct stack_table *table, uint32_t number)
{
    struct capture_frame frames[DEPTH_MAX];
    uint32_t depth = frames_make(frames, number);
    return stack_table_insert(table, frames, depth, 0, 0);
}

static uint32_t find_number(struct stack_table *table, uint32_t number)
{
    struct capture_frame frames[DEPTH_MAX];
    frames_make(frames, number);
    return stack_table_find(table, frames[0].hash);
}

/* True if `id` reads back as stack `number`, frame by frame. */
static bool reads_as_number(const struct fixture *fixture, uint32_t id, uint32_t number)
{
    struct capture_frame frames[DEPTH_MAX];
    uint64_t pc[DEPTH_MAX];
    uint32_t depth = frames_make(frames, number);
    uint32_t count = stack_table_read(&fixture->arena, fixture->image, id, pc, DEPTH_MAX, NULL, NULL);
    bool is_same = count == depth;
    for (uint32_t i = 0; is_same && i < depth; i++) {
        is_same = pc[i] == frames[i].pc;
    }
    return is_same;
}

static void stack_table_returns_same_id_for_equal_frames(void **state)
{
    (void)state;
    struct fixture f = fixture_new(TEST_ARENA_BYTES);
    uint32_t id = insert_number(&f.table, 7);
    assert_int_not_equal(id, 0);
    assert_int_equal(insert_number(&f.table, 7), id);
    assert_int_equal(find_number(&f.table, 7), id);
    assert_int_equal(find_number(&f.table, 8), 0);
    assert_int_not_equal(insert_number(&f.table, 8), id);
    test_arena_free(&f.arena);
}

static void stack_table_reads_back_what_was_interned(void **state)
{
    (void)state;
    struct fixture f = fixture_new(TEST_ARENA_BYTES);
    struct capture_frame frames[3] = {{.pc = 0x1111}, {.pc = 0xffffffffff600123}, {.pc = 0x3333}};
    frames_hash(frames, 3);
    uint32_t id = stack_table_insert(&f.table, frames, 3, ARENA_STACK_CUT, 42);
    uint64_t pc[3];
    uint32_t flags;
    uint32_t epoch;
    assert_int_equal(stack_table_read(&f.arena, f.image, id, pc, 3, &flags, &epoch), 3);
    assert_int_equal(pc[0], 0x1111);
    assert_int_equal(pc[1], 0xffffffffff600123);
    assert_int_equal(pc[2], 0x3333);
    assert_int_equal(flags, ARENA_STACK_CUT);
    assert_int_equal(epoch, 42);
    /* Less room: the innermost frames. More: no more frames. */
    assert_int_equal(stack_table_read(&f.arena, f.image, id, pc, 2, NULL, NULL), 2);
    uint64_t more[4];
    assert_int_equal(stack_table_read(&f.arena, f.image, id, more, 4, NULL, NULL), 3);
    assert_int_equal(stack_table_read(&f.arena, f.image, id + 1, pc, 3, NULL, NULL), 0);
    assert_int_equal(stack_table_end(f.image), id + 1);
    test_arena_free(&f.arena);
}

static void stack_table_shares_nodes_of_outer_frames(void **state)
{
    (void)state;
    struct fixture f = fixture_new(TEST_ARENA_BYTES);
    struct capture_frame frames[4] = {{.pc = 1}, {.pc = 2}, {.pc = 3}, {.pc = 4}};
    frames_hash(frames, 4);
    assert_int_not_equal(stack_table_insert(&f.table, frames, 4, 0, 0), 0);
    assert_int_equal(atomic_load(&f.image->node_next), 1 + 4);
    frames[0].pc = 9; /* another innermost frame: one more node */
    frames_hash(frames, 4);
    assert_int_not_equal(stack_table_insert(&f.table, frames, 4, 0, 0), 0);
    assert_int_equal(atomic_load(&f.image->node_next), 1 + 5);
    /* An outer part as a stack of its own: no node, but an id. */
    uint32_t outer = stack_table_insert(&f.table, frames + 1, 3, 0, 0);
    assert_int_equal(atomic_load(&f.image->node_next), 1 + 5);
    assert_int_equal(outer, 3);
    frames[3].pc = 5; /* another outermost frame: nothing in common */
    frames_hash(frames, 4);
    assert_int_not_equal(stack_table_insert(&f.table, frames, 4, 0, 0), 0);
    assert_int_equal(atomic_load(&f.image->node_next), 1 + 9);
    test_arena_free(&f.arena);
}

static void stack_table_refuses_stacks_without_frames(void **state)
{
    (void)state;
    struct fixture f = fixture_new(TEST_ARENA_BYTES);
    struct capture_frame frame = {.pc = 1, .hash = 1};
    assert_int_equal(stack_table_insert(&f.table, &frame, 0, 0, 0), 0);
    assert_int_equal(stack_table_insert(&f.table, &frame, 65536, 0, 0), 0);
    assert_int_equal(stack_table_end(f.image), 1);
    test_arena_free(&f.arena);
}

static void stack_table_keeps_ids_while_it_grows(void **state)
{
    (void)state;
    enum { STACKS = 100000 };
    struct fixture f = fixture_new(TEST_ARENA_BYTES);
    static uint32_t ids[STACKS];
    for (uint32_t i = 0; i < STACKS; i++) {
        ids[i] = insert_number(&f.table, i);
        assert_int_equal(ids[i], i + 1);
    }
    assert_true(atomic_load(&f.image->stacks.generations) > 5);
    /* A second handle, as a process that lagged behind has it. */
    struct stack_table other;
    stack_table_open(&other, &f.arena, f.image);
    for (uint32_t i = 0; i < STACKS; i++) {
        assert_int_equal(find_number(&f.table, i), ids[i]);
        assert_int_equal(find_number(&other, i), ids[i]);
        assert_true(reads_as_number(&f, ids[i], i));
    }
    /* Being found moved them up, which may have made one more table: after a second round
     * the newest holds each of them once. */
    for (uint32_t i = 0; i < STACKS; i++) {
        assert_int_equal(find_number(&f.table, i), ids[i]);
    }
    uint32_t newest = atomic_load(&f.image->stacks.generations) - 1;
    assert_int_equal(atomic_load(&f.image->stacks.used[newest]), STACKS);
    test_arena_free(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stack_table_returns_same_id_for_equal_frames),
        cmocka_unit_test(stack_table_reads_back_what_was_interned),
        cmocka_unit_test(stack_table_shares_nodes_of_outer_frames),
        cmocka_unit_test(stack_table_refuses_stacks_without_frames),
        cmocka_unit_test(stack_table_keeps_ids_while_it_grows),
    };
    return cmocka_run_group_tests_name("stack_table", tests, NULL, NULL);
}
