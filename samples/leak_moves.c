/*
 * leak_moves.c - three blocks of which a scan sees one at a time: whenever the program is
 * interrupted, another pointer is in place and the others are hidden. A fourth is lost.
 * Writes its pid to the file that is named and rests until it is ended.
 *
 * usage: leak_moves FILE
 *
 * Truth
 *   a single scan: reachable 1, definite 3
 *   three scans in a row: reachable 3, definite 1
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *volatile places[3];
static volatile uintptr_t hidden[3];

__attribute__((noinline)) static void *subject(void)
{
    return malloc(64);
}

__attribute__((noinline)) static void *subject_lost(void)
{
    return malloc(64);
}

__attribute__((noinline)) static void make(void)
{
    for (volatile int i = 0; i < 3; i++) {
        hidden[i] = ~(uintptr_t)subject();
    }
    (void)!subject_lost();
}

__attribute__((noinline)) static void show(unsigned turn)
{
    for (unsigned i = 0; i < 3; i++) {
        places[i] = turn % 3 == i ? (void *)~hidden[i] : NULL;
    }
}

/* Overwrites what calls have left on the stack and in registers. */
__attribute__((noinline)) static void wipe(void)
{
    volatile char space[16384];
    memset((char *)space, 0, sizeof space);
    __asm__ volatile("xor %%ecx, %%ecx\n\txor %%edx, %%edx\n\txor %%esi, %%esi\n\t"
                     "xor %%edi, %%edi\n\txor %%r8d, %%r8d\n\txor %%r9d, %%r9d\n\t"
                     "xor %%r10d, %%r10d"
                     :
                     : "r"(space)
                     : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "cc", "memory");
}

int main(int argc, char **argv)
{
    FILE *file = argc == 2 ? fopen(argv[1], "w") : NULL;
    if (file == NULL) {
        fprintf(stderr, "usage: leak_moves FILE\n");
        return 64;
    }
    /* Scans come by signal 33, which is let in while the program rests only: none sees a turn
     * half done or twice. */
    uint64_t scans = UINT64_C(1) << 32;
    uint64_t none = 0;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &scans, NULL, sizeof scans);
    make();
    show(0);
    wipe();
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
    for (unsigned turn = 1;; turn++) {
        syscall(SYS_ppoll, NULL, 0, NULL, &none, sizeof none); /* a scan interrupts it */
        show(turn);
        wipe();
    }
}
