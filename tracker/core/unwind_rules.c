#include "core/unwind_rules.h"

#include "core/eh_frame.h"
#include "core/raw_syscall.h"

/* Where __restore_rt's CFI and the kernel put the interrupted rbp, rsp and rip, counted
 * from rsp in the signal frame. Source: struct ucontext_t of x86-64 Linux. */
enum { SIGNAL_RBP = 120, SIGNAL_RSP = 160, SIGNAL_RIP = 168 };

enum { OPCODE_DEREF = 0x06, OPCODE_BREG_RBP = 0x76, OPCODE_BREG_RSP = 0x77 };

#define ADDRESS_BITS 47

static _Alignas(4096) _Atomic uint64_t first_words[1u << UNWIND_RULES_LOG2_FIRST];

_Atomic uintptr_t unwind_rules_table = (uintptr_t)first_words + UNWIND_RULES_LOG2_FIRST;

/* What finding no room for a rule counts for among the fills after which the table grows. */
#define FILLS_OF_EVICTION 16u

/* Fills since the table was made. Relaxed: only decides when to grow. */
static _Atomic uint32_t fill_count;
/* Rises with every flush. */
static _Atomic uint32_t flush_count;

static bool expression_is(const struct eh_row *row, const struct eh_rule *rule, uint8_t opcode,
                          int64_t *offset, bool is_dereferenced)
{
    struct eh_reader reader = eh_row_expression(row, rule);
    if (eh_read_fixed(&reader, 1) != opcode) {
        return false;
    }
    *offset = eh_read_sleb(&reader);
    if (is_dereferenced && eh_read_fixed(&reader, 1) != OPCODE_DEREF) {
        return false;
    }
    return !reader.is_bad && reader.at == reader.end;
}

static bool register_is_at(const struct eh_row *row, unsigned number, int64_t wanted)
{
    int64_t offset;
    return row->reg[number].kind == EH_EXPRESSION
           && expression_is(row, &row->reg[number], OPCODE_BREG_RSP, &offset, false)
           && offset == wanted;
}

static bool row_is_signal_frame(const struct eh_row *row)
{
    int64_t offset;
    return row->is_signal_frame && row->cfa.kind == EH_EXPRESSION
           && expression_is(row, &row->cfa, OPCODE_BREG_RSP, &offset, true) && offset == SIGNAL_RSP
           && register_is_at(row, EH_RBP, SIGNAL_RBP) && register_is_at(row, EH_RETURN, SIGNAL_RIP);
}

static bool row_is_realigned(const struct eh_row *row, int64_t *cfa_offset)
{
    int64_t rbp_offset;
    return row->cfa.kind == EH_EXPRESSION
           && expression_is(row, &row->cfa, OPCODE_BREG_RBP, cfa_offset, true)
           && *cfa_offset % 8 == 0 && row->reg[EH_RBP].kind == EH_EXPRESSION
           && expression_is(row, &row->reg[EH_RBP], OPCODE_BREG_RBP, &rbp_offset, false)
           && rbp_offset == 0;
}

static unwind_rule_t rule_from_row(const struct eh_row *row)
{
    const unwind_rule_t needs_registers = UNWIND_REGISTERS;
    const struct eh_rule *ra = &row->reg[EH_RETURN];
    const struct eh_rule *rbp = &row->reg[EH_RBP];
    int64_t cfa_offset;

    if (ra->kind == EH_UNDEFINED) {
        return UNWIND_LAST;
    }
    if (row_is_signal_frame(row)) {
        return UNWIND_SIGNAL;
    }
    if (ra->kind != EH_OFFSET || ra->offset != -8 || row->reg[EH_RSP].kind != EH_SAME
        || row->is_signal_frame) {
        return needs_registers;
    }
    if (row_is_realigned(row, &cfa_offset)) {
        return unwind_rule_make(UNWIND_DRAP, cfa_offset, 0);
    }
    if (row->cfa.kind != EH_REGISTER || row->cfa.offset % 8 != 0) {
        return needs_registers;
    }
    uint64_t rbp_distance = 0;
    if (rbp->kind == EH_OFFSET) {
        if (rbp->offset >= 0 || rbp->offset % 8 != 0 || rbp->offset < -0x07fffff8) {
            return needs_registers;
        }
        rbp_distance = (uint64_t)-rbp->offset;
    } else if (rbp->kind != EH_SAME && rbp->kind != EH_UNDEFINED) {
        return needs_registers;
    }
    if (row->cfa_register == EH_RSP) {
        return unwind_rule_make(UNWIND_RSP, row->cfa.offset, rbp_distance);
    }
    if (row->cfa_register == EH_RBP) {
        return unwind_rule_make(UNWIND_RBP, row->cfa.offset, rbp_distance);
    }
    return needs_registers;
}

/* Returns the table's word, or 0 where the rule has no room in one. */
static uint64_t word_pack(uintptr_t pc, unwind_rule_t rule)
{
    int64_t cfa = (int64_t)rule >> 32;
    uint64_t rbp_distance = unwind_rule_rbp_distance(rule);
    if (cfa < -(1 << 13) || cfa >= (1 << 13) || rbp_distance > 0x7f8 || pc >> ADDRESS_BITS != 0) {
        return 0;
    }
    return unwind_rules_tag(pc) << UNWIND_RULES_TAG_SHIFT | ((uint64_t)cfa & 0x3fff) << 11
           | rbp_distance | (rule & 7);
}

#define WORD_BESIDE (UNWIND_RULES_BESIDE << UNWIND_RULES_TAG_SHIFT)

/* From an address's own line to the other one that may have its rule. Not to the next ones: where
 * a region is short of room, those around it are, too; and not one for the whole region. */
static uint64_t line_step(uintptr_t pc)
{
    return (1 + ((pc >> (UNWIND_RULES_REGION_LOG2 - 3)) & 7)) << 5;
}

/* The address that a word in `line` is for. */
static uintptr_t word_address(uint64_t word, uint64_t line, unsigned log2)
{
    uint64_t tag = word >> UNWIND_RULES_TAG_SHIFT;
    uint64_t known = (tag >> (UNWIND_RULES_REGION_LOG2 + 1)) << UNWIND_RULES_KNOWN_LOG2;
    line ^= (tag & UNWIND_RULES_BESIDE) != 0 ? line_step(tag) : 0;
    uint64_t regions = line ^ unwind_rules_line(known, log2);
    uint64_t here = UNWIND_RULES_BESIDE - 1;
    return known
           | (((regions << UNWIND_RULES_REGION_LOG2) & ~(~UINT64_C(0) << UNWIND_RULES_KNOWN_LOG2)))
           | (tag & here);
}

static _Atomic uint64_t *line_at(uintptr_t table, uint64_t line)
{
    return (_Atomic uint64_t *)(table & ~(uintptr_t)63) + line * UNWIND_RULES_LINE_WORDS;
}

/* Returns the slot of the word for `pc` in its line or in its other one, else the first empty
 * one, else NULL. *found is the word, 0 where there is none. */
static _Atomic uint64_t *slot_find(uintptr_t table, uintptr_t pc, uint64_t *found)
{
    uint64_t line = unwind_rules_line(pc, table & 63);
    uint64_t tag = unwind_rules_tag(pc);
    for (int i = 0; i < 2; i++, line ^= line_step(pc), tag |= UNWIND_RULES_BESIDE) {
        _Atomic uint64_t *words = line_at(table, line);
        for (unsigned j = 0; j < UNWIND_RULES_LINE_WORDS; j++) {
            _Atomic uint64_t *slot = &words[(unwind_rules_place(pc) + j) % UNWIND_RULES_LINE_WORDS];
            uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);
            if (word == 0 || word >> UNWIND_RULES_TAG_SHIFT == tag) {
                *found = word;
                return slot;
            }
        }
    }
    *found = 0;
    return NULL;
}

/* Puts a word that is packed for its own line. Returns its slot; *is_evicted tells whether
 * another rule had to go. */
static _Atomic uint64_t *word_put(uintptr_t table, uintptr_t pc, uint64_t word, bool *is_evicted)
{
    uint64_t line = unwind_rules_line(pc, table & 63);
    uint64_t found;
    _Atomic uint64_t *slot = slot_find(table, pc, &found);
    *is_evicted = slot == NULL;
    if (slot == NULL) {
        slot = line_at(table, line) + unwind_rules_place(pc);
    }
    if ((uint64_t)(slot - line_at(table, 0)) / UNWIND_RULES_LINE_WORDS != line) {
        word |= WORD_BESIDE;
    }
    atomic_store_explicit(slot, word, memory_order_seq_cst);
    return slot;
}

#define LOG2_LAST 18u

static unsigned log2_next(unsigned log2)
{
    return log2 == UNWIND_RULES_LOG2_FIRST ? 15 : LOG2_LAST;
}

/* Programs that need the largest table look up all over it: a huge page saves most of the
 * TLB misses. Where there is none to be had, small pages come one by one. */
_Static_assert(sizeof(uint64_t) << LOG2_LAST == RAW_HUGE_PAGE_BYTES, "the largest table is one");

static void *words_map(unsigned log2)
{
    if (log2 != LOG2_LAST) {
        return raw_map_lazy(sizeof(uint64_t) << log2);
    }
    return raw_map_huge_page();
}

static void words_unmap(void *words, unsigned log2)
{
    raw_unmap(words, log2 == LOG2_LAST ? RAW_HUGE_PAGE_BYTES : sizeof(uint64_t) << log2);
}

/* Makes a larger table with the old one's rules. A thread that loses the race leaves the
 * winner's. */
static void table_grow(uintptr_t table)
{
    unsigned log2 = (unsigned)(table & 63);
    unsigned log2_new = log2_next(log2);
    if (log2 == log2_new) {
        return;
    }
    uint32_t flushes = atomic_load_explicit(&flush_count, memory_order_acquire);
    void *words_new = words_map(log2_new);
    if (words_new == NULL) {
        return;
    }
    uintptr_t table_new = (uintptr_t)words_new | log2_new;
    const _Atomic uint64_t *words = line_at(table, 0);
    for (uint64_t i = 0; i < UINT64_C(1) << log2; i++) {
        uint64_t word = atomic_load_explicit(&words[i], memory_order_relaxed);
        bool is_evicted;
        if (word != 0) {
            word_put(table_new, word_address(word, i / UNWIND_RULES_LINE_WORDS, log2),
                     word & ~WORD_BESIDE, &is_evicted);
        }
    }
    /* A flush meanwhile may have emptied the old table only. */
    if (atomic_load_explicit(&flush_count, memory_order_acquire) != flushes
        || !atomic_compare_exchange_strong(&unwind_rules_table, &table, table_new)) {
        words_unmap(words_new, log2_new);
        return;
    }
    atomic_store_explicit(&fill_count, 0, memory_order_relaxed);
}

static void rule_store(uintptr_t pc, unwind_rule_t rule, uint32_t flushes)
{
    uint64_t word = word_pack(pc, rule);
    if (word == 0) {
        return;
    }
    uintptr_t table = atomic_load_explicit(&unwind_rules_table, memory_order_acquire);
    uint32_t fills = atomic_fetch_add_explicit(&fill_count, 1, memory_order_relaxed);
    if (fills > (UINT32_C(1) << (table & 63)) / 4) {
        table_grow(table);
        table = atomic_load_explicit(&unwind_rules_table, memory_order_acquire);
    }
    bool is_evicted;
    _Atomic uint64_t *slot = word_put(table, pc, word, &is_evicted);
    if (is_evicted) {
        atomic_fetch_add_explicit(&fill_count, FILLS_OF_EVICTION, memory_order_relaxed);
    }
    if (atomic_load_explicit(&flush_count, memory_order_seq_cst) != flushes) {
        atomic_store_explicit(slot, 0, memory_order_relaxed);
    }
}

/* Nothing covers the byte before `pc`, but a function begins at it. Nobody called from
 * there: the address was put on the stack by hand, as that of a signal trampoline, or as
 * what a coroutine's first function returns to (makecontext), where the stack ends. */
static unwind_rule_t rule_of_planted_address(uintptr_t pc)
{
    struct eh_row row;
    if (eh_frame_row(pc, &row) != EH_FOUND || row.start != pc) {
        return UNWIND_NONE;
    }
    return row.is_signal_frame ? rule_from_row(&row) : UNWIND_LAST;
}

__attribute__((noinline, cold)) unwind_rule_t unwind_rule_compile(uintptr_t pc)
{
    uint32_t flushes = atomic_load_explicit(&flush_count, memory_order_acquire);
    struct eh_row row;
    unwind_rule_t rule = UNWIND_NONE;
    switch (eh_frame_row(pc - 1, &row)) {
    case EH_FOUND:
        rule = rule_from_row(&row);
        break;
    case EH_NO_ENTRY:
        rule = rule_of_planted_address(pc);
        break;
    case EH_NO_MODULE:
    case EH_BAD:
    default:
        break;
    }
    if (rule != UNWIND_NONE) {
        rule_store(pc, rule, flushes);
    }
    return rule;
}

__attribute__((noinline)) unwind_rule_t unwind_rule_search(uintptr_t pc)
{
    uintptr_t table = atomic_load_explicit(&unwind_rules_table, memory_order_acquire);
    uint64_t word;
    slot_find(table, pc, &word);
    return word != 0 ? unwind_rule_unpack(word) : unwind_rule_compile(pc);
}

void unwind_rules_flush(void)
{
    atomic_fetch_add_explicit(&flush_count, 1, memory_order_seq_cst);
    uintptr_t table = atomic_load_explicit(&unwind_rules_table, memory_order_seq_cst);
    _Atomic uint64_t *words = line_at(table, 0);
    for (uint64_t i = 0; i < UINT64_C(1) << (table & 63); i++) {
        if (atomic_load_explicit(&words[i], memory_order_relaxed) != 0) {
            atomic_store_explicit(&words[i], 0, memory_order_relaxed);
        }
    }
}
