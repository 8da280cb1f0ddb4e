/*
 * entry_points.c - every C function that allocates, each called once by a function of its own.
 *
 * Truth
 *   total: live_blocks 0, live_bytes 0
 *   by_malloc(): allocations 1, frees 1, allocated_bytes 11
 *   by_calloc(): allocations 1, frees 1, allocated_bytes 36
 *   by_realloc(): allocations 2, frees 2, allocated_bytes 44
 *   by_reallocarray(): allocations 1, frees 1, allocated_bytes 77
 *   by_memalign(): allocations 1, frees 1, allocated_bytes 101
 *   by_aligned_alloc(): allocations 1, frees 1, allocated_bytes 128
 *   by_posix_memalign(): allocations 1, frees 1, allocated_bytes 102
 *   by_valloc(): allocations 1, frees 1, allocated_bytes 103
 *   by_pvalloc(): allocations 1, frees 1
 *   by_strdup(): allocations 1, frees 1, allocated_bytes 6
 *   by_strndup(): allocations 1, frees 1, allocated_bytes 4
 *   by_wcsdup(): allocations 1, frees 1, allocated_bytes 16
 *   by_getline(): allocations 1, frees 1, allocated_bytes 120
 *   by_free_sized(): allocations 2, frees 2, allocated_bytes 192
 *   status: 0
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* C23; the C library may not have them yet. */
extern void free_sized(void *block, size_t size) __attribute__((weak));
extern void free_aligned_sized(void *block, size_t alignment, size_t size) __attribute__((weak));

static void expect(int is_true)
{
    if (!is_true) {
        abort();
    }
}

__attribute__((noinline)) static void by_malloc(void)
{
    free(malloc(11));
}

__attribute__((noinline)) static void by_calloc(void)
{
    unsigned char *block = calloc(4, 9);
    for (int i = 0; i < 36; i++) {
        expect(block[i] == 0);
    }
    free(block);
}

__attribute__((noinline)) static void by_realloc(void)
{
    char *block = realloc(NULL, 11);
    memcpy(block, "0123456789", 11);
    block = realloc(block, 33);
    expect(strcmp(block, "0123456789") == 0);
    free(block);
}

__attribute__((noinline)) static void by_reallocarray(void)
{
    free(reallocarray(NULL, 7, 11));
}

__attribute__((noinline)) static void by_memalign(void)
{
    void *block = memalign(4096, 101);
    expect((uintptr_t)block % 4096 == 0);
    free(block);
}

__attribute__((noinline)) static void by_aligned_alloc(void)
{
    void *block = aligned_alloc(128, 128);
    expect((uintptr_t)block % 128 == 0);
    free(block);
}

__attribute__((noinline)) static void by_posix_memalign(void)
{
    void *block = NULL;
    errno = 99;
    expect(posix_memalign(&block, 1024, 102) == 0 && (uintptr_t)block % 1024 == 0);
    void *none = NULL;
    volatile size_t alignment = 3;
    expect(posix_memalign(&none, alignment, 102) == EINVAL && none == NULL);
    expect(errno == 99);
    free(block);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
__attribute__((noinline)) static void by_valloc(void)
{
    free(valloc(103));
}

__attribute__((noinline)) static void by_pvalloc(void)
{
    free(pvalloc(104));
}
#pragma GCC diagnostic pop

__attribute__((noinline)) static void by_strdup(void)
{
    free(strdup("12345"));
}

__attribute__((noinline)) static void by_strndup(void)
{
    free(strndup("12345", 3));
}

__attribute__((noinline)) static void by_wcsdup(void)
{
    free(wcsdup(L"123"));
}

/* getline allocates 120 bytes for a short line; the stream and its buffer are main's. */
__attribute__((noinline)) static void by_getline(FILE *stream)
{
    char *line = NULL;
    size_t size = 0;
    expect(getline(&line, &size, stream) == 6);
    free(line);
}

__attribute__((noinline)) static void by_free_sized(void)
{
    void *block = malloc(64);
    if (free_sized != NULL) {
        free_sized(block, 64);
    } else {
        free(block);
    }
    block = aligned_alloc(128, 128);
    if (free_aligned_sized != NULL) {
        free_aligned_sized(block, 128, 128);
    } else {
        free(block);
    }
}

int main(void)
{
    char text[] = "hello\n";
    FILE *stream = fmemopen(text, sizeof(text) - 1, "r");
    expect(stream != NULL);
    expect(getc(stream) == 'h');
    rewind(stream);
    by_malloc();
    by_calloc();
    by_realloc();
    by_reallocarray();
    by_memalign();
    by_aligned_alloc();
    by_posix_memalign();
    by_valloc();
    by_pvalloc();
    by_strdup();
    by_strndup();
    by_wcsdup();
    by_getline(stream);
    by_free_sized();
    fclose(stream);
    return 0;
}
