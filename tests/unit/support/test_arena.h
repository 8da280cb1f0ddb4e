/*
 * support/test_arena.h - an arena in shared memory, for unit tests.
 *
 * Anonymous shared memory, so that children of a fork share it as tracked processes
 * share the real one. Sparse: a size costs nothing until it is touched.
 */
#ifndef MEMTRACK_SUPPORT_TEST_ARENA_H
#define MEMTRACK_SUPPORT_TEST_ARENA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "arena/arena.h"

#define TEST_ARENA_BYTES (UINT64_C(1) << 30)

/* Returns a new arena; ends the test when there is no memory. */
static inline struct arena test_arena_new(uint64_t size_bytes)
{
    void *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    struct arena_header *header = memory;
    header->magic = ARENA_MAGIC;
    header->version = ARENA_VERSION;
    header->header_bytes = sizeof *header;
    header->size_bytes = size_bytes;
    header->tick_ns = 10 * 1000 * 1000;
    header->config.depth_max = 128;
    atomic_store(&header->used_bytes,
                 (sizeof *header + ARENA_EXTENT_BYTES - 1) & ~(ARENA_EXTENT_BYTES - 1));
    return (struct arena){.header = header, .mapped_bytes = size_bytes};
}

/* Adds an image without any modules or stacks. */
static inline struct arena_image *test_arena_image_new(const struct arena *arena)
{
    uint64_t offset = arena_extent_new(arena, sizeof(struct arena_image));
    struct arena_image *image = arena_at(arena, offset, sizeof *image);
    assert_non_null(image);
    uint32_t index = atomic_fetch_add(&arena->header->image_count, 1);
    atomic_store(&arena->header->image_offset[index], offset);
    return image;
}

static inline void test_arena_free(struct arena *arena)
{
    assert_int_equal(munmap(arena->header, arena->mapped_bytes), 0);
    *arena = (struct arena){0};
}

#endif
