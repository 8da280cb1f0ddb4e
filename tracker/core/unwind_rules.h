/*
 * core/unwind_rules.h - return address -> how to leave that frame, in eight bytes.
 *
 * Nearly every row of call frame information says: the CFA is rsp or rbp plus a
 * constant, the return address is just below it, rbp is unchanged or saved at another
 * constant. Such rows are compiled into a word and kept in one table for the process.
 *
 *   63                     29 28          15 14          3 2  0
 *  +-------------------------+--------------+-------------+----+
 *  | tag: address bits       | CFA offset/8 | (CFA - rbp  |kind|   0: empty
 *  | 14.. and 1..0           | signed       |  slot)/8    |    |
 *  +-------------------------+--------------+-------------+----+
 *
 * The slot's index is the address's remaining bits, scrambled by the bits in the tag,
 * so index and tag together are the whole address: a hit is exact. Direct mapped;
 * starts with 2^12 words, grows to 2^18.
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
#define UNWIND_RULES_TAG_SHIFT 29

/* Address of the table, page-aligned, with log2 of its words in the low bits. */
extern _Atomic uintptr_t unwind_rules_table;

/* Compiles the rule for `pc` and caches it. */
unwind_rule_t unwind_rule_compile(uintptr_t pc);

/* Forgets all rules: modules were unloaded. Slow. Rules that other threads are compiling
 * meanwhile are not kept. */
void unwind_rules_flush(void);

static inline uint64_t unwind_rules_index(uintptr_t pc, unsigned log2)
{
    uint64_t upper = pc >> (2 + log2);
    return ((pc >> 2) ^ ((upper * UINT64_C(0x9e3779b97f4a7c15)) >> 40))
           & ((UINT64_C(1) << log2) - 1);
}

static inline uint64_t unwind_rules_tag(uintptr_t pc)
{
    return ((pc >> (2 + UNWIND_RULES_LOG2_FIRST)) << 2) | (pc & 3);
}

/* Returns the rule for the frame that `pc` returns into. */
static inline unwind_rule_t unwind_rule(uintptr_t pc)
{
    uintptr_t table = atomic_load_explicit(&unwind_rules_table, memory_order_acquire);
    if (__builtin_expect(table != 0, 1)) {
        const _Atomic uint64_t *words = (const _Atomic uint64_t *)(table & ~(uintptr_t)63);
        uint64_t word =
            atomic_load_explicit(&words[unwind_rules_index(pc, table & 63)], memory_order_relaxed);
        if (__builtin_expect(word >> UNWIND_RULES_TAG_SHIFT == unwind_rules_tag(pc), 1)
            && (word & 7) != 0) {
            uint64_t cfa = (uint64_t)((int64_t)(word << 35) >> 50); /* signed bits 15..28 */
            return (word & 0x7fffu) | cfa << 32;
        }
    }
    return unwind_rule_compile(pc);
}

#endif
