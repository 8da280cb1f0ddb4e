#include <dlfcn.h>
#include <stdlib.h>

#include "support/test_arena.h"

#include "core/eh_frame.h"
#include "core/unwind.h"
#include "core/unwind_registers.h"
#include "core/unwind_rules.h"

#define NOINLINE __attribute__((noinline))

static void unwind_rules_line_and_tag_are_the_whole_address(void **state)
{
    (void)state;
    srandom(7);
    for (int i = 0; i < 100000; i++) {
        uintptr_t a = ((uintptr_t)random() << 20 ^ (uintptr_t)random()) & 0x7fffffffffff;
        uintptr_t b = i % 2 ? a ^ (uintptr_t)1 << (random() % 47)
                            : ((uintptr_t)random() << 20 ^ (uintptr_t)random()) & 0x7fffffffffff;
        for (unsigned log2 = UNWIND_RULES_LOG2_FIRST; log2 <= 18; log2++) {
            bool is_same = unwind_rules_line(a, log2) == unwind_rules_line(b, log2)
                           && unwind_rules_tag(a) == unwind_rules_tag(b);
            assert_int_equal(is_same, a == b);
        }
    }
}

static void unwind_rule_make_keeps_its_parts(void **state)
{
    (void)state;
    static const int64_t offsets[] = {8, 16, -64, 131064, 131072, 1 << 24, -(1 << 20)};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        unwind_rule_t rule = unwind_rule_make(UNWIND_RBP, offsets[i], 48);
        assert_int_equal(unwind_rule_kind(rule), UNWIND_RBP);
        assert_int_equal(unwind_rule_cfa_offset(rule), offsets[i]);
        assert_int_equal(unwind_rule_rbp_distance(rule), 48);
    }
}

NOINLINE static uintptr_t own_return_address(void)
{
    return (uintptr_t)__builtin_return_address(0);
}

static void unwind_rule_is_the_same_compiled_and_cached(void **state)
{
    (void)state;
    uintptr_t pc = own_return_address();
    unwind_rules_flush();
    unwind_rule_t compiled = unwind_rule(pc);
    assert_int_not_equal(unwind_rule_kind(compiled), UNWIND_NONE);
    assert_int_equal(unwind_rule(pc), compiled);
    assert_int_equal(unwind_rule_compile(pc), compiled);
}

/* Looks up rules all over libc until the table has grown to its full size. */
static void unwind_rules_survive_the_growth_of_their_table(void **state)
{
    (void)state;
    uintptr_t pc = own_return_address();
    unwind_rule_t rule = unwind_rule(pc);
    struct dl_find_object libc;
    assert_int_equal(_dl_find_object((void *)(uintptr_t)&qsort, &libc), 0);
    uintptr_t start = (uintptr_t)&qsort & ~(uintptr_t)0xffff;
    unsigned log2_before = (unsigned)(unwind_rules_table & 63);
    for (uintptr_t at = start; at < start + 0x40000; at += 3) {
        unwind_rule_t first = unwind_rule(at);
        assert_int_equal(unwind_rule(at), first);
    }
    assert_true((unwind_rules_table & 63) > log2_before);
    assert_int_equal(unwind_rule(pc), rule);
    for (uintptr_t at = start; at < start + 0x40000; at += 3) {
        assert_int_equal(unwind_rule(at), unwind_rule_compile(at));
    }
}

static void unwind_rule_is_none_outside_of_modules(void **state)
{
    (void)state;
    unsigned char *data = malloc(64);
    assert_int_equal(unwind_rule((uintptr_t)data), UNWIND_NONE);
    assert_int_equal(unwind_rule(1), UNWIND_NONE);
    assert_int_equal(unwind_rule(UINT64_C(0xffffffffff600001)), UNWIND_NONE);
    free(data);
}

static void unwind_probe_tells_readable_memory(void **state)
{
    (void)state;
    char *pages = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(mprotect(pages + 4096, 4096, PROT_NONE), 0);
    assert_true(unwind_probe((uintptr_t)pages));
    assert_true(unwind_probe((uintptr_t)pages + 4088));
    assert_false(unwind_probe((uintptr_t)pages + 4096));
    assert_false(unwind_probe(0));
    assert_false(unwind_probe(UINTPTR_MAX - 7));
    assert_int_equal(munmap(pages, 8192), 0);
}

static void unwind_step_does_not_follow_rbp_out_of_readable_memory(void **state)
{
    (void)state;
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(mprotect(pages + 4096, 4096, PROT_NONE), 0);
    struct unwind_pages known = {0};
    unwind_rule_t rule = unwind_rule_make(UNWIND_RBP, 16, 16);
    struct unwind_state at = {.pc = 1000, .sp = (uintptr_t)pages, .bp = (uintptr_t)pages + 4096};
    assert_int_equal(unwind_step(&at, &rule, &known), UNWIND_UNREADABLE);
    at.bp = (uintptr_t)pages + 4081; /* misaligned */
    assert_int_equal(unwind_step(&at, &rule, &known), UNWIND_UNREADABLE);
    at.bp = (uintptr_t)pages + 4080;
    assert_int_equal(unwind_step(&at, &rule, &known), UNWIND_ENDED); /* a zero return address */
    rule = UNWIND_NONE;
    at = (struct unwind_state){.pc = 1000, .sp = (uintptr_t)pages + 2048, .bp = (uintptr_t)pages};
    assert_int_equal(unwind_step(&at, &rule, &known), UNWIND_LOST); /* below rsp */
    at.bp = (uintptr_t)pages + 4096;
    assert_int_equal(unwind_step(&at, &rule, &known), UNWIND_UNREADABLE);
    assert_int_equal(munmap(pages, 8192), 0);
}

NOINLINE static uint32_t frames_by_registers(uintptr_t *pc, uint32_t max)
{
    struct unwind_pages known = {0};
    struct unwind_registers registers;
    UNWIND_REGISTERS_HERE(registers);
    uint32_t count = 0;
    while (count < max && unwind_step_registers(&registers, &known) == UNWIND_STEPPED) {
        pc[count++] = registers.value[EH_RETURN];
    }
    return count;
}

NOINLINE static uint32_t frames_by_rules(uintptr_t *pc, uint32_t max)
{
    struct unwind_pages known = {0};
    struct unwind_registers registers;
    UNWIND_REGISTERS_HERE(registers);
    struct unwind_state at = {.pc = registers.value[EH_RETURN],
                              .sp = registers.value[EH_RSP],
                              .bp = registers.value[EH_RBP]};
    uint32_t count = 0;
    while (count < max) {
        unwind_rule_t rule = unwind_rule(at.pc);
        if (unwind_step(&at, &rule, &known) != UNWIND_STEPPED) {
            break;
        }
        pc[count++] = at.pc;
    }
    return count;
}

static void both_walks_find_the_same_frames(void **state)
{
    (void)state;
    uintptr_t by_rules[64];
    uintptr_t by_registers[64];
    uint32_t rules_count = 0;
    uint32_t registers_count = 0;
    for (int i = 0; i < 2; i++) { /* one call site each, in turn */
        rules_count = frames_by_rules(by_rules, 64);
        registers_count = frames_by_registers(by_registers, 64);
    }
    assert_true(rules_count > 4);
    assert_int_equal(rules_count, registers_count);
    /* The first is the return address into this function: two different calls. */
    assert_memory_equal(by_rules + 1, by_registers + 1, (rules_count - 1) * sizeof *by_rules);
}

/* Sections have padding that belongs to no object: no business of AddressSanitizer's. */
UNWIND_READS_STACKS static void section_copy(uint8_t *to, const uint8_t *from, size_t size)
{
    for (volatile size_t i = 0; i < size; i++) {
        to[i] = from[i];
    }
}

/* A copy of this program's own .eh_frame_hdr and .eh_frame, damaged in many ways: whatever
 * the bytes, the parser stays within them. (Run under AddressSanitizer, too.) */
static void eh_frame_parser_stays_inside_damaged_sections(void **state)
{
    (void)state;
    struct dl_find_object self;
    uintptr_t code = (uintptr_t)&eh_frame_parser_stays_inside_damaged_sections;
    assert_int_equal(_dl_find_object((void *)code, &self), 0);
    const uint8_t *header = self.dlfo_eh_frame;
    size_t size = (size_t)((const uint8_t *)self.dlfo_map_end - header);
    size_t kept = size < 65536 ? size : 65536;
    for (size_t i = 0; i < kept; i += 4096) { /* what follows may be a gap of the mapping */
        if (!unwind_probe((uintptr_t)header + i)) {
            kept = i;
        }
    }
    uint8_t *whole = malloc(kept);
    uint8_t *copy = malloc(kept);
    section_copy(whole, header, kept);
    srandom(11);
    unsigned found = 0;
    for (int round = 0; round < 20000; round++) {
        memcpy(copy, whole, kept);
        for (int damage = round % 8; damage > 0; damage--) {
            copy[(size_t)random() % (damage % 2 ? 256 : kept)] = (uint8_t)random();
        }
        /* Data-relative addresses move along with the copy. */
        uintptr_t address = code - (uintptr_t)header + (uintptr_t)copy;
        struct eh_row row;
        found += eh_frame_row_in(copy, copy + kept, copy, address, &row) == EH_FOUND;
    }
    assert_true(found > 100);
    free(copy);
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unwind_rules_line_and_tag_are_the_whole_address),
        cmocka_unit_test(unwind_rule_make_keeps_its_parts),
        cmocka_unit_test(unwind_rule_is_the_same_compiled_and_cached),
        cmocka_unit_test(unwind_rules_survive_the_growth_of_their_table),
        cmocka_unit_test(unwind_rule_is_none_outside_of_modules),
        cmocka_unit_test(unwind_probe_tells_readable_memory),
        cmocka_unit_test(unwind_step_does_not_follow_rbp_out_of_readable_memory),
        cmocka_unit_test(both_walks_find_the_same_frames),
        cmocka_unit_test(eh_frame_parser_stays_inside_damaged_sections),
    };
    return cmocka_run_group_tests_name("unwind_rules", tests, NULL, NULL);
}
