/*
 * core/stack_memo.h - whole stacks of a thread, remembered by their innermost frame.
 *
 * Small programs allocate from the same few stacks over and over. An entry holds all words
 * that a walk of its stack would read: if they are unchanged, so is the stack, and its id
 * is known without any walk (the same proof as in core/kept_stack.h).
 *
 * A word is 48 bits of value above 16 bits of place, counted in eight bytes from the
 * hook's CFA:          63            16 15     0
 *                     |     value     | place  |
 * Stacks with a word that does not fit (another stack below an alternate one, half a MiB
 * away) are not remembered.
 *
 * Found by the innermost return address and CFA. Where an entry's word differs, the value
 * that stands there instead leads on to another entry: stacks that branch further out
 * only have entries of their own, so that they do not evict one another.
 *
 * Off where it hits less than half the time, tried again later. Grows where more entries
 * would help, as long as all memos together stay within STACK_MEMO_BUDGET_BYTES. The largest size
 * is in a huge page of its own: the entries of a compiler miss the TLB else.
 *
 * Context: async-signal-safe. Threads: belongs to one thread. Memory: the owner's,
 * STACK_MEMO_BYTES, touched as far as it has grown; then a huge page.
 */
#ifndef MEMTRACK_CORE_STACK_MEMO_H
#define MEMTRACK_CORE_STACK_MEMO_H

#include "core/capture.h"
#include "core/kept_stack.h"

/* Threads that allocate a few times only do not pay for pages. */
#define STACK_MEMO_FIRST_CAPTURE 128u
#define STACK_MEMO_FIRST_LOG2 6u
#define STACK_MEMO_OWNER_LOG2 10u /* as far as the owner's memory goes */
#define STACK_MEMO_LAST_LOG2 12u
#define STACK_MEMO_GROWTH_LOG2 2u
#define STACK_MEMO_BUDGET_BYTES (UINT32_C(8) << 20)
#define STACK_MEMO_WAYS 4u

#define STACK_MEMO_BLOCK_WORDS 4u
#define STACK_MEMO_WORDS 44u

struct stack_memo_entry {
    uintptr_t pc; /* 0: empty. Stored last */
    uintptr_t cfa;
    uintptr_t bp;
    uint32_t id;
    uint16_t word_count; /* filled up to whole blocks by repeating the last word */
    uint16_t needs_rbp;
    uint64_t words[STACK_MEMO_WORDS]; /* innermost first */
};
_Static_assert(sizeof(struct stack_memo_entry) == 384, "six lines");
_Static_assert(STACK_MEMO_WORDS % STACK_MEMO_BLOCK_WORDS == 0, "whole blocks");

#define STACK_MEMO_BYTES (sizeof(struct stack_memo_entry) << STACK_MEMO_OWNER_LOG2)

struct stack_memo {
    struct stack_memo_entry *entries;
    uint32_t from;  /* the capture number from which it is on */
    uint32_t mask;  /* number of the entries in use, a power of two, minus 1 */
    uint32_t misses;
    uint32_t window; /* capture number when the counting of misses began */
};

void stack_memo_init(struct stack_memo *memo, void *memory);

/* Returns the memory that it mapped itself, RAW_HUGE_PAGE_BYTES, or NULL. */
static inline void *stack_memo_own_page(const struct stack_memo *memo)
{
    return memo->mask == (1u << STACK_MEMO_LAST_LOG2) - 1 ? memo->entries : NULL;
}

static inline bool stack_memo_is_on(const struct stack_memo *memo, uint32_t capture_number)
{
    return (int32_t)(capture_number - memo->from) >= 0;
}

/* Forgets all entries. */
void stack_memo_clear(struct stack_memo *memo);

/* `turn` is 0, or the value that another entry of this origin did not expect. */
static inline struct stack_memo_entry *
stack_memo_slot(const struct stack_memo *memo, const struct capture_origin *origin, uintptr_t turn)
{
    /* Without a multiplication where turn is 0: a hit waits for this. */
    uint64_t key = (origin->pc + (origin->cfa >> 4)) ^ (origin->pc >> 6)
                   ^ (turn * UINT64_C(0xff51afd7ed558ccd) >> 48);
    return &memo->entries[key & memo->mask];
}

/* Returns the id of the stack if all of the entry's words are unchanged, else 0. *turn is
 * the first one that is not, as it is now; 0 where the entry is about another origin. */
UNWIND_READS_STACKS static inline uint32_t stack_memo_verify(const struct stack_memo_entry *entry,
                                                             const struct capture_origin *origin,
                                                             uintptr_t *turn)
{
    uintptr_t cfa = origin->cfa;
    *turn = 0;
    if (__builtin_expect(entry->pc != origin->pc || entry->cfa != cfa
                             || (entry->needs_rbp && entry->bp != origin->rbp),
                         0)) {
        return 0;
    }
    const uint64_t *word = entry->words;
    const uint64_t *end = word + entry->word_count;
    do {
        /* In order: a place is read once all that it was found by has proved unchanged.
         * Whole blocks, so that the end of the loop is easy to predict. */
#pragma GCC unroll 4
        for (unsigned i = 0; i < STACK_MEMO_BLOCK_WORDS; i++) {
            const uintptr_t *place = (const uintptr_t *)cfa + (word[i] & 0xffff); // NOLINT
            if (__builtin_expect(*place != word[i] >> 16, 0)) {
                *turn = *place;
                return 0;
            }
        }
        word += STACK_MEMO_BLOCK_WORDS;
    } while (word < end);
    return entry->id;
}

/*
 * Goes on after the first entry, that of turn 0, did not hold and left *turn. Returns the
 * id of the stack, or 0 for a miss; then *entry is where to store it.
 */
uint32_t stack_memo_search(const struct stack_memo *memo, const struct capture_origin *origin,
                           uintptr_t turn, struct stack_memo_entry **entry);

/*
 * Stores the stack that is on top of `stack`, whose words are words[low ...), as `id` in
 * *entry, which stack_memo_search() left. Called for each miss: decides whether the memo
 * grows or goes off, and then does not store.
 */
void stack_memo_store(struct stack_memo *memo, struct stack_memo_entry *entry,
                      const struct capture_origin *origin, const struct kept_stack *stack,
                      uint32_t low, uint32_t id, uint32_t capture_number);

#endif
