/*
 * leak_chains.c - the nine ways in which pointers from a root (R) to a block (A) and from
 * that to another one (B) can be there (->), lead into the middle (-?->), or be missing:
 * the cases of "Memory leak detection" in Valgrind's manual.
 *
 * usage: leak_chains CASE; subject_a() and subject_b() allocate A and B.
 *
 * Truth
 *   1_start: b reachable
 *   2_start_start: a reachable, b reachable
 *   3_none: b definite
 *   4_none_start: a definite, b indirect
 *   5_middle: b possible
 *   6_start_middle: a reachable, b possible
 *   7_middle_start: a possible, b possible
 *   8_middle_middle: a possible, b possible
 *   9_none_middle: a definite, b indirect
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *volatile root;

__attribute__((noinline)) static char **subject_a(void)
{
    return calloc(1, 64);
}

__attribute__((noinline)) static char *subject_b(void)
{
    return calloc(1, 64);
}

enum pointer { NONE, START, MIDDLE };

static char *pointer_to(char *block, enum pointer pointer)
{
    return pointer == NONE ? NULL : pointer == START ? block : block + 33;
}

/* Overwrites what calls have left on the stack and in registers. */
__attribute__((noinline)) static void wipe(void)
{
    volatile char space[16384];
    memset((char *)space, 0, sizeof space);
    __asm__ volatile("xor %%ebx, %%ebx\n\txor %%r12d, %%r12d\n\txor %%r13d, %%r13d\n\t"
                     "xor %%r14d, %%r14d\n\txor %%r15d, %%r15d"
                     :
                     : "r"(space)
                     : "rbx", "r12", "r13", "r14", "r15", "rcx", "rdx", "rsi", "rdi", "r8", "r9",
                       "r10", "r11", "cc", "memory");
}

__attribute__((noinline)) static void one(enum pointer to_b)
{
    root = pointer_to(subject_b(), to_b);
}

__attribute__((noinline)) static void two(enum pointer to_a, enum pointer to_b)
{
    char **a = subject_a();
    a[1] = pointer_to(subject_b(), to_b);
    root = pointer_to((char *)a, to_a);
}

static const struct {
    const char *name;
    int blocks;
    enum pointer to_a;
    enum pointer to_b;
} cases[] = {
    {"1_start", 1, NONE, START},        {"2_start_start", 2, START, START},
    {"3_none", 1, NONE, NONE},          {"4_none_start", 2, NONE, START},
    {"5_middle", 1, NONE, MIDDLE},      {"6_start_middle", 2, START, MIDDLE},
    {"7_middle_start", 2, MIDDLE, START}, {"8_middle_middle", 2, MIDDLE, MIDDLE},
    {"9_none_middle", 2, NONE, MIDDLE},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(cases[i].name, argv[1]) == 0) {
            if (cases[i].blocks == 1) {
                one(cases[i].to_b);
            } else {
                two(cases[i].to_a, cases[i].to_b);
            }
            wipe();
            return 0;
        }
    }
    fprintf(stderr, "usage: leak_chains CASE\n");
    return 64;
}
