#include "core/kept_stack.h"

#include <string.h>

/* Forgets outermost frames to make room for walked_count more on top of `base`. Returns
 * the new base. Their hashes stay as they are: only differences of hashes count once a
 * stack is not complete. */
static uint32_t room_make(struct kept_stack *stack, uint32_t base, uint32_t walked_count)
{
    uint32_t excess = base + walked_count - stack->capacity;
    uint32_t drop = base / 2 > excess ? base / 2 : excess;
    uint16_t words_drop = stack->frames[drop].words_end;
    uint32_t words_end = stack->frames[base - 1].words_end;

    memmove(stack->frames, stack->frames + drop, (base - drop) * sizeof *stack->frames);
    memmove(stack->words, stack->words + words_drop,
            (words_end - words_drop) * sizeof *stack->words);
    base -= drop;
    for (uint32_t i = 0; i < base; i++) {
        stack->frames[i].words_end = (uint16_t)(stack->frames[i].words_end - words_drop);
    }
    stack->is_complete = false; /* frames[0] has no words any more: it is the open end */
    return base;
}

/* What a frame steps to. pc 0: it is the last. */
struct successor {
    struct unwind_state state;
    bool needs_rbp;
};

/* The same as step_words() for the kinds of rules that are not common. */
static uint32_t step_words_rare(const struct walked_frame *frame, const struct successor *next,
                                struct kept_word *words, bool *needs_rbp)
{
    const struct unwind_state *from = &frame->state;
    const struct unwind_state *to = &next->state;
    uint32_t count = 0;
    switch (unwind_rule_kind(frame->rule)) {
    case UNWIND_DRAP:
        words[count++] = (struct kept_word){to->sp - 8, to->pc};
        if (next->needs_rbp) {
            words[count++] = (struct kept_word){from->bp, to->bp};
        }
        words[count++] =
            (struct kept_word){from->bp + (uintptr_t)unwind_rule_cfa_offset(frame->rule), to->sp};
        *needs_rbp = true;
        return count;
    case UNWIND_SIGNAL:
        if (next->needs_rbp) {
            words[count++] = (struct kept_word){from->sp + UNWIND_SIGNAL_RBP, to->bp};
        }
        words[count++] = (struct kept_word){from->sp + UNWIND_SIGNAL_RSP, to->sp};
        words[count++] = (struct kept_word){from->sp + UNWIND_SIGNAL_RIP, to->pc - 1};
        *needs_rbp = false;
        return count;
    case UNWIND_NONE:
        if (to->pc != 0) {
            if (next->needs_rbp) {
                words[count++] = (struct kept_word){from->bp, to->bp};
            }
            words[count++] = (struct kept_word){from->bp + 8, to->pc};
        }
        *needs_rbp = true;
        return count;
    case UNWIND_RSP:
    case UNWIND_RBP:
    case UNWIND_LAST:
    case UNWIND_REGISTERS:
    default:
        *needs_rbp = false;
        return 0;
    }
}

/* Writes the words of one step; returns how many. Sets *needs_rbp for the frame. */
static inline uint32_t step_words(const struct walked_frame *frame, const struct successor *next,
                                  struct kept_word *words, bool *needs_rbp)
{
    enum unwind_kind kind = unwind_rule_kind(frame->rule);
    if (__builtin_expect(kind != UNWIND_RSP && kind != UNWIND_RBP, 0)) {
        return step_words_rare(frame, next, words, needs_rbp);
    }
    /* The CFA: where nothing was stepped to, it is not known from there. */
    uintptr_t cfa = next->state.sp;
    if (__builtin_expect(next->state.pc == 0, 0)) {
        cfa = (kind == UNWIND_RSP ? frame->state.sp : frame->state.bp)
              + (uintptr_t)unwind_rule_cfa_offset(frame->rule);
    }
    uintptr_t rbp_distance = unwind_rule_rbp_distance(frame->rule);
    uint32_t count = 0;
    *needs_rbp = kind == UNWIND_RBP;
    if (__builtin_expect(next->needs_rbp, 0)) {
        if (rbp_distance != 0) {
            words[count++] = (struct kept_word){cfa - rbp_distance, next->state.bp};
        } else {
            *needs_rbp = true;
        }
    }
    words[count++] = (struct kept_word){cfa - 8, next->state.pc};
    return count;
}

/* A last frame is kept only if what made it the last is part of the words or the state. */
static bool end_is_kept(enum unwind_outcome outcome, unwind_rule_t rule)
{
    enum unwind_kind kind = unwind_rule_kind(rule);
    return outcome == UNWIND_STEPPED || outcome == UNWIND_LOST
           || (outcome == UNWIND_ENDED
               && (kind == UNWIND_LAST || kind == UNWIND_RSP || kind == UNWIND_RBP));
}

bool kept_stack_push(struct kept_stack *stack, uint32_t base, enum unwind_outcome outcome)
{
    uint32_t walked_count = stack->walked_count;
    if (base + walked_count > stack->capacity) {
        base = room_make(stack, base, walked_count);
    }
    struct successor next = {.needs_rbp = false};
    uint32_t words_end = 0;
    uint32_t guesses = 0;
    bool is_open_end = false;
    bool is_kept = true;
    if (base > 0) {
        const struct kept_frame *outer = &stack->frames[base - 1];
        next = (struct successor){{outer->pc, outer->sp, outer->bp}, outer->needs_rbp};
        words_end = outer->words_end;
        guesses = outer->guesses;
    } else {
        stack->is_complete = outcome != UNWIND_STEPPED;
        is_open_end = outcome == UNWIND_STEPPED;
        guesses = outcome == UNWIND_LOST || outcome == UNWIND_UNREADABLE;
        is_kept = end_is_kept(outcome, stack->walked[walked_count - 1].rule);
    }
    struct kept_frame *frame = stack->frames + base;
    for (uint32_t i = walked_count; i-- > 0; frame++) {
        const struct walked_frame *walked = &stack->walked[i];
        bool needs_rbp = false;
        if (is_open_end) {
            is_open_end = false; /* its step is not known yet, so nothing is to be verified */
        } else {
            words_end += step_words(walked, &next, stack->words + words_end, &needs_rbp);
            guesses += unwind_rule_kind(walked->rule) == UNWIND_NONE && next.state.pc != 0;
        }
        *frame = (struct kept_frame){.pc = walked->state.pc,
                                     .sp = walked->state.sp,
                                     .bp = walked->state.bp,
                                     .hash = walked->hash,
                                     .rule = walked->rule,
                                     .words_end = (uint16_t)words_end,
                                     .guesses = guesses & 0x7fff,
                                     .needs_rbp = needs_rbp};
        next = (struct successor){walked->state, needs_rbp};
    }
    stack->count = (uint32_t)(frame - stack->frames);
    return is_kept;
}
