#include <stdlib.h>

#include "support/test_arena.h"

#include "core/raw_syscall.h"
#include "core/stack_memo.h"

enum { STACKS = 1200 };

struct fixture {
    struct stack_memo memo;
    void *memory;
    struct kept_frame frame;
    struct kept_word word;
    struct kept_stack stack;
    uint32_t captures;
    uintptr_t places[STACKS + 1]; /* the one word that each stack depends on */
};

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->memory =
        mmap(NULL, STACK_MEMO_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(f->memory, MAP_FAILED);
    stack_memo_init(&f->memo, f->memory);
    f->frame.words_end = 1;
    f->stack = (struct kept_stack){.frames = &f->frame, .words = &f->word, .count = 1};
    for (uint32_t i = 0; i < STACKS; i++) {
        f->places[i + 1] = UINT64_C(0x7f0000001000) + i;
    }
    return f;
}

static void fixture_free(struct fixture *f)
{
    void *page = stack_memo_own_page(&f->memo);
    if (page != NULL) {
        assert_int_equal(munmap(page, RAW_HUGE_PAGE_BYTES), 0);
    }
    assert_int_equal(munmap(f->memory, STACK_MEMO_BYTES), 0);
    free(f);
}

/* Looks stack `number` up, stores it on a miss. Returns what the memo said. */
static uint32_t capture_number(struct fixture *f, uint32_t number)
{
    struct capture_origin origin = {.pc = UINT64_C(0x555555550000) + number * UINT64_C(37),
                                    .cfa = (uintptr_t)&f->places[number]};
    struct stack_memo_entry *entry = stack_memo_slot(&f->memo, &origin, 0);
    uintptr_t turn;
    uint32_t id = stack_memo_verify(entry, &origin, &turn);
    f->captures++;
    if (id == 0) {
        id = stack_memo_search(&f->memo, &origin, turn, &entry);
    }
    if (id == 0) {
        f->word = (struct kept_word){(uintptr_t)&f->places[number + 1], f->places[number + 1]};
        stack_memo_store(&f->memo, entry, &origin, &f->stack, 0, number + 1, f->captures);
    }
    return id;
}

static void stack_memo_grows_to_a_page_of_its_own_where_that_helps(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    uint32_t hits = 0;
    for (uint32_t round = 0; round < 8; round++) {
        hits = 0;
        for (uint32_t i = 0; i < STACKS; i++) {
            uint32_t id = capture_number(f, i);
            assert_true(id == 0 || id == i + 1);
            hits += id != 0;
        }
    }
    assert_non_null(stack_memo_own_page(&f->memo));
    assert_ptr_equal(stack_memo_own_page(&f->memo), f->memo.entries);
    assert_true(hits > STACKS / 2);
    fixture_free(f);
}

static void stack_memo_stays_small_where_a_few_stacks_take_turns(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t id = capture_number(f, i % 10);
        assert_true(id == 0 || id == i % 10 + 1);
    }
    assert_null(stack_memo_own_page(&f->memo));
    assert_ptr_equal(f->memo.entries, f->memory);
    fixture_free(f);
}

static void stack_memo_does_not_answer_once_a_word_has_changed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_int_equal(capture_number(f, 3), 0);
    assert_int_equal(capture_number(f, 3), 4);
    f->places[4]++;
    assert_int_equal(capture_number(f, 3), 0);
    assert_int_equal(capture_number(f, 3), 4); /* stored beside the other */
    f->places[4]--;
    assert_int_equal(capture_number(f, 3), 4);
    stack_memo_clear(&f->memo);
    assert_int_equal(capture_number(f, 3), 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stack_memo_grows_to_a_page_of_its_own_where_that_helps),
        cmocka_unit_test(stack_memo_stays_small_where_a_few_stacks_take_turns),
        cmocka_unit_test(stack_memo_does_not_answer_once_a_word_has_changed),
    };
    return cmocka_run_group_tests_name("stack_memo", tests, NULL, NULL);
}
