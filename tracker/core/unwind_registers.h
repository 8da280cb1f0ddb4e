/*
 * core/unwind_registers.h - the walk that carries every register: for frames whose rules
 * are DWARF expressions or whose CFA is in a register other than rsp and rbp
 * (ld.so's lazy binding uses rbx, realigned prologues r10).
 *
 * Several hundred nanoseconds a frame: it interprets the call frame information anew in
 * each step and caches nothing.
 *
 * Context: async-signal-safe. Memory: about 2 KiB of stack.
 * Source: DWARF 5, 2.5 (expressions) and 6.4.
 */
#ifndef MEMTRACK_CORE_UNWIND_REGISTERS_H
#define MEMTRACK_CORE_UNWIND_REGISTERS_H

#include "core/eh_frame.h"
#include "core/unwind.h"

/* Register values by DWARF number; value[EH_RETURN] is the pc as in struct unwind_state.
 * A register without its bit in `known` was lost on the way. */
struct unwind_registers {
    uintptr_t value[EH_REGISTERS];
    uint32_t known;
};

/* Fills in the state of the function it is expanded in: what the ABI lets it keep. */
#define UNWIND_REGISTERS_HERE(registers)                                                           \
    do {                                                                                           \
        uintptr_t *here = (registers).value;                                                       \
        __asm__ volatile("movq %%rbx, 24(%0)\n\t"                                                  \
                         "movq %%rbp, 48(%0)\n\t"                                                  \
                         "movq %%rsp, 56(%0)\n\t"                                                  \
                         "movq %%r12, 96(%0)\n\t"                                                  \
                         "movq %%r13, 104(%0)\n\t"                                                 \
                         "movq %%r14, 112(%0)\n\t"                                                 \
                         "movq %%r15, 120(%0)\n\t"                                                 \
                         "leaq 1f(%%rip), %%rax\n\t"                                               \
                         "1: incq %%rax\n\t"                                                       \
                         "movq %%rax, 128(%0)"                                                     \
                         :                                                                         \
                         : "r"(here)                                                               \
                         : "rax", "memory", "cc");                                                 \
        (registers).known =                                                                        \
            1u << EH_RBX | 1u << EH_RBP | 1u << EH_RSP | 15u << EH_R12 | 1u << EH_RETURN;          \
    } while (0)

/* One step. Outcomes as in unwind.h, except UNWIND_NEEDS_REGISTERS: what cannot be
 * followed here is UNWIND_LOST. On anything but a step *registers is unchanged. */
enum unwind_outcome unwind_step_registers(struct unwind_registers *registers,
                                          struct unwind_pages *pages);

#endif
