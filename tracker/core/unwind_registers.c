#include "core/unwind_registers.h"

#include "core/raw_syscall.h"

#include <string.h>

#define STACK_WORDS 32u
#define OPERATIONS_MAX 1000u /* branches can loop */

struct evaluation {
    const struct unwind_registers *registers;
    struct unwind_pages *pages;
    struct eh_reader code;
    uint64_t stack[STACK_WORDS];
    unsigned depth;
    bool has_failed;
};

static void push(struct evaluation *run, uint64_t value)
{
    if (run->depth == STACK_WORDS) {
        run->has_failed = true;
        return;
    }
    run->stack[run->depth++] = value;
}

static uint64_t pop(struct evaluation *run)
{
    if (run->depth == 0) {
        run->has_failed = true;
        return 0;
    }
    return run->stack[--run->depth];
}

static uint64_t pick(struct evaluation *run, uint64_t index)
{
    if (index >= run->depth) {
        run->has_failed = true;
        return 0;
    }
    return run->stack[run->depth - 1 - index];
}

UNWIND_READS_STACKS static uint64_t load(struct evaluation *run, uint64_t address)
{
    if (!unwind_readable(run->pages, address)) {
        run->has_failed = true;
        return 0;
    }
    return unwind_load(address);
}

static void push_register(struct evaluation *run, uint64_t number, int64_t offset)
{
    if (number >= EH_REGISTERS || (run->registers->known >> number & 1) == 0) {
        run->has_failed = true;
        return;
    }
    push(run, run->registers->value[number] - (number == EH_RETURN) + (uint64_t)offset);
}

static void binary(struct evaluation *run, uint8_t opcode)
{
    uint64_t right = pop(run);
    uint64_t left = pop(run);
    int64_t signed_left = (int64_t)left;
    int64_t signed_right = (int64_t)right;
    bool can_divide = right != 0 && !(signed_left == INT64_MIN && signed_right == -1);
    switch (opcode) {
    case 0x1a:
        push(run, left & right);
        break;
    case 0x1b:
    case 0x1d:
        if (!can_divide) {
            run->has_failed = true;
            break;
        }
        push(run, opcode == 0x1b ? (uint64_t)(signed_left / signed_right) : left % right);
        break;
    case 0x1c:
        push(run, left - right);
        break;
    case 0x1e:
        push(run, left * right);
        break;
    case 0x21:
        push(run, left | right);
        break;
    case 0x22:
        push(run, left + right);
        break;
    case 0x24:
        push(run, right < 64 ? left << right : 0);
        break;
    case 0x25:
        push(run, right < 64 ? left >> right : 0);
        break;
    case 0x26:
        push(run, (uint64_t)(signed_left >> (right < 63 ? right : 63)));
        break;
    case 0x27:
        push(run, left ^ right);
        break;
    case 0x29:
        push(run, signed_left == signed_right);
        break;
    case 0x2a:
        push(run, signed_left >= signed_right);
        break;
    case 0x2b:
        push(run, signed_left > signed_right);
        break;
    case 0x2c:
        push(run, signed_left <= signed_right);
        break;
    case 0x2d:
        push(run, signed_left < signed_right);
        break;
    case 0x2e:
        push(run, signed_left != signed_right);
        break;
    default:
        run->has_failed = true;
    }
}

static void branch(struct evaluation *run, const struct eh_reader *whole)
{
    int16_t distance = (int16_t)eh_read_fixed(&run->code, 2);
    if (distance < whole->at - run->code.at || distance > run->code.end - run->code.at) {
        run->has_failed = true;
        return;
    }
    run->code.at += distance;
}

/* Constants: 0x08 .. 0x11, signed and unsigned of 1, 2, 4, 8 bytes, then LEB128. */
static uint64_t constant(struct eh_reader *code, uint8_t opcode)
{
    switch (opcode) {
    case 0x08:
        return eh_read_fixed(code, 1);
    case 0x09:
        return (uint64_t)(int8_t)eh_read_fixed(code, 1);
    case 0x0a:
        return eh_read_fixed(code, 2);
    case 0x0b:
        return (uint64_t)(int16_t)eh_read_fixed(code, 2);
    case 0x0c:
        return eh_read_fixed(code, 4);
    case 0x0d:
        return (uint64_t)(int32_t)eh_read_fixed(code, 4);
    case 0x10:
        return eh_read_uleb(code);
    case 0x11:
        return (uint64_t)eh_read_sleb(code);
    default:
        return eh_read_fixed(code, 8);
    }
}

static void stack_operation(struct evaluation *run, uint8_t opcode)
{
    uint64_t first;
    uint64_t second;
    uint64_t third;
    switch (opcode) {
    case 0x12: /* dup */
        push(run, pick(run, 0));
        break;
    case 0x13: /* drop */
        pop(run);
        break;
    case 0x14: /* over */
        push(run, pick(run, 1));
        break;
    case 0x15: /* pick */
        push(run, pick(run, eh_read_fixed(&run->code, 1)));
        break;
    case 0x16: /* swap */
        first = pop(run);
        second = pop(run);
        push(run, first);
        push(run, second);
        break;
    default: /* rot */
        first = pop(run);
        second = pop(run);
        third = pop(run);
        push(run, first);
        push(run, third);
        push(run, second);
    }
}

static void unary(struct evaluation *run, uint8_t opcode)
{
    uint64_t value = pop(run);
    switch (opcode) {
    case 0x06: /* deref */
        push(run, load(run, value));
        break;
    case 0x19: /* abs */
        push(run, (int64_t)value < 0 ? 0 - value : value);
        break;
    case 0x1f: /* neg */
        push(run, 0 - value);
        break;
    case 0x20: /* not */
        push(run, ~value);
        break;
    default: /* plus_uconst */
        push(run, value + eh_read_uleb(&run->code));
    }
}

static void operate(struct evaluation *run, const struct eh_reader *whole)
{
    uint8_t opcode = (uint8_t)eh_read_fixed(&run->code, 1);
    if (opcode == 0x03 || (opcode >= 0x08 && opcode <= 0x11)) {
        push(run, constant(&run->code, opcode));
    } else if (opcode >= 0x12 && opcode <= 0x17) {
        stack_operation(run, opcode);
    } else if (opcode == 0x06 || opcode == 0x19 || opcode == 0x1f || opcode == 0x20
               || opcode == 0x23) {
        unary(run, opcode);
    } else if (opcode == 0x28) { /* bra */
        struct eh_reader next = run->code;
        if (pop(run) != 0) {
            branch(run, whole);
        } else {
            eh_read_fixed(&next, 2);
            run->code = next;
        }
    } else if (opcode == 0x2f) { /* skip */
        branch(run, whole);
    } else if (opcode >= 0x1a && opcode <= 0x2e) {
        binary(run, opcode);
    } else if (opcode >= 0x30 && opcode <= 0x4f) { /* lit0 .. lit31 */
        push(run, opcode - 0x30u);
    } else if (opcode >= 0x70 && opcode <= 0x8f) { /* breg0 .. breg31 */
        push_register(run, opcode - 0x70u, eh_read_sleb(&run->code));
    } else if (opcode == 0x92) { /* bregx */
        uint64_t number = eh_read_uleb(&run->code);
        push_register(run, number, eh_read_sleb(&run->code));
    } else if (opcode != 0x96) { /* nop */
        run->has_failed = true;
    }
}

/* `initial` is pushed first where it is not NULL. */
static bool evaluate(const struct eh_row *row, const struct eh_rule *rule,
                     const struct unwind_registers *registers, const uintptr_t *initial,
                     struct unwind_pages *pages, uintptr_t *result)
{
    struct eh_reader whole = eh_row_expression(row, rule);
    struct evaluation run = {.registers = registers, .pages = pages, .code = whole};
    if (initial != NULL) {
        push(&run, *initial);
    }
    for (unsigned count = 0; run.code.at < run.code.end; count++) {
        operate(&run, &whole);
        if (run.has_failed || run.code.is_bad || count == OPERATIONS_MAX) {
            return false;
        }
    }
    *result = pop(&run);
    return !run.has_failed && !whole.is_bad;
}

/* Applies one register's rule. Returns false where the register's value is lost. */
UNWIND_READS_STACKS static bool register_restore(const struct eh_row *row, unsigned number,
                                                 uintptr_t cfa, const struct unwind_registers *old,
                                                 struct unwind_pages *pages, uintptr_t *value)
{
    const struct eh_rule *rule = &row->reg[number];
    uintptr_t place = cfa + (uintptr_t)(intptr_t)rule->offset;
    switch ((enum eh_rule_kind)rule->kind) {
    case EH_SAME:
        if (number == EH_RSP) {
            *value = cfa;
            return true;
        }
        *value = old->value[number];
        return (old->known >> number & 1) != 0;
    case EH_VALUE_OFFSET:
        *value = place;
        return true;
    case EH_REGISTER:
        if (rule->offset < 0 || (uint32_t)rule->offset >= EH_REGISTERS
            || (old->known >> rule->offset & 1) == 0) {
            return false;
        }
        *value = old->value[rule->offset];
        return true;
    case EH_VALUE_EXPRESSION:
        return evaluate(row, rule, old, &cfa, pages, value);
    case EH_EXPRESSION:
        if (!evaluate(row, rule, old, &cfa, pages, &place)) {
            return false;
        }
        break;
    case EH_OFFSET:
        break;
    case EH_UNDEFINED:
    default:
        return false;
    }
    if (!unwind_readable(pages, place)) {
        return false;
    }
    *value = unwind_load(place);
    return true;
}

static bool cfa_find(const struct eh_row *row, const struct unwind_registers *registers,
                     struct unwind_pages *pages, uintptr_t *cfa)
{
    if (row->cfa.kind == EH_EXPRESSION) {
        return evaluate(row, &row->cfa, registers, NULL, pages, cfa);
    }
    if (row->cfa.kind != EH_REGISTER || (registers->known >> row->cfa_register & 1) == 0) {
        return false;
    }
    *cfa = registers->value[row->cfa_register] + (uintptr_t)(intptr_t)row->cfa.offset;
    return true;
}

static enum unwind_outcome step_without_row(struct unwind_registers *registers,
                                            struct unwind_pages *pages)
{
    struct unwind_state state = {.pc = registers->value[EH_RETURN],
                                 .sp = registers->value[EH_RSP],
                                 .bp = registers->value[EH_RBP]};
    unwind_rule_t rule = UNWIND_NONE;
    if ((registers->known >> EH_RBP & 1) == 0) {
        return UNWIND_LOST;
    }
    enum unwind_outcome outcome = unwind_guess(&state, &rule, pages);
    if (outcome == UNWIND_STEPPED || outcome == UNWIND_GUESSED) {
        registers->value[EH_RETURN] = state.pc;
        registers->value[EH_RSP] = state.sp;
        registers->value[EH_RBP] = state.bp;
        registers->known = 1u << EH_RETURN | 1u << EH_RSP | 1u << EH_RBP;
    }
    return outcome;
}

enum unwind_outcome unwind_step_registers(struct unwind_registers *registers,
                                          struct unwind_pages *pages)
{
    struct eh_row row;
    struct unwind_registers caller = {.known = 0};
    uintptr_t cfa;

    if (eh_frame_row(registers->value[EH_RETURN] - 1, &row) != EH_FOUND) {
        return step_without_row(registers, pages);
    }
    if (row.reg[EH_RETURN].kind == EH_UNDEFINED) {
        return UNWIND_ENDED;
    }
    if (!cfa_find(&row, registers, pages, &cfa)) {
        return UNWIND_LOST;
    }
    for (unsigned number = 0; number < EH_REGISTERS; number++) {
        if (register_restore(&row, number, cfa, registers, pages, &caller.value[number])) {
            caller.known |= 1u << number;
        }
    }
    if ((caller.known >> EH_RETURN & 1) == 0 || (caller.known >> EH_RSP & 1) == 0
        || row.reg[EH_RETURN].kind == EH_SAME) {
        return UNWIND_LOST;
    }
    if (caller.value[EH_RETURN] == 0) {
        return UNWIND_ENDED;
    }
    if (row.is_signal_frame) {
        caller.value[EH_RETURN]++;
    }
    *registers = caller;
    return UNWIND_STEPPED;
}
