#include "core/stack_memo.h"

#include "core/raw_syscall.h"

_Static_assert(sizeof(struct stack_memo_entry) << STACK_MEMO_LAST_LOG2 <= RAW_HUGE_PAGE_BYTES,
               "the largest memo is in one huge page");

#define PAUSE_CAPTURES 65536u
#define MISSES_MAX 512u /* and as many as there are entries: it is filled by then */

/* Bytes that all memos have grown by. A thread's memory is handed on to the next thread,
 * so nothing is ever given back. Atomic adds, rare. */
static _Atomic uint32_t grown_bytes;

void stack_memo_init(struct stack_memo *memo, void *memory)
{
    *memo = (struct stack_memo){.entries = memory,
                                .from = STACK_MEMO_FIRST_CAPTURE,
                                .window = STACK_MEMO_FIRST_CAPTURE,
                                .mask = (1u << STACK_MEMO_FIRST_LOG2) - 1};
}

void stack_memo_clear(struct stack_memo *memo)
{
    /* A page that was never used is read here and not written. */
    for (uint32_t i = 0; i <= memo->mask; i++) {
        if (memo->entries[i].pc != 0) {
            memo->entries[i].pc = 0;
        }
    }
}

uint32_t stack_memo_search(const struct stack_memo *memo, const struct capture_origin *origin,
                           uintptr_t turn, struct stack_memo_entry **entry)
{
    uint32_t id = 0;
    *entry = stack_memo_slot(memo, origin, 0);
    for (unsigned way = 1; way < STACK_MEMO_WAYS && turn != 0 && id == 0; way++) {
        *entry = stack_memo_slot(memo, origin, turn);
        id = stack_memo_verify(*entry, origin, &turn);
    }
    return id;
}

static bool bytes_claim(uint32_t bytes)
{
    if (atomic_fetch_add_explicit(&grown_bytes, bytes, memory_order_relaxed)
        > STACK_MEMO_BUDGET_BYTES - bytes) {
        atomic_fetch_sub_explicit(&grown_bytes, bytes, memory_order_relaxed);
        return false;
    }
    return true;
}

static bool memo_grow(struct stack_memo *memo)
{
    uint32_t count = (memo->mask + 1) << STACK_MEMO_GROWTH_LOG2;
    bool is_last = count == 1u << STACK_MEMO_LAST_LOG2;
    if (count > 1u << STACK_MEMO_LAST_LOG2
        || !bytes_claim(is_last ? (uint32_t)RAW_HUGE_PAGE_BYTES
                                : (uint32_t)sizeof(struct stack_memo_entry) * count)) {
        return false;
    }
    stack_memo_clear(memo);
    if (is_last) {
        struct stack_memo_entry *page = raw_map_huge_page();
        if (page == NULL) {
            return false;
        }
        memo->entries = page;
    }
    memo->mask = count - 1;
    return true;
}

/* Called for each miss. Returns false where the entry that missed is void now. */
static bool memo_judge(struct stack_memo *memo, uint32_t capture_number)
{
    uint32_t misses = ++memo->misses;
    if (misses < MISSES_MAX + memo->mask) {
        return true;
    }
    uint32_t captures = capture_number - memo->window;
    memo->misses = 0;
    memo->window = capture_number;
    if (captures < 8 * misses && memo_grow(memo)) {
        return false;
    }
    if (captures < 2 * misses) {
        stack_memo_clear(memo);
        memo->from = capture_number + PAUSE_CAPTURES;
        memo->window = memo->from;
        return false;
    }
    return true;
}

/* Packs the words; returns their number, or 0 where one does not fit. */
static uint32_t words_pack(uint64_t *to, const struct kept_word *from, uint32_t count,
                           uintptr_t cfa)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t place = (from[-(ptrdiff_t)i].address - cfa) / 8;
        uintptr_t value = from[-(ptrdiff_t)i].value;
        if (place > 0xffff || value >> 48 != 0) {
            return 0;
        }
        to[i] = value << 16 | place;
    }
    while (count % STACK_MEMO_BLOCK_WORDS != 0) {
        to[count] = to[count - 1];
        count++;
    }
    return count;
}

void stack_memo_store(struct stack_memo *memo, struct stack_memo_entry *entry,
                      const struct capture_origin *origin, const struct kept_stack *stack,
                      uint32_t low, uint32_t id, uint32_t capture_number)
{
    uint32_t kept = stack->count;
    if (kept == 0) {
        return; /* forgotten meanwhile, by a capture in a handler */
    }
    const struct kept_frame *top = &stack->frames[kept - 1];
    uint32_t count = top->words_end - low;
    if (!memo_judge(memo, capture_number) || count == 0 || count > STACK_MEMO_WORDS) {
        return;
    }
    /* A longjmp out of a signal handler may end this at any instruction. */
    *(volatile uintptr_t *)&entry->pc = 0;
    atomic_signal_fence(memory_order_seq_cst);
    entry->cfa = origin->cfa;
    entry->bp = origin->rbp;
    entry->id = id;
    entry->needs_rbp = top->needs_rbp;
    count = words_pack(entry->words, &stack->words[top->words_end - 1], count, origin->cfa);
    entry->word_count = (uint16_t)count;
    atomic_signal_fence(memory_order_seq_cst);
    if (count != 0) {
        *(volatile uintptr_t *)&entry->pc = origin->pc;
    }
}
