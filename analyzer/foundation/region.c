#include "foundation/region.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REGION_CHUNK_BYTES ((size_t)256 * 1024)
#define REGION_ALIGNMENT _Alignof(max_align_t)

struct region_chunk {
    struct region_chunk *next;
    size_t size_bytes;
    _Alignas(max_align_t) char bytes[];
};

struct region {
    struct region_chunk *chunks;
    char *free_start;
    size_t free_bytes;
    size_t size_bytes;
};

__attribute__((noreturn)) static void region_out_of_memory(size_t size_bytes)
{
    fprintf(stderr, "memtrack: memory: %zu more bytes were refused, free some and try again\n",
            size_bytes);
    exit(125);
}

struct region *region_new(void)
{
    struct region *region = calloc(1, sizeof(*region));
    if (region == NULL) {
        region_out_of_memory(sizeof(*region));
    }
    return region;
}

void region_free(struct region *region)
{
    if (region == NULL) {
        return;
    }
    struct region_chunk *chunk = region->chunks;
    while (chunk != NULL) {
        struct region_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(region);
}

static struct region_chunk *region_add_chunk(struct region *region, size_t size_bytes)
{
    if (size_bytes > SIZE_MAX / 2) {
        region_out_of_memory(size_bytes);
    }
    struct region_chunk *chunk = calloc(1, sizeof(*chunk) + size_bytes);
    if (chunk == NULL) {
        region_out_of_memory(size_bytes);
    }
    chunk->size_bytes = size_bytes;
    chunk->next = region->chunks;
    region->chunks = chunk;
    region->size_bytes += size_bytes;
    return chunk;
}

void *region_alloc(struct region *region, size_t size_bytes)
{
    if (size_bytes > SIZE_MAX / 2) {
        region_out_of_memory(size_bytes);
    }
    size_bytes = (size_bytes + REGION_ALIGNMENT - 1) & ~(REGION_ALIGNMENT - 1);
    if (size_bytes >= REGION_CHUNK_BYTES / 4) {
        return region_add_chunk(region, size_bytes)->bytes;
    }
    if (size_bytes > region->free_bytes) {
        struct region_chunk *chunk = region_add_chunk(region, REGION_CHUNK_BYTES);
        region->free_start = chunk->bytes;
        region->free_bytes = REGION_CHUNK_BYTES;
    }
    void *result = region->free_start;
    region->free_start += size_bytes;
    region->free_bytes -= size_bytes;
    return result;
}

void *region_alloc_array(struct region *region, size_t count, size_t size_bytes)
{
    size_t total_bytes;
    if (__builtin_mul_overflow(count, size_bytes, &total_bytes)) {
        region_out_of_memory(SIZE_MAX);
    }
    return region_alloc(region, total_bytes);
}

char *region_copy(struct region *region, const char *text, size_t length)
{
    char *copy = region_alloc(region, length + 1);
    if (length > 0) {
        memcpy(copy, text, length);
    }
    copy[length] = '\0';
    return copy;
}

char *region_copy_text(struct region *region, const char *text)
{
    return text == NULL ? NULL : region_copy(region, text, strlen(text));
}

char *region_format(struct region *region, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    size_t size_bytes = length < 0 ? 1 : (size_t)length + 1;
    char *text = region_alloc(region, size_bytes);
    vsnprintf(text, size_bytes, format, again);
    va_end(again);
    return text;
}

size_t region_size_bytes(const struct region *region)
{
    return region->size_bytes;
}

void *mt_grow(void *array, size_t *capacity, size_t count, size_t element_bytes)
{
    if (count <= *capacity) {
        return array;
    }
    size_t wanted = *capacity < 16 ? 16 : *capacity * 2;
    if (wanted < count) {
        wanted = count;
    }
    size_t total_bytes;
    void *grown = NULL;
    if (!__builtin_mul_overflow(wanted, element_bytes, &total_bytes)) {
        grown = realloc(array, total_bytes);
    }
    if (grown == NULL) {
        region_out_of_memory(wanted);
    }
    *capacity = wanted;
    return grown;
}
