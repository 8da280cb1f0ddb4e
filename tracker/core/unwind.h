/*
 * core/unwind.h - one step from a frame to its caller.
 *
 * The state of a frame is its return address, rsp and rbp: all that the rules of nearly
 * every frame need. Frames whose rules need more (DWARF expressions, the CFA in another
 * register) say UNWIND_NEEDS_REGISTERS: walk again with unwind_registers.h.
 *
 * Context: async-signal-safe. Reads the stack only where it has seen or probed it to be
 *          readable, so wrong call frame information or a wrong guess ends a walk and
 *          does not end the program.
 * Memory:  none. Threads: a struct unwind_pages belongs to one walk or one thread.
 */
#ifndef MEMTRACK_CORE_UNWIND_H
#define MEMTRACK_CORE_UNWIND_H

#include "core/unwind_rules.h"

#include <stddef.h>

/* `pc` is a return address; for an interrupted instruction its address plus 1, so that
 * pc - 1 is inside the instruction that is being executed in either case. */
struct unwind_state {
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t bp;
};

/* Pages that were readable when last probed, and a range of such pages that the last reads were
 * from. Zeroed memory is the valid empty state. */
#define UNWIND_PAGES 32u
struct unwind_pages {
    uintptr_t page_plus_1[UNWIND_PAGES];
    uintptr_t start; /* of the range; nothing below it was probed to be in it */
    uintptr_t words; /* its length, in eight bytes */
};

enum unwind_outcome {
    UNWIND_STEPPED,    /* *state is the caller's */
    UNWIND_GUESSED,    /* the same, by the frame pointer, without unwind information */
    UNWIND_ENDED,      /* this was the outermost frame */
    UNWIND_LOST,       /* no information, and rbp is not plausible */
    UNWIND_UNREADABLE, /* information or guess leads to memory that is not a frame */
    UNWIND_NEEDS_REGISTERS
};

/* How far above rsp a guess accepts a frame pointer. Source: libunwind, x86_64/Gstep.c. */
#define UNWIND_GUESS_BYTES 0x4000u

/* Offsets from rsp in a signal frame. Source: ucontext_t of x86-64 Linux. */
enum { UNWIND_SIGNAL_RBP = 120, UNWIND_SIGNAL_RSP = 160, UNWIND_SIGNAL_RIP = 168 };

/* Asks the kernel whether the eight bytes at `address` are readable (about 100 ns). */
bool unwind_probe(uintptr_t address);

/* The slow part of unwind_readable(): makes the page part of the range where it can be. */
bool unwind_page_probe(struct unwind_pages *pages, uintptr_t address);

/* True when the aligned word at `address` may be read. */
static inline bool unwind_readable(struct unwind_pages *pages, uintptr_t address)
{
    /* Rotated, so that one comparison finds addresses out of the range and misaligned ones. */
    uintptr_t offset = address - pages->start;
    if (__builtin_expect((offset >> 3 | offset << 61) < pages->words, 1)) {
        return true;
    }
    return unwind_page_probe(pages, address);
}

#if defined(__SANITIZE_ADDRESS__)
#define UNWIND_READS_STACKS __attribute__((no_sanitize("address")))
#else
#define UNWIND_READS_STACKS
#endif

UNWIND_READS_STACKS static inline uintptr_t unwind_load(uintptr_t address)
{
    return *(const volatile uintptr_t *)address; // NOLINT(performance-no-int-to-ptr)
}

/* A step by a rule of kind UNWIND_NONE: recognises a signal trampoline, else trusts rbp
 * where it is plausible. Sets *rule to UNWIND_SIGNAL for the former. */
enum unwind_outcome unwind_guess(struct unwind_state *state, unwind_rule_t *rule,
                                 struct unwind_pages *pages);

/* A step by DRAP, signal, last and register rules. */
enum unwind_outcome unwind_step_rare(struct unwind_state *state, unwind_rule_t *rule,
                                     struct unwind_pages *pages);

/*
 * One step by `*rule`, which is unwind_rule(state->pc), or the rule that an earlier step
 * from that state left. On UNWIND_ENDED and worse *state is unchanged.
 */
UNWIND_READS_STACKS static inline enum unwind_outcome
unwind_step(struct unwind_state *state, unwind_rule_t *rule, struct unwind_pages *pages)
{
    enum unwind_kind kind = unwind_rule_kind(*rule);
    if (__builtin_expect(kind != UNWIND_RSP && kind != UNWIND_RBP, 0)) {
        struct unwind_state rare = *state; /* so that *state may stay in registers */
        enum unwind_outcome outcome = unwind_step_rare(&rare, rule, pages);
        *state = rare;
        return outcome;
    }
    uintptr_t cfa =
        (kind == UNWIND_RSP ? state->sp : state->bp) + (uintptr_t)unwind_rule_cfa_offset(*rule);
    if (!unwind_readable(pages, cfa - 8)) {
        return UNWIND_UNREADABLE;
    }
    uintptr_t pc = unwind_load(cfa - 8);
    if (__builtin_expect(pc == 0, 0)) {
        return UNWIND_ENDED;
    }
    /* Which frames save rbp cannot be predicted: where one does not, the return address is read
     * once more, for nothing. */
    uintptr_t rbp_distance = unwind_rule_rbp_distance(*rule);
    uintptr_t slot = cfa - (rbp_distance != 0 ? rbp_distance : 8);
    if (__builtin_expect(slot < pages->start, 0) && !unwind_readable(pages, slot)) {
        return UNWIND_UNREADABLE;
    }
    uintptr_t bp = unwind_load(slot);
    state->bp = rbp_distance != 0 ? bp : state->bp;
    state->pc = pc;
    state->sp = cfa;
    return UNWIND_STEPPED;
}

#endif
