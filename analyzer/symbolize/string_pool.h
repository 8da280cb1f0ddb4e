/*
 * symbolize/string_pool.h - each distinct string once, for as long as the pool lives.
 *
 * Names and paths come back thousands of times, from unit after unit; kept once they are
 * small, and callers may compare addresses instead of text. An entry also remembers what
 * was derived from its text (a demangled name, a resolved path), which costs far more
 * than the lookup.
 *
 * Context: analyzer, recorder.
 * Memory:  owned by the pool, freed with it.
 * Threads: any; one lock inside.
 */
#ifndef MEMTRACK_SYMBOLIZE_STRING_POOL_H
#define MEMTRACK_SYMBOLIZE_STRING_POOL_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct string_pool_entry;
struct string_pool_chunk;

struct string_pool {
    pthread_mutex_t lock;
    struct string_pool_entry **slots; /* open addressing, a power of two */
    size_t slot_count;
    size_t used;
    struct string_pool_chunk *chunks;
};

/* Returns 0 or -ENOMEM. */
int string_pool_init(struct string_pool *pool);
void string_pool_deinit(struct string_pool *pool);

/* The pool's copy of text[0..length), NUL-terminated; NULL when memory is short. The
 * text ends at its first NUL, if it has one. */
const char *string_pool_intern(struct string_pool *pool, const char *text, size_t length);

/* `interned` demangled, itself if it is no mangled name; computed once. NULL when memory
 * is short. */
const char *string_pool_demangled(struct string_pool *pool, const char *interned);

/* `interned` as a path without "." , ".." and doubled slashes; computed once. A ".."
 * is resolved by text: what it means behind a symbolic link is not looked up. */
const char *string_pool_normalized_path(struct string_pool *pool, const char *interned);

#endif
