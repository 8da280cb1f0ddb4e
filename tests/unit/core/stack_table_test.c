#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test_arena.h"

#include "core/stack_cache.h"
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

static void stack_table_puts_new_frames_on_a_known_node(void **state)
{
    (void)state;
    struct fixture f = fixture_new(TEST_ARENA_BYTES);
    struct capture_frame whole[5] = {{.pc = 11}, {.pc = 12}, {.pc = 13}, {.pc = 14}, {.pc = 15}};
    struct capture_frame other[5] = {{.pc = 21}, {.pc = 22}, {.pc = 13}, {.pc = 14}, {.pc = 15}};
    const uint64_t expected[5] = {21, 22, 13, 14, 15};
    const struct stack_traits traits = {.depth = 5, .flags = 0, .epoch = 7};
    uint64_t pc[5];
    uint32_t epoch;
    frames_hash(whole, 5);
    frames_hash(other, 5);
    uint32_t first = stack_table_insert(&f.table, whole, 5, 0, 7);
    uint32_t parent = stack_table_node(&f.table, first, 2);
    assert_int_not_equal(parent, 0);
    assert_int_equal(stack_table_node(&f.table, first, 5), 0);

    uint32_t nodes = atomic_load(&f.image->node_next);
    uint32_t id = stack_table_insert_above(&f.table, other, 2, parent, other[0].hash, &traits);
    assert_int_equal(id, first + 1);
    assert_int_equal(atomic_load(&f.image->node_next), nodes + 2);
    assert_int_equal(stack_table_read(&f.arena, f.image, id, pc, 5, NULL, &epoch), 5);
    assert_memory_equal(pc, expected, sizeof pc);
    assert_int_equal(epoch, 7);
    assert_int_equal(other[0].node, stack_table_node(&f.table, id, 0));
    assert_int_equal(other[1].node, stack_table_node(&f.table, id, 1));

    /* The same again, by the shorter way and by the longer one. */
    assert_int_equal(stack_table_insert_above(&f.table, other, 2, parent, other[0].hash, &traits), id);
    assert_int_equal(stack_table_insert(&f.table, other, 5, 0, 7), id);
    assert_int_equal(atomic_load(&f.image->node_next), nodes + 2);
    test_arena_free(&f.arena);
}

static void stack_table_ends_a_stack_at_a_known_node(void **state)
{
    (void)state;
    struct fixture f = fixture_new(TEST_ARENA_BYTES);
    struct capture_frame frames[4] = {{.pc = 1}, {.pc = 2}, {.pc = 3}, {.pc = 4}};
    const uint64_t expected[3] = {2, 3, 4};
    const struct stack_traits traits = {.depth = 3, .flags = 0, .epoch = 0};
    uint64_t pc[4];
    frames_hash(frames, 4);
    uint32_t first = stack_table_insert(&f.table, frames, 4, 0, 0);
    uint32_t leaf = stack_table_node(&f.table, first, 1);
    uint32_t id = stack_table_insert_above(&f.table, NULL, 0, leaf, frames[1].hash, &traits);
    assert_int_equal(id, first + 1);
    assert_int_equal(stack_table_insert_above(&f.table, NULL, 0, leaf, frames[1].hash, &traits), id);
    assert_int_equal(stack_table_read(&f.arena, f.image, id, pc, 4, NULL, NULL), 3);
    assert_memory_equal(pc, expected, sizeof expected);
    test_arena_free(&f.arena);
}

static void stack_cache_begins_when_there_are_many_stacks(void **state)
{
    (void)state;
    struct stack_cache cache = {.words = NULL};
    const struct stack_cache_key key = {UINT64_C(0x123456789abcdef1), 77};
    stack_cache_put(&cache, key, STACK_CACHE_FIRST_ID - 1);
    assert_false(stack_cache_is_on(&cache));
    assert_int_equal(stack_cache_find(&cache, key), 0);
    stack_cache_put(&cache, key, STACK_CACHE_FIRST_ID);
    assert_true(stack_cache_is_on(&cache));
    assert_int_equal(stack_cache_find(&cache, key), STACK_CACHE_FIRST_ID);
    stack_cache_close(&cache);
    assert_false(stack_cache_is_on(&cache));
    assert_int_equal(stack_cache_find(&cache, key), 0);
}

/* `per_group` stacks in a row are of one group. */
static struct stack_cache_key cache_key(uint32_t number, uint32_t per_group)
{
    return (struct stack_cache_key){.hash = (number + 1) * UINT64_C(0xff51afd7ed558ccd),
                                    .group =
                                        (number / per_group + 1) * UINT64_C(0xc4ceb9fe1a85ec53)};
}

static void stack_cache_never_answers_for_another_hash(void **state)
{
    (void)state;
    enum { HASHES = 300000 };
    static const uint32_t per_group[] = {1, 3, 8, 50, HASHES};
    for (size_t g = 0; g < sizeof per_group / sizeof *per_group; g++) {
        struct stack_cache cache = {.words = NULL};
        uint32_t found = 0;
        for (uint32_t i = 0; i < HASHES; i++) {
            stack_cache_put(&cache, cache_key(i, per_group[g]), STACK_CACHE_FIRST_ID + i);
        }
        for (uint32_t i = 0; i < 2 * HASHES; i++) {
            uint32_t id = stack_cache_find(&cache, cache_key(i, per_group[g]));
            assert_true(id == 0 || (i < HASHES && id == STACK_CACHE_FIRST_ID + i));
            found += id != 0;
        }
        assert_true(found > HASHES / 3); /* the rest was replaced by others */
        stack_cache_close(&cache);
    }
}

static void stack_cache_keeps_a_group_larger_than_a_line(void **state)
{
    (void)state;
    enum { STACKS = 1000 };
    struct stack_cache cache = {.words = NULL};
    for (uint32_t i = 0; i < STACKS; i++) {
        stack_cache_put(&cache, cache_key(i, STACKS), STACK_CACHE_FIRST_ID + i);
    }
    uint32_t found = 0;
    for (uint32_t i = 0; i < STACKS; i++) {
        found += stack_cache_find(&cache, cache_key(i, STACKS)) == STACK_CACHE_FIRST_ID + i;
    }
    assert_true(found > STACKS - STACKS / 50); /* a few have replaced one another */
    assert_false(stack_cache_has_room(&cache, cache_key(0, STACKS)));
    assert_true(stack_cache_has_room(&cache, cache_key(STACKS, STACKS)));
    stack_cache_close(&cache);
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
    assert_true(atomic_load(&f.image->stacks.generations) > 3);
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

struct worker {
    struct fixture *fixture;
    uint32_t first;
    uint32_t step;
    uint32_t count;
    uint32_t *ids; /* by stack number */
};

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    struct stack_table *table = &worker->fixture->table;
    for (uint32_t i = 0, number = worker->first; i < worker->count; i++, number += worker->step) {
        uint32_t id = find_number(table, number);
        worker->ids[number] = id != 0 ? id : insert_number(table, number);
    }
    return NULL;
}

enum { THREADS = 4, THREAD_STACKS = 8000 };

static void stack_table_gives_one_id_to_threads_with_equal_stacks(void **state)
{
    (void)state;
    struct fixture f = fixture_new(TEST_ARENA_BYTES);
    static uint32_t ids[THREADS][THREAD_STACKS];
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){&f, 0, 1, THREAD_STACKS, ids[i]};
        assert_int_equal(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    uint32_t twice = 0;
    for (uint32_t number = 0; number < THREAD_STACKS; number++) {
        for (uint32_t i = 0; i < THREADS; i++) {
            assert_true(reads_as_number(&f, ids[i][number], number));
            twice += ids[i][number] != ids[0][number];
        }
    }
    /* Only those inserted while another thread made a larger table may be there twice. */
    assert_true(twice < THREAD_STACKS / 20);
    test_arena_free(&f.arena);
}

static void stack_table_keeps_threads_with_different_stacks_apart(void **state)
{
    (void)state;
    struct fixture f = fixture_new(TEST_ARENA_BYTES);
    static uint32_t ids[THREADS * THREAD_STACKS];
    static uint8_t is_taken[ARENA_STACKS_MAX];
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){&f, i, THREADS, THREAD_STACKS, ids};
        assert_int_equal(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (uint32_t number = 0; number < THREADS * THREAD_STACKS; number++) {
        assert_true(reads_as_number(&f, ids[number], number));
        assert_int_equal(find_number(&f.table, number), ids[number]);
        assert_false(is_taken[ids[number]]);
        is_taken[ids[number]] = 1;
    }
    test_arena_free(&f.arena);
}

static volatile sig_atomic_t handler_inserts;
static struct fixture *handler_fixture;

static void handler_insert(int number)
{
    (void)number;
    /* Overlaps with what the interrupted code inserts. */
    for (uint32_t i = 0; i < 8; i++) {
        insert_number(&handler_fixture->table, (uint32_t)handler_inserts * 5 + i);
    }
    handler_inserts++;
}

static void stack_table_lets_a_signal_handler_insert_at_any_instruction(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* it puts handlers off to the next call into libc: nothing would be interrupted */
#endif
    struct fixture f = fixture_new(TEST_ARENA_BYTES);
    handler_fixture = &f;
    handler_inserts = 0;
    struct sigaction action = {.sa_handler = handler_insert, .sa_flags = SA_RESTART};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    struct itimerval often = {{0, 50}, {0, 50}};
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    uint32_t number = 0;
    for (; number < 20000 || (handler_inserts < 50 && number < 400000); number++) {
        assert_int_not_equal(insert_number(&f.table, number), 0);
    }
    struct itimerval never = {{0, 0}, {0, 0}};
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    signal(SIGALRM, SIG_DFL);
    assert_true(handler_inserts >= 50);
    for (uint32_t i = 0; i < number; i++) {
        assert_true(reads_as_number(&f, find_number(&f.table, i), i));
    }
    test_arena_free(&f.arena);
}

static void stack_table_survives_the_killing_of_children_that_insert(void **state)
{
    (void)state;
    enum { ROUNDS = 60, PER_ROUND = 400 };
    struct fixture f = fixture_new(TEST_ARENA_BYTES);
    static uint32_t ids[ROUNDS * PER_ROUND];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t before = atomic_load(&f.image->stack_next);
        pid_t child = fork();
        if (child == 0) {
            for (uint32_t number = round * PER_ROUND;; number++) {
                insert_number(&f.table, number % 300000);
            }
        }
        assert_true(child > 0);
        while (atomic_load(&f.image->stack_next) < before + 20 + round) {
            usleep(10); /* it is at work now */
        }
        /* The parent goes on in the same table, then the child dies somewhere. */
        for (uint32_t i = round * PER_ROUND; i < (round + 1) * PER_ROUND; i++) {
            ids[i] = insert_number(&f.table, i);
            assert_int_not_equal(ids[i], 0);
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        for (uint32_t i = 0; i < (round + 1) * PER_ROUND; i++) {
            assert_true(reads_as_number(&f, ids[i], i));
            assert_true(reads_as_number(&f, find_number(&f.table, i), i));
        }
    }
    /* Ids lost to a death: at most one for each. */
    uint32_t unknown = 0;
    uint64_t pc[DEPTH_MAX];
    for (uint32_t id = 1; id < stack_table_end(f.image); id++) {
        unknown += stack_table_read(&f.arena, f.image, id, pc, DEPTH_MAX, NULL, NULL) == 0;
    }
    assert_true(unknown <= ROUNDS);
    test_arena_free(&f.arena);
}

static void stack_table_takes_up_a_table_whose_maker_was_killed(void **state)
{
    (void)state;
    struct fixture f = fixture_new(TEST_ARENA_BYTES);
    for (uint32_t i = 0; i < 100; i++) {
        insert_number(&f.table, i);
    }
    /* As it is between making a table and counting it. */
    uint32_t generations = atomic_load(&f.image->stacks.generations);
    uint64_t made = arena_extent_new(&f.arena, UINT64_C(8) << (ARENA_STACK_HASH_FIRST_LOG2 + ARENA_HASH_GROWTH_LOG2(generations)));
    atomic_store(&f.image->stacks.table[generations], made);
    for (uint32_t i = 100; i < 2000; i++) {
        insert_number(&f.table, i);
    }
    assert_true(atomic_load(&f.image->stacks.generations) > generations);
    assert_int_equal(atomic_load(&f.image->stacks.table[generations]), made);
    for (uint32_t i = 0; i < 2000; i++) {
        assert_true(reads_as_number(&f, find_number(&f.table, i), i));
    }
    test_arena_free(&f.arena);
}

static void stack_table_returns_0_when_the_arena_is_full(void **state)
{
    (void)state;
    struct fixture f = fixture_new(UINT64_C(4) << 20);
    uint32_t number = 0;
    uint32_t id = 0;
    while ((id = insert_number(&f.table, number)) != 0) {
        assert_true(reads_as_number(&f, id, number));
        assert_true(++number < 1000000);
    }
    assert_true(number > 1000);
    /* What is in stays in, and what is not stays out. */
    for (uint32_t i = 0; i < number; i++) {
        assert_true(reads_as_number(&f, find_number(&f.table, i), i));
    }
    assert_int_equal(insert_number(&f.table, number + 12345), 0);
    test_arena_free(&f.arena);
}

static void stack_table_returns_0_when_ids_are_used_up(void **state)
{
    (void)state;
    struct fixture f = fixture_new(TEST_ARENA_BYTES);
    atomic_store(&f.image->stack_next, ARENA_STACKS_MAX - 1);
    assert_int_equal(insert_number(&f.table, 1), ARENA_STACKS_MAX - 1);
    assert_int_equal(insert_number(&f.table, 2), 0);
    assert_true(reads_as_number(&f, ARENA_STACKS_MAX - 1, 1));
    assert_int_equal(stack_table_end(f.image), ARENA_STACKS_MAX);
    atomic_store(&f.image->stack_next, 1);
    atomic_store(&f.image->node_next, ARENA_NODES_MAX - 3);
    assert_int_equal(insert_number(&f.table, 3 * 4096 + 7), 0);
    assert_int_equal(insert_number(&f.table, 1), ARENA_STACKS_MAX - 1);
    test_arena_free(&f.arena);
}

/* Words that damage is made of: small numbers, plausible offsets, anything. */
static uint64_t hostile_word(void)
{
    uint64_t value = (uint64_t)random() << 33 ^ (uint64_t)random() << 11 ^ (uint64_t)random();
    switch (random() % 5) {
    case 0:
        return value;
    case 1:
        return value % TEST_ARENA_BYTES & ~UINT64_C(7);
    case 2:
        return value % 64 * ARENA_EXTENT_BYTES;
    case 3:
        return value % 70000;
    default:
        return ~UINT64_C(0) << value % 64;
    }
}

static void stack_table_readers_survive_hostile_contents(void **state)
{
    (void)state;
    enum { STACKS = 3000 };
    srandom(3);
    for (int round = 0; round < 100; round++) {
        struct fixture f = fixture_new(UINT64_C(64) << 20);
        for (uint32_t i = 0; i < STACKS; i++) {
            insert_number(&f.table, i);
        }
        uint64_t *words = (uint64_t *)(void *)f.image;
        uint64_t used = atomic_load(&f.arena.header->used_bytes);
        size_t first = (size_t)((char *)f.image - (char *)f.arena.header) / sizeof *words;
        size_t image_words = sizeof *f.image / sizeof *words;
        size_t words_in_use = used / sizeof *words - first;
        for (int i = 0; i < 3000; i++) {
            size_t within = i % 2 == 0 ? image_words : words_in_use;
            words[(size_t)random() % within] = hostile_word();
        }
        /* The directories' first entries are all that is in use: hit them often. */
        atomic_store(&f.image->stack_chunk[0], hostile_word());
        if (round % 2 == 0) {
            atomic_store(&f.image->node_chunk[0], hostile_word());
        }
        uint64_t pc[DEPTH_MAX];
        uint32_t end = stack_table_end(f.image);
        assert_true(end <= ARENA_STACKS_MAX);
        for (uint32_t id = 0; id < 5000; id++) {
            assert_true(stack_table_read(&f.arena, f.image, id, pc, DEPTH_MAX, NULL, NULL) <= DEPTH_MAX);
        }
        assert_int_equal(stack_table_read(&f.arena, f.image, UINT32_MAX, pc, 1, NULL, NULL), 0);
        /* The program goes on, too. */
        for (uint32_t i = 0; i < 500; i++) {
            insert_number(&f.table, STACKS + i);
            find_number(&f.table, i);
        }
        test_arena_free(&f.arena);
    }
}

static void stack_table_reader_refuses_cycles(void **state)
{
    (void)state;
    struct fixture f = fixture_new(TEST_ARENA_BYTES);
    uint32_t id = insert_number(&f.table, 5);
    uint64_t pc[DEPTH_MAX];
    uint64_t offset = atomic_load(&f.image->node_chunk[0]);
    struct arena_node *nodes = arena_at(&f.arena, offset, 64 * sizeof *nodes);
    nodes[4].parent = 9;
    assert_int_equal(stack_table_read(&f.arena, f.image, id, pc, DEPTH_MAX, NULL, NULL), 0);
    nodes[4].parent = 4;
    assert_int_equal(stack_table_read(&f.arena, f.image, id, pc, DEPTH_MAX, NULL, NULL), 0);
    nodes[4].parent = 0; /* shorter than it says */
    assert_int_equal(stack_table_read(&f.arena, f.image, id, pc, DEPTH_MAX, NULL, NULL), 0);
    nodes[4].parent = 3;
    assert_true(reads_as_number(&f, id, 5));
    test_arena_free(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stack_table_returns_same_id_for_equal_frames),
        cmocka_unit_test(stack_table_reads_back_what_was_interned),
        cmocka_unit_test(stack_table_shares_nodes_of_outer_frames),
        cmocka_unit_test(stack_table_refuses_stacks_without_frames),
        cmocka_unit_test(stack_table_puts_new_frames_on_a_known_node),
        cmocka_unit_test(stack_table_ends_a_stack_at_a_known_node),
        cmocka_unit_test(stack_cache_begins_when_there_are_many_stacks),
        cmocka_unit_test(stack_cache_never_answers_for_another_hash),
        cmocka_unit_test(stack_cache_keeps_a_group_larger_than_a_line),
        cmocka_unit_test(stack_table_keeps_ids_while_it_grows),
        cmocka_unit_test(stack_table_gives_one_id_to_threads_with_equal_stacks),
        cmocka_unit_test(stack_table_keeps_threads_with_different_stacks_apart),
        cmocka_unit_test(stack_table_lets_a_signal_handler_insert_at_any_instruction),
        cmocka_unit_test(stack_table_survives_the_killing_of_children_that_insert),
        cmocka_unit_test(stack_table_takes_up_a_table_whose_maker_was_killed),
        cmocka_unit_test(stack_table_returns_0_when_the_arena_is_full),
        cmocka_unit_test(stack_table_returns_0_when_ids_are_used_up),
        cmocka_unit_test(stack_table_readers_survive_hostile_contents),
        cmocka_unit_test(stack_table_reader_refuses_cycles),
    };
    return cmocka_run_group_tests_name("stack_table", tests, NULL, NULL);
}
