/*
 * core/unwind_rules.h - return address -> how to leave that frame, in eight bytes.
 *
 * Nearly every row of call frame information says: the CFA is rsp or rbp plus a
 * constant, the return address is just below it, rbp is unchanged or saved at another
 * constant. Such rows are compiled into a word and kept in one table for the process.
 *
 *   63              36 35 34         25 24          11 10            3 2  0
 *  +-----------------+--+-------------+--------------+---------------+----+
 *  | address bits    |  | address     | CFA offset/8 | (CFA - rbp    |kind|   0: empty
 *  | 19 and above    |  | bits 9..0   | signed       |  slot)/8      |    |
 *  +-----------------+--+-------------+--------------+---------------+----+
 *                     1: stands in its other line
 *
 * What a program has on its stacks are a few thousand return addresses, a few of each function,
 * and hardly a rule is still in a cache when it is asked for again. So they are laid out by
 * the line: the eight words of a cache line are for one region of 1 KiB of code (and whatever
 * others fall on it), from a place on that the address chooses. What has no room there stands
 * in one other line. A line's number is the address's bits from 10 on, scrambled by bits in
 * the tag, so line and tag together are the whole address: a hit is exact. Starts with 2^12
 * words, grows to 2^18.
 *
 * Addresses are return addresses: the row looked up is that of the byte before. For the
 * instruction that a signal interrupted pass its address plus 1.
 *
 * Context: async-signal-safe. No lock; grows by mmap.
 * Memory:  32 KiB in the library, later 256 KiB, then a huge page. Old tables stay readable.
 * Threads: any number; words are written and read whole, relaxed: each is complete in
 *          itself.
 */
#ifndef MEMTRACK_CORE_UNWIND_RULES_H
#define MEMTRACK_CORE_UNWIND_RULES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum unwind_kind {
    UNWIND_NONE = 0,     /* no information: a guess is needed. Never cached: code generated at
                            run time may get some later */
    UNWIND_RSP = 1,      /* CFA = rsp + cfa offset */
    UNWIND_RBP = 2,      /* CFA = rbp + cfa offset */
    UNWIND_DRAP = 3,     /* realigned frame: CFA = *(rbp + cfa offset), rbp saved at *rbp */
    UNWIND_SIGNAL = 4,   /* the kernel's signal frame at rsp */
    UNWIND_LAST = 5,     /* outermost frame: its return address is undefined */
    UNWIND_REGISTERS = 6 /* needs an expression or another register: unwind_registers.h */
};

/* An unpacked rule, which has room for frames of any size:
 * kind in bits 0..2, (CFA - address of rbp's slot) / 8 in bits 3..26 (0: rbp unchanged),
 * cfa offset / 8, signed, in bits 32..63. */
typedef uint64_t unwind_rule_t;

static inline enum unwind_kind unwind_rule_kind(unwind_rule_t rule)
{
    return (enum unwind_kind)(rule & 7);
}

static inline int64_t unwind_rule_cfa_offset(unwind_rule_t rule)
{
    return ((int64_t)rule >> 32) * 8;
}

static inline uint64_t unwind_rule_rbp_distance(unwind_rule_t rule)
{
    return (rule & 0x07fffff8u);
}

static inline unwind_rule_t unwind_rule_make(enum unwind_kind kind, int64_t cfa_offset,
                                             uint64_t rbp_distance)
{
    return (uint64_t)kind | rbp_distance | ((uint64_t)(cfa_offset / 8) << 32);
}

#define UNWIND_RULES_LOG2_FIRST 12u
#define UNWIND_RULES_LINE_WORDS 8u
#define UNWIND_RULES_TAG_SHIFT 25
#define UNWIND_RULES_REGION_LOG2 10u
#define UNWIND_RULES_BESIDE (UINT64_C(1) << UNWIND_RULES_REGION_LOG2) /* in a tag */
/* The address's bits that no line tells: those above what the first table's lines do. */
#define UNWIND_RULES_KNOWN_LOG2 (UNWIND_RULES_REGION_LOG2 + UNWIND_RULES_LOG2_FIRST - 3)

/* Address of the table, page-aligned, with log2 of its words in the low bits. */
extern _Atomic uintptr_t unwind_rules_table;

/* Looks for the rule for `pc` wherever it may be; compiles and caches it where it is not. */
unwind_rule_t unwind_rule_search(uintptr_t pc);

/* Compiles the rule for `pc` and caches it. */
unwind_rule_t unwind_rule_compile(uintptr_t pc);

/* Forgets all rules: modules were unloaded. Slow. Rules that other threads are compiling
 * meanwhile are not kept. */
void unwind_rules_flush(void);

/* The line of this address in a table of 2^log2 words. */
static inline uint64_t unwind_rules_line(uintptr_t pc, unsigned log2)
{
    return ((pc >> UNWIND_RULES_REGION_LOG2) ^ (pc >> 23) ^ (pc >> 35))
           & ((UINT64_C(1) << (log2 - 3)) - 1);
}

/* Where in its line an address is looked for first. */
static inline unsigned unwind_rules_place(uintptr_t pc)
{
    return (unsigned)(pc ^ (pc >> 3) ^ (pc >> 6)) % UNWIND_RULES_LINE_WORDS;
}

static inline uint64_t unwind_rules_tag(uintptr_t pc)
{
    return ((pc >> UNWIND_RULES_KNOWN_LOG2) << (UNWIND_RULES_REGION_LOG2 + 1))
           | (pc & (UNWIND_RULES_BESIDE - 1));
}

static inline unwind_rule_t unwind_rule_unpack(uint64_t word)
{
    uint64_t cfa = (uint64_t)((int64_t)(word << 39) >> 50); /* signed bits 11..24 */
    return (word & 0x7ffu) | cfa << 32;
}

/* Returns the rule for the frame that `pc` returns into. */
static inline unwind_rule_t unwind_rule(uintptr_t pc)
{
    uintptr_t table = atomic_load_explicit(&unwind_rules_table, memory_order_acquire);
    const _Atomic uint64_t *words = (const _Atomic uint64_t *)(table & ~(uintptr_t)63)
                                    + unwind_rules_line(pc, table & 63) * UNWIND_RULES_LINE_WORDS;
    uint64_t word = atomic_load_explicit(&words[unwind_rules_place(pc)], memory_order_relaxed);
    /* An empty word has the tag of no return address. */
    if (__builtin_expect(word >> UNWIND_RULES_TAG_SHIFT == unwind_rules_tag(pc), 1)) {
        return unwind_rule_unpack(word);
    }
    return unwind_rule_search(pc);
}

#endif
