/*
 * foundation/region.h - memory that is given back all at once.
 *
 * A loaded recording, a report: thousands of small objects with one lifetime. They are
 * cut from large chunks and released together; none is freed alone.
 *
 * Context: analyzer.
 * Memory:  owned by the region. Running out of memory ends the program with a line on
 *          stderr: nothing useful can be said without memory, so callers need no checks.
 * Threads: one region, one thread.
 */
#ifndef MEMTRACK_FOUNDATION_REGION_H
#define MEMTRACK_FOUNDATION_REGION_H

#include <stddef.h>

struct region;

struct region *region_new(void);
void region_free(struct region *region); /* NULL is fine */

/* `size_bytes` zeroed bytes, aligned for any type. Never NULL. */
void *region_alloc(struct region *region, size_t size_bytes);
/* count * size_bytes zeroed bytes; an overflow counts as out of memory. */
void *region_alloc_array(struct region *region, size_t count, size_t size_bytes);
/* A copy of text[0..length) with a NUL added. */
char *region_copy(struct region *region, const char *text, size_t length);
char *region_copy_text(struct region *region, const char *text); /* NULL gives NULL */
char *region_format(struct region *region, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Bytes taken from the system. */
size_t region_size_bytes(const struct region *region);

/* realloc for growing arrays outside of regions: room for count elements, doubling.
 * *capacity is updated. Never NULL; release with free(). */
void *mt_grow(void *array, size_t *capacity, size_t count, size_t element_bytes);

#endif
