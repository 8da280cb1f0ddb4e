#include "core/unwind.h"

#include "core/raw_syscall.h"

#include <string.h>

/* rt_sigprocmask copies the new mask in before it looks at `how`: with an impossible
 * `how` it changes nothing and tells EFAULT from EINVAL. Every seccomp filter that lets
 * a program run at all allows it, which cannot be said of process_vm_readv or mincore. */
bool unwind_probe(uintptr_t address)
{
    const long efault = -14;
    /* NULL means "no new mask" to it. */
    return address != 0
           && raw_syscall6(SYS_rt_sigprocmask, -1, (long)address, 0, 8, 0, 0) != efault;
}

#define PAGE_WORDS (4096u / 8u)
#define RANGE_WORDS_MAX (64u * PAGE_WORDS)

/* The range grows page by page, as stacks do; another stack gets a range of its own. */
static void range_take(struct unwind_pages *pages, uintptr_t page)
{
    bool has_room = pages->words < RANGE_WORDS_MAX;
    if (has_room && page + 4096 == pages->start) {
        pages->start = page;
        pages->words += PAGE_WORDS;
    } else if (has_room && page == pages->start + pages->words * 8) {
        pages->words += PAGE_WORDS;
    } else {
        pages->start = page;
        pages->words = PAGE_WORDS;
    }
}

__attribute__((noinline)) bool unwind_page_probe(struct unwind_pages *pages, uintptr_t address)
{
    uintptr_t page_plus_1 = (address >> 12) + 1;
    if ((address & 7) != 0) {
        return false;
    }
    if (pages->page_plus_1[page_plus_1 % UNWIND_PAGES] != page_plus_1) {
        if (!unwind_probe(address)) {
            return false;
        }
        pages->page_plus_1[page_plus_1 % UNWIND_PAGES] = page_plus_1;
    }
    range_take(pages, address & ~(uintptr_t)4095);
    return true;
}

/* True for `mov $15, %rax` (7 or 5 bytes long) followed by `syscall`: what sa_restorer
 * points at in programs whose libc gives it no unwind information. */
static bool is_signal_trampoline(uintptr_t pc)
{
    static const uint8_t long_form[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
    static const uint8_t short_form[] = {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};
    if (!unwind_probe(pc) || ((pc & 4095) > 4080 && !unwind_probe(pc + 8))) {
        return false;
    }
    const void *code = (const void *)pc; // NOLINT(performance-no-int-to-ptr)
    return memcmp(code, long_form, sizeof long_form) == 0
           || memcmp(code, short_form, sizeof short_form) == 0;
}

/* Pages are not remembered here: a guess may lead anywhere, and what was readable once
 * may be a stack that is gone. */
static bool is_readable_now(uintptr_t address, uintptr_t known)
{
    return address >> 12 == known >> 12 || unwind_probe(address);
}

UNWIND_READS_STACKS enum unwind_outcome
unwind_guess(struct unwind_state *state, unwind_rule_t *rule, struct unwind_pages *pages)
{
    uintptr_t bp = state->bp;
    if (is_signal_trampoline(state->pc)) {
        *rule = UNWIND_SIGNAL;
        return unwind_step_rare(state, rule, pages);
    }
    if (bp < state->sp || bp - state->sp > UNWIND_GUESS_BYTES || (bp & 7) != 0) {
        return UNWIND_LOST;
    }
    if (!is_readable_now(bp, state->sp - 8) || !is_readable_now(bp + 8, bp)
        || unwind_load(bp + 8) == 0) {
        return UNWIND_UNREADABLE;
    }
    *state = (struct unwind_state){.pc = unwind_load(bp + 8), .sp = bp + 16, .bp = unwind_load(bp)};
    return UNWIND_GUESSED;
}

UNWIND_READS_STACKS static enum unwind_outcome
step_realigned(struct unwind_state *state, unwind_rule_t rule, struct unwind_pages *pages)
{
    uintptr_t slot = state->bp + (uintptr_t)unwind_rule_cfa_offset(rule);
    if (!unwind_readable(pages, slot) || !unwind_readable(pages, state->bp)) {
        return UNWIND_UNREADABLE;
    }
    uintptr_t cfa = unwind_load(slot);
    if (!unwind_readable(pages, cfa - 8)) {
        return UNWIND_UNREADABLE;
    }
    uintptr_t pc = unwind_load(cfa - 8);
    if (pc == 0) {
        return UNWIND_ENDED;
    }
    *state = (struct unwind_state){.pc = pc, .sp = cfa, .bp = unwind_load(state->bp)};
    return UNWIND_STEPPED;
}

UNWIND_READS_STACKS static enum unwind_outcome step_signal(struct unwind_state *state,
                                                           struct unwind_pages *pages)
{
    uintptr_t sp = state->sp;
    if (!unwind_readable(pages, sp + UNWIND_SIGNAL_RBP)
        || !unwind_readable(pages, sp + UNWIND_SIGNAL_RIP)) {
        return UNWIND_UNREADABLE;
    }
    uintptr_t rip = unwind_load(sp + UNWIND_SIGNAL_RIP);
    if (rip == 0) { /* the program jumped to 0: its caller is what it wants to see */
        return UNWIND_ENDED;
    }
    *state = (struct unwind_state){.pc = rip + 1,
                                   .sp = unwind_load(sp + UNWIND_SIGNAL_RSP),
                                   .bp = unwind_load(sp + UNWIND_SIGNAL_RBP)};
    return UNWIND_STEPPED;
}

__attribute__((noinline)) enum unwind_outcome
unwind_step_rare(struct unwind_state *state, unwind_rule_t *rule, struct unwind_pages *pages)
{
    switch (unwind_rule_kind(*rule)) {
    case UNWIND_DRAP:
        return step_realigned(state, *rule, pages);
    case UNWIND_SIGNAL:
        return step_signal(state, pages);
    case UNWIND_LAST:
        return UNWIND_ENDED;
    case UNWIND_NONE:
        return unwind_guess(state, rule, pages);
    case UNWIND_REGISTERS:
    case UNWIND_RSP:
    case UNWIND_RBP:
    default:
        return UNWIND_NEEDS_REGISTERS;
    }
}
