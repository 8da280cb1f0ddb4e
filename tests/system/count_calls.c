/*
 * count_calls.c - preloaded by oracle_test.py: counts a program's allocations and does nothing else.
 *
 * Counts go to the file COUNT_CALLS, three 64-bit numbers (allocations, frees, bytes), which is
 * mapped shared, so that they are there however the program ends. A counter of glibc's
 * own entry points, with the same rules as memtrack's: a successful realloc is one free and
 * one allocation, what fails is nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct counts {
    _Atomic uint64_t allocations;
    _Atomic uint64_t frees;
    _Atomic uint64_t bytes;
};

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

void *memalign(size_t alignment, size_t size);

static struct counts early;
static struct counts *counts = &early;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("COUNT_CALLS");
    int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (file < 0 || ftruncate(file, sizeof(struct counts)) != 0) {
        return;
    }
    struct counts *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared != MAP_FAILED) {
        shared->allocations = early.allocations;
        shared->frees = early.frees;
        shared->bytes = early.bytes;
        counts = shared;
    }
}

static void *count_allocation(void *block, size_t size)
{
    if (block != NULL) {
        atomic_fetch_add(&counts->allocations, 1);
        atomic_fetch_add(&counts->bytes, size);
    }
    return block;
}

void *malloc(size_t size)
{
    return count_allocation(__libc_malloc(size), size);
}

void *calloc(size_t count, size_t size)
{
    return count_allocation(__libc_calloc(count, size), count * size);
}

void *realloc(void *block, size_t size)
{
    void *moved = __libc_realloc(block, size);
    if (block != NULL && (moved != NULL || size == 0)) {
        atomic_fetch_add(&counts->frees, 1);
    }
    return count_allocation(moved, size);
}

void *memalign(size_t alignment, size_t size)
{
    return count_allocation(__libc_memalign(alignment, size), size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return count_allocation(__libc_memalign(alignment, size), size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    void *made = count_allocation(__libc_memalign(alignment, size), size);
    if (made == NULL) {
        return ENOMEM;
    }
    *block = made;
    return 0;
}

void free(void *block)
{
    if (block != NULL) {
        atomic_fetch_add(&counts->frees, 1);
    }
    __libc_free(block);
}
