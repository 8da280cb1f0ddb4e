/*
 * core/eh_frame.h - the row of call frame information that covers an address.
 *
 * Finds .eh_frame through _dl_find_object (glibc 2.35), which takes no lock, and runs
 * the CFA program of the frame description entry up to the address. What the row says
 * about each register is turned into a rule of eight bytes by unwind_rules.c, or used
 * as it is by the walk that carries all registers (unwind_registers.c).
 *
 * Context: async-signal-safe: no libc but _dl_find_object, no allocation.
 * Memory:  about 1 KiB of stack. Reads nothing outside the module's mapping.
 * Source:  System V ABI AMD64 1.0, 3.6.2 (register numbers) and 3.7 (.eh_frame);
 *          LSB 5.0 core generic, 10.6 (.eh_frame, .eh_frame_hdr, augmentations);
 *          DWARF 5, 6.4 (call frame instructions).
 */
#ifndef MEMTRACK_CORE_EH_FRAME_H
#define MEMTRACK_CORE_EH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* DWARF register numbers of x86-64. */
enum { EH_RBX = 3, EH_RBP = 6, EH_RSP = 7, EH_R12 = 12, EH_R15 = 15, EH_RETURN = 16 };
#define EH_REGISTERS 17u

enum eh_rule_kind {
    EH_SAME = 0,        /* unchanged */
    EH_UNDEFINED,       /* lost */
    EH_OFFSET,          /* saved at CFA + offset */
    EH_VALUE_OFFSET,    /* is CFA + offset */
    EH_REGISTER,        /* in register `offset`; as the CFA's rule: see eh_row */
    EH_EXPRESSION,      /* saved at what the expression yields */
    EH_VALUE_EXPRESSION /* is what the expression yields */
};

/* Expressions are byte ranges [base + offset, ... ) that start with their own length (ULEB128). */
struct eh_rule {
    uint32_t kind; /* enum eh_rule_kind */
    int32_t offset;
};

struct eh_row {
    const uint8_t *base; /* start of the module's mapping */
    const uint8_t *end;
    uintptr_t start; /* of the function, or part of one, that the entry covers */
    bool is_signal_frame;
    uint8_t cfa_register; /* CFA = register + cfa.offset, unless cfa.kind is EH_EXPRESSION */
    struct eh_rule cfa;
    struct eh_rule reg[EH_REGISTERS];
};

/* A cursor over untrusted bytes: reading past `end` yields 0 and sets `is_bad`. */
struct eh_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool is_bad;
};

enum eh_result {
    EH_FOUND,
    EH_NO_MODULE, /* no module covers the address: generated code, or no code at all */
    EH_NO_ENTRY,  /* the module has no entry for it */
    EH_BAD        /* the entry cannot be understood */
};

/* Fills in the row for the instruction at `address` (for a return address: minus 1). */
enum eh_result eh_frame_row(uintptr_t address, struct eh_row *row);

/* The same in a given .eh_frame_hdr (`header`) whose module is mapped at [base, end). */
enum eh_result eh_frame_row_in(const uint8_t *base, const uint8_t *end, const uint8_t *header,
                               uintptr_t address, struct eh_row *row);

uint64_t eh_read_uleb(struct eh_reader *reader);
int64_t eh_read_sleb(struct eh_reader *reader);
/* size_bytes is 1, 2, 4 or 8. */
uint64_t eh_read_fixed(struct eh_reader *reader, unsigned size_bytes);

/* Returns a reader over the expression that `rule` of `row` refers to. */
struct eh_reader eh_row_expression(const struct eh_row *row, const struct eh_rule *rule);

#endif
