#include <pthread.h>

#include "support/test_arena.h"

static void arena_at_accepts_only_what_lies_inside(void **state)
{
    (void)state;
    struct arena arena = test_arena_new(UINT64_C(16) << 20);
    uint64_t size = arena.mapped_bytes;
    char *base = (char *)arena.header;
    assert_ptr_equal(arena_at(&arena, 64, 8), base + 64);
    assert_ptr_equal(arena_at(&arena, size - 64, 64), base + size - 64);
    assert_ptr_equal(arena_at(&arena, size, 0), base + size);
    assert_null(arena_at(&arena, 0, 8));
    assert_null(arena_at(&arena, 12, 4));
    assert_null(arena_at(&arena, 72, 8)); /* not a cache line's beginning */
    assert_null(arena_at(&arena, size - 64, 65));
    assert_null(arena_at(&arena, size + 64, 0));
    assert_null(arena_at(&arena, 64, UINT64_MAX));
    assert_null(arena_at(&arena, UINT64_MAX - 63, 64));
    assert_null(arena_at(&arena, 64, size));
    test_arena_free(&arena);
}

static void arena_extent_new_hands_out_every_byte_once(void **state)
{
    (void)state;
    struct arena arena = test_arena_new(UINT64_C(16) << 20);
    uint64_t first = arena_extent_new(&arena, 1);
    uint64_t second = arena_extent_new(&arena, ARENA_EXTENT_BYTES + 1);
    uint64_t third = arena_extent_new(&arena, ARENA_EXTENT_BYTES);
    assert_int_equal(first % ARENA_EXTENT_BYTES, 0);
    assert_true(first >= sizeof(struct arena_header));
    assert_int_equal(second, first + ARENA_EXTENT_BYTES);
    assert_int_equal(third, second + 2 * ARENA_EXTENT_BYTES);
    test_arena_free(&arena);
}

static void arena_extent_new_returns_0_when_full(void **state)
{
    (void)state;
    struct arena arena = test_arena_new(UINT64_C(16) << 20);
    assert_int_equal(arena_extent_new(&arena, arena.mapped_bytes), 0);
    assert_int_equal(arena_extent_new(&arena, UINT64_MAX), 0);
    assert_int_equal(arena_extent_new(&arena, UINT64_MAX - ARENA_EXTENT_BYTES), 0);
    uint64_t last = 0;
    uint64_t extent;
    while ((extent = arena_extent_new(&arena, ARENA_EXTENT_BYTES)) != 0) {
        last = extent;
    }
    assert_int_equal(last, arena.mapped_bytes - ARENA_EXTENT_BYTES);
    assert_int_equal(arena_extent_new(&arena, 1), 0);
    atomic_store(&arena.header->used_bytes, UINT64_MAX - 3); /* damage */
    assert_int_equal(arena_extent_new(&arena, 1), 0);
    test_arena_free(&arena);
}

enum { THREADS = 4, EXTENTS = 500, CHUNKS = 64 };

struct worker {
    struct arena *arena;
    _Atomic uint64_t *directory;
    uint64_t extents[EXTENTS];
    void *chunks[CHUNKS];
};

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    for (int i = 0; i < EXTENTS; i++) {
        worker->extents[i] = arena_extent_new(worker->arena, ARENA_EXTENT_BYTES);
    }
    for (uint32_t i = 0; i < CHUNKS; i++) {
        worker->chunks[i] = arena_chunk_get(worker->arena, worker->directory, i, ARENA_EXTENT_BYTES);
    }
    return NULL;
}

static void arena_serves_threads_at_once(void **state)
{
    (void)state;
    struct arena arena = test_arena_new(TEST_ARENA_BYTES);
    static struct worker workers[THREADS];
    static uint8_t is_taken[TEST_ARENA_BYTES / ARENA_EXTENT_BYTES];
    static _Atomic uint64_t directory[CHUNKS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.arena = &arena, .directory = directory};
        assert_int_equal(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        for (int n = 0; n < EXTENTS; n++) {
            assert_int_not_equal(workers[i].extents[n], 0);
            uint8_t *taken = &is_taken[workers[i].extents[n] / ARENA_EXTENT_BYTES];
            assert_false(*taken);
            *taken = 1;
        }
    }
    for (int n = 0; n < CHUNKS; n++) {
        assert_non_null(workers[0].chunks[n]);
        assert_false(is_taken[directory[n] / ARENA_EXTENT_BYTES]);
        is_taken[directory[n] / ARENA_EXTENT_BYTES] = 1;
        for (int i = 1; i < THREADS; i++) {
            assert_ptr_equal(workers[i].chunks[n], workers[0].chunks[n]);
        }
    }
    test_arena_free(&arena);
}

static void arena_chunk_get_refuses_damaged_directories(void **state)
{
    (void)state;
    struct arena arena = test_arena_new(UINT64_C(16) << 20);
    _Atomic uint64_t directory[3] = {UINT64_C(1) << 40, 13, 0};
    assert_null(arena_chunk_get(&arena, directory, 0, ARENA_EXTENT_BYTES));
    assert_null(arena_chunk_get(&arena, directory, 1, ARENA_EXTENT_BYTES));
    assert_null(arena_chunk_get(&arena, directory, 2, arena.mapped_bytes)); /* no room */
    assert_int_equal(directory[2], 0);
    test_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_at_accepts_only_what_lies_inside),
        cmocka_unit_test(arena_extent_new_hands_out_every_byte_once),
        cmocka_unit_test(arena_extent_new_returns_0_when_full),
        cmocka_unit_test(arena_serves_threads_at_once),
        cmocka_unit_test(arena_chunk_get_refuses_damaged_directories),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
