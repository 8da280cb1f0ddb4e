#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "support/test_arena.h"

#include "core/capture.h"
#include "core/capture_thread.h"
#include "core/stack_table.h"

#define NOINLINE __attribute__((noinline))

static struct arena arena;
static struct arena_image *image;
static struct arena_process *process;
static struct capture_thread *thread;
static volatile int sink;

/* Starts captures anew with this depth limit. */
static void capture_begin(uint32_t depth_max)
{
    arena = test_arena_new(TEST_ARENA_BYTES);
    arena.header->config.depth_max = depth_max;
    image = test_arena_image_new(&arena);
    process = arena_at(&arena, arena_extent_new(&arena, sizeof *process), sizeof *process);
    assert_int_equal(capture_start(&arena, image, process), 0);
    thread = mmap(NULL, capture_thread_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                  -1, 0);
    assert_ptr_not_equal(thread, MAP_FAILED);
}

NOINLINE static uint32_t hook(void)
{
    struct capture_origin origin;
    CAPTURE_ORIGIN_HERE(origin);
    return capture_stack(thread, &origin);
}

NOINLINE static uint32_t at_depth(int depth)
{
    uint32_t id = depth == 0 ? hook() : at_depth(depth - 1);
    sink++;
    return id;
}

NOINLINE static uint32_t elsewhere(int depth)
{
    uint32_t id = at_depth(depth);
    sink++;
    return id;
}

static uint32_t read_stack(uint32_t id, uint64_t *pc, uint32_t *flags)
{
    return stack_table_read(&arena, image, id, pc, 1024, flags, NULL);
}

static void capture_gives_equal_stacks_the_same_id(void **state)
{
    (void)state;
    capture_begin(128);
    uint32_t id[10][2];
    for (int turn = 0; turn < 500; turn++) { /* far enough for the memo to answer */
        for (int depth = 0; depth < 10; depth++) {
            for (int side = 0; side < 2; side++) {
                uint32_t now = side ? elsewhere(depth) : at_depth(depth);
                assert_int_not_equal(now, 0);
                if (turn == 0) {
                    id[depth][side] = now;
                }
                assert_int_equal(now, id[depth][side]);
            }
        }
    }
    for (int i = 0; i < 20; i++) {
        for (int j = 0; j < i; j++) {
            assert_int_not_equal(id[i / 2][i % 2], id[j / 2][j % 2]);
        }
    }
    assert_true(thread->walks < thread->sequence);
    assert_int_equal(process->approximate_stacks, 0);
}

static void capture_stores_the_frames_innermost_first(void **state)
{
    (void)state;
    capture_begin(128);
    uint64_t shallow[1024];
    uint64_t deep[1024];
    uint32_t flags;
    uint32_t ids[2];
    for (int i = 0; i < 2; i++) { /* one call site */
        ids[i] = at_depth(3 + i * 4);
    }
    uint32_t shallow_count = read_stack(ids[0], shallow, &flags);
    uint32_t deep_count = read_stack(ids[1], deep, &flags);
    assert_int_equal(flags, 0);
    assert_int_equal(deep_count, shallow_count + 4);
    assert_memory_equal(shallow, deep, 3 * sizeof *deep);
    assert_memory_equal(shallow + 3, deep + 7, (shallow_count - 3) * sizeof *deep);
}

static void capture_cuts_outer_frames(void **state)
{
    (void)state;
    capture_begin(8);
    uint64_t pc[1024];
    uint32_t flags;
    uint32_t first = 0;
    for (int depth = 20; depth < 60; depth++) {
        uint32_t id = at_depth(depth);
        assert_int_equal(read_stack(id, pc, &flags), 8);
        assert_int_equal(flags, ARENA_STACK_CUT);
        for (int i = 2; i < 8; i++) {
            assert_int_equal(pc[i], pc[2]);
        }
        first = first == 0 ? id : first;
        assert_int_equal(id, first); /* the innermost eight are the same */
    }
}

/* Goes up and down so that kept frames are dropped and found missing again. */
static void capture_of_a_deep_stack_is_the_same_however_it_was_reached(void **state)
{
    (void)state;
    uint32_t id[100];
    capture_begin(16);
    for (int depth = 0; depth < 100; depth++) {
        id[depth] = at_depth(depth);
        /* By a thread that has never seen anything. */
        memset(thread, 0, capture_thread_bytes());
    }
    for (int turn = 0; turn < 400; turn++) {
        int depth = turn * 37 % 100;
        struct capture_thread *warm = thread;
        uint32_t now = 0;
        for (int i = 0; i < 1; i++) { /* the call site above is another: compare depths only */
            now = at_depth(depth);
        }
        uint64_t a[1024];
        uint64_t b[1024];
        uint32_t a_flags;
        uint32_t b_flags;
        uint32_t a_count = read_stack(now, a, &a_flags);
        uint32_t b_count = read_stack(id[depth], b, &b_flags);
        assert_int_equal(a_count, b_count);
        assert_int_equal(a_flags, b_flags);
        for (uint32_t i = 0; i < a_count; i++) {
            /* Only the frame of this test function itself differs. */
            assert_true(a[i] == b[i] || i == (uint32_t)depth + 1);
        }
        assert_ptr_equal(thread, warm);
    }
}

static uint32_t handler_id;
static uint32_t handler_context_id;

static void handler(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    handler_id = hook();
    handler_context_id = capture_stack_in_handler(thread, context);
}

static void capture_walks_out_of_signal_handlers(void **state)
{
    (void)state;
    capture_begin(128);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    struct sigaction old;
    assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
    uint64_t inside[1024];
    uint64_t interrupted[1024];
    uint32_t flags;
    for (int i = 0; i < 3; i++) {
        handler_id = handler_context_id = 0;
        raise(SIGUSR1);
        uint32_t inside_count = read_stack(handler_id, inside, &flags);
        assert_int_equal(flags, 0);
        uint32_t count = read_stack(handler_context_id, interrupted, &flags);
        assert_int_equal(flags, 0);
        /* The handler, the kernel's trampoline, then what was interrupted. ThreadSanitizer calls
         * handlers from frames of its own. */
#ifdef __SANITIZE_THREAD__
        assert_true(inside_count >= count + 2);
#else
        assert_int_equal(inside_count, count + 2);
#endif
        assert_memory_equal(inside + inside_count - count, interrupted,
                            count * sizeof *interrupted);
    }
    sigaction(SIGUSR1, &old, NULL);
}

/* As if a handler had left by longjmp in the middle of a capture. */
static void capture_recovers_from_an_abandoned_guard(void **state)
{
    (void)state;
    capture_begin(128);
    uint32_t before = 0;
    for (int i = 0; i < 6; i++) {
        if (i == 3) {
            thread->busy_cfa = (uintptr_t)&before & ~(uintptr_t)7;
            thread->busy_pc = 4711;
        }
        uint32_t id = at_depth(5);
        assert_true(before == 0 || id == before);
        before = id;
        assert_int_equal(thread->busy_cfa, 0);
    }
}

static void capture_forgets_what_it_kept_when_modules_change(void **state)
{
    (void)state;
    capture_begin(128);
    uint32_t before = 0;
    for (int i = 0; i < 400; i++) {
        bool is_changed = i % 50 == 49;
        if (is_changed) {
            capture_modules_changed();
        }
        uint32_t walks = thread->walks;
        uint32_t id = at_depth(4);
        assert_true(before == 0 || id == before);
        before = id;
        if (i > 200) { /* the memo is on: it answers, unless it was emptied */
            assert_int_equal(thread->walks - walks, is_changed);
        }
    }
}

static void capture_leaves_errno_alone(void **state)
{
    (void)state;
    capture_begin(128);
    for (int depth = 0; depth < 40; depth++) {
        errno = 4321;
        at_depth(depth);
        assert_int_equal(errno, 4321);
    }
}

static void *thread_captures(void *argument)
{
    struct capture_thread *mine = mmap(NULL, capture_thread_bytes(), PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t *id = argument;
    for (int i = 0; i < 2000; i++) {
        struct capture_origin origin;
        CAPTURE_ORIGIN_HERE(origin);
        uint32_t now = capture_stack(mine, &origin);
        if (id[0] == 0) {
            id[0] = now;
        }
        id[1] += now != id[0];
    }
    return NULL;
}

static void capture_gives_all_threads_the_same_id(void **state)
{
    (void)state;
    capture_begin(128);
    uint32_t id[4][2] = {{0}};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, thread_captures, id[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_not_equal(id[i][0], 0);
        assert_int_equal(id[i][1], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capture_gives_equal_stacks_the_same_id),
        cmocka_unit_test(capture_stores_the_frames_innermost_first),
        cmocka_unit_test(capture_cuts_outer_frames),
        cmocka_unit_test(capture_of_a_deep_stack_is_the_same_however_it_was_reached),
        cmocka_unit_test(capture_walks_out_of_signal_handlers),
        cmocka_unit_test(capture_recovers_from_an_abandoned_guard),
        cmocka_unit_test(capture_forgets_what_it_kept_when_modules_change),
        cmocka_unit_test(capture_leaves_errno_alone),
        cmocka_unit_test(capture_gives_all_threads_the_same_id),
    };
    return cmocka_run_group_tests_name("capture", tests, NULL, NULL);
}
