/*
 * core/kept_stack.h - a thread's last backtrace, kept so that the next capture walks
 * only what is new and proves the rest unchanged. docs/unwinder.md has the proof.
 *
 *   frames[0]  outermost                  words[0]
 *   frames[1]                             words[1]      what the step from frames[1] to
 *   ...                                   ...           frames[0] read: address, value
 *   frames[count-1]  innermost            words[frames[count-1].words_end - 1]
 *
 * The words of a step are in the reverse order of reading, so that going down from the
 * top of words[] verifies from the inside out: an address is only read once everything
 * that it was computed from has been found unchanged.
 *
 * A step's words are those that the rest of the walk depends on: always the return
 * address; the slot of rbp only where a frame further out needs rbp ("needs rbp" is
 * computed from the outside in when frames are added).
 *
 * Hashes are polynomial: hash(i) = hash(i-1) * M + mix(pc(i)), so that the hash of the
 * innermost n frames alone is hash(top) - hash(top-n) * M^n: that is how a stack deeper
 * than depth_max is cut without hashing it anew.
 *
 * Context: async-signal-safe. Threads: belongs to one thread.
 */
#ifndef MEMTRACK_CORE_KEPT_STACK_H
#define MEMTRACK_CORE_KEPT_STACK_H

#include "core/unwind.h"

struct kept_word {
    uintptr_t address;
    uintptr_t value;
};

struct kept_frame {
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t bp; /* valid where needs_rbp is set */
    uint64_t hash;
    unwind_rule_t rule;
    uint16_t words_end;    /* its step's words are below this index */
    uint16_t guesses : 15; /* in this frame's step and further out */
    uint16_t needs_rbp : 1;
    uint32_t id; /* of the stack that starts here, 0: not known */
    uint32_t node; /* of this frame and all outer ones in the stack table, 0: not known */
};
_Static_assert(sizeof(struct kept_frame) == 56, "less than a line");

/* A frame that was walked just now. */
struct walked_frame {
    struct unwind_state state;
    unwind_rule_t rule;
    uint64_t hash; /* of it and all outer ones: see kept_walked_hash() */
};

/* How many frames a cut stack is walked and kept beyond depth_max. Popping frames then
 * uncovers known ones; only every depth_max-th pop has to walk a deep stack anew. */
#define KEPT_WALK_FACTOR 2u
#define KEPT_CAPACITY_FACTOR 4u
#define KEPT_WORDS_PER_FRAME 3u

struct kept_stack {
    struct kept_frame *frames; /* [0, capacity); frames[-1] is one that no walk gets past */
    struct kept_word *words;   /* [0, capacity * KEPT_WORDS_PER_FRAME) */
    struct walked_frame *walked;
    uint32_t count;
    uint32_t capacity;
    uint32_t walked_count;
    uint32_t walked_max;
    bool is_complete; /* frames[0] is the outermost frame; else there are more */
};

#define KEPT_HASH_FACTOR UINT64_C(0xd6e8feb86659fd93)

static inline uint64_t kept_hash_mix(uint64_t pc)
{
    uint64_t x = pc * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 32;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ (x >> 29);
}

static inline uint64_t kept_hash_extend(uint64_t outer, uintptr_t pc)
{
    return outer * KEPT_HASH_FACTOR + kept_hash_mix(pc);
}

/* Sets the hashes of stack->walked[0..walked_count), which stand on frames of this hash (0:
 * on none). Returns the innermost one's. */
static inline uint64_t kept_walked_hash(struct kept_stack *stack, uint64_t outer)
{
    for (struct walked_frame *walked = stack->walked + stack->walked_count;
         walked-- != stack->walked;) {
        outer = kept_hash_extend(outer, walked->state.pc);
        walked->hash = outer;
    }
    return outer;
}

#define KEPT_WORDS_BLOCK 4u

/* Compares words[low, high) with memory from high - 1 down. Returns the index of the
 * first that differs, or `low - 1` (maybe UINT32_MAX) when all are unchanged. */
UNWIND_READS_STACKS static inline uint32_t kept_words_verify(const struct kept_word *words,
                                                             uint32_t low, uint32_t high)
{
    const struct kept_word *word = words + high;
    const struct kept_word *end = words + low;
    for (; word >= end + KEPT_WORDS_BLOCK; word -= KEPT_WORDS_BLOCK) {
#pragma GCC unroll 4
        for (uint32_t i = 1; i <= KEPT_WORDS_BLOCK; i++) {
            const struct kept_word *at = word - i;
            if (__builtin_expect(unwind_load(at->address) != at->value, 0)) {
                return (uint32_t)(at - words);
            }
        }
    }
    while (word > end) {
        word--;
        if (__builtin_expect(unwind_load(word->address) != word->value, 0)) {
            return (uint32_t)(word - words);
        }
    }
    return low - 1;
}

/* Adds stack->walked[0..walked_count), innermost first, whose hashes are set, on top of
 * frames[0..base). How the outermost walked frame was left when base is 0: `outcome`, or
 * UNWIND_STEPPED where the walk stopped for depth. Returns false where what ended the walk is
 * not part of the words: then nothing may be kept after this capture. */
bool kept_stack_push(struct kept_stack *stack, uint32_t base, enum unwind_outcome outcome);

#endif
