/*
 * core/raw_syscall.h - system calls without libc.
 *
 * The shim must neither touch errno nor call functions of libc that a program may have
 * interposed or that take locks. Returns what the kernel returns: a value, or a negative
 * errno.
 *
 * Context: async-signal-safe. Source: System V AMD64 ABI, section A.2.1.
 */
#ifndef MEMTRACK_CORE_RAW_SYSCALL_H
#define MEMTRACK_CORE_RAW_SYSCALL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static inline long raw_syscall6(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline long raw_syscall3(long number, long a, long b, long c)
{
    return raw_syscall6(number, a, b, c, 0, 0, 0);
}

static inline int raw_failed(long result)
{
    return result < 0 && result > -4096;
}

/* Returns size_bytes of zeroed private memory, not backed until touched; NULL on failure. */
static inline void *raw_map_lazy(size_t size_bytes)
{
    long result = raw_syscall6(SYS_mmap, 0, (long)size_bytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return raw_failed(result) ? NULL : (void *)result;
}

static inline void raw_unmap(void *start, size_t size_bytes)
{
    raw_syscall3(SYS_munmap, (long)start, (long)size_bytes, 0);
}

#define RAW_HUGE_PAGE_BYTES ((size_t)2 << 20)

/* Returns that much zeroed private memory, aligned to its size: a huge page once it is touched,
 * where there are any to be had; NULL on failure. */
static inline void *raw_map_huge_page(void)
{
    char *area = (char *)raw_map_lazy(2 * RAW_HUGE_PAGE_BYTES);
    if (area == NULL) {
        return NULL;
    }
    size_t before =
        (RAW_HUGE_PAGE_BYTES - (uintptr_t)area % RAW_HUGE_PAGE_BYTES) % RAW_HUGE_PAGE_BYTES;
    char *aligned = area + before;
    if (before != 0) {
        raw_unmap(area, before);
    }
    if (before != RAW_HUGE_PAGE_BYTES) {
        raw_unmap(aligned + RAW_HUGE_PAGE_BYTES, RAW_HUGE_PAGE_BYTES - before);
    }
    raw_syscall3(SYS_madvise, (long)aligned, (long)RAW_HUGE_PAGE_BYTES, MADV_HUGEPAGE);
    return aligned;
}

static inline int raw_pid(void)
{
    return (int)raw_syscall3(SYS_getpid, 0, 0, 0);
}

static inline int raw_tid(void)
{
    return (int)raw_syscall3(SYS_gettid, 0, 0, 0);
}

#endif
