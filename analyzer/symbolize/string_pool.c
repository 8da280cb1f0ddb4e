#include "symbolize/string_pool.h"

#include "symbolize/demangle.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)256 * 1024)
#define SLOTS_INITIAL 1024u

struct string_pool_entry {
    /* Release-stored once; NULL: not derived yet. */
    const char *_Atomic derived;
    uint32_t hash;
    uint32_t length;
    char text[];
};

struct string_pool_chunk {
    struct string_pool_chunk *next;
    size_t used;
    size_t size;
    char memory[];
};

int string_pool_init(struct string_pool *pool)
{
    *pool = (struct string_pool){.slot_count = SLOTS_INITIAL};
    pool->slots = calloc(SLOTS_INITIAL, sizeof(pool->slots[0]));
    if (pool->slots == NULL) {
        return -ENOMEM;
    }
    pthread_mutex_init(&pool->lock, NULL);
    return 0;
}

void string_pool_deinit(struct string_pool *pool)
{
    struct string_pool_chunk *chunk = pool->chunks;
    while (chunk != NULL) {
        struct string_pool_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(pool->slots);
    pthread_mutex_destroy(&pool->lock);
    *pool = (struct string_pool){0};
}

/* FNV-1a, eight bytes at a time where it can. */
static uint32_t hash_text(const char *text, size_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ length;
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, text, sizeof(word));
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
        text += 8;
        length -= 8;
    }
    while (length > 0) {
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
        text++;
        length--;
    }
    hash ^= hash >> 32;
    return (uint32_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static void *pool_allocate(struct string_pool *pool, size_t bytes)
{
    bytes = (bytes + 7u) & ~(size_t)7u;
    struct string_pool_chunk *chunk = pool->chunks;
    if (chunk == NULL || chunk->size - chunk->used < bytes) {
        size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = malloc(sizeof(*chunk) + size);
        if (chunk == NULL) {
            return NULL;
        }
        *chunk = (struct string_pool_chunk){.next = pool->chunks, .size = size};
        pool->chunks = chunk;
    }
    void *memory = chunk->memory + chunk->used;
    chunk->used += bytes;
    return memory;
}

static int pool_grow(struct string_pool *pool)
{
    size_t count = pool->slot_count * 2;
    struct string_pool_entry **slots = calloc(count, sizeof(slots[0]));
    if (slots == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < pool->slot_count; i++) {
        struct string_pool_entry *entry = pool->slots[i];
        if (entry == NULL) {
            continue;
        }
        size_t slot = entry->hash & (count - 1);
        while (slots[slot] != NULL) {
            slot = (slot + 1) & (count - 1);
        }
        slots[slot] = entry;
    }
    free(pool->slots);
    pool->slots = slots;
    pool->slot_count = count;
    return 0;
}

static const char *intern_locked(struct string_pool *pool, const char *text, size_t length,
                                 uint32_t hash)
{
    size_t slot = hash & (pool->slot_count - 1);
    for (; pool->slots[slot] != NULL; slot = (slot + 1) & (pool->slot_count - 1)) {
        struct string_pool_entry *entry = pool->slots[slot];
        if (entry->hash == hash && entry->length == length
            && memcmp(entry->text, text, length) == 0) {
            return entry->text;
        }
    }
    if (pool->used >= pool->slot_count / 2) {
        if (pool_grow(pool) != 0) {
            return NULL;
        }
        for (slot = hash & (pool->slot_count - 1); pool->slots[slot] != NULL;) {
            slot = (slot + 1) & (pool->slot_count - 1);
        }
    }
    struct string_pool_entry *entry = pool_allocate(pool, sizeof(*entry) + length + 1);
    if (entry == NULL) {
        return NULL;
    }
    atomic_init(&entry->derived, NULL);
    entry->hash = hash;
    entry->length = (uint32_t)length;
    memcpy(entry->text, text, length);
    entry->text[length] = '\0';
    pool->slots[slot] = entry;
    pool->used++;
    return entry->text;
}

const char *string_pool_intern(struct string_pool *pool, const char *text, size_t length)
{
    length = strnlen(text, length < UINT32_MAX / 2 ? length : UINT32_MAX / 2);
    uint32_t hash = hash_text(text, length);
    pthread_mutex_lock(&pool->lock);
    const char *interned = intern_locked(pool, text, length, hash);
    pthread_mutex_unlock(&pool->lock);
    return interned;
}

static struct string_pool_entry *entry_of(const char *interned)
{
    uintptr_t address = (uintptr_t)interned - offsetof(struct string_pool_entry, text);
    return (struct string_pool_entry *)address;
}

const char *string_pool_demangled(struct string_pool *pool, const char *interned)
{
    struct string_pool_entry *entry = entry_of(interned);
    const char *derived = atomic_load_explicit(&entry->derived, memory_order_acquire);
    if (derived != NULL) {
        return derived;
    }
    char *text = demangle_name(interned);
    if (text != NULL) {
        derived = string_pool_intern(pool, text, strlen(text));
        free(text);
    } else {
        derived = interned;
    }
    if (derived != NULL) {
        atomic_store_explicit(&entry->derived, derived, memory_order_release);
    }
    return derived;
}

/* Writes the normalized form of `path` to out, which has room for it: it is never longer. */
static void path_normalize(const char *path, char *out)
{
    bool is_absolute = path[0] == '/';
    size_t length = 0;
    size_t floor = 0; /* out[0..floor) is "/" or "../../": nothing to go up from */
    if (is_absolute) {
        out[length++] = '/';
        floor = 1;
    }
    while (*path != '\0') {
        while (*path == '/') {
            path++;
        }
        size_t name = strcspn(path, "/");
        if (name == 0 || (name == 1 && path[0] == '.')) {
            path += name;
            continue;
        }
        if (name == 2 && path[0] == '.' && path[1] == '.') {
            path += 2;
            if (length > floor) {
                while (length > floor && out[length - 1] != '/') {
                    length--;
                }
                length -= length > floor ? 1u : 0u;
                continue;
            }
            if (is_absolute) {
                continue;
            }
            path -= 2;
        }
        if (length > 0 && out[length - 1] != '/') {
            out[length++] = '/';
        }
        memcpy(out + length, path, name);
        length += name;
        if (name == 2 && path[0] == '.' && path[1] == '.') {
            floor = length;
        }
        path += name;
    }
    out[length] = '\0';
}

const char *string_pool_normalized_path(struct string_pool *pool, const char *interned)
{
    struct string_pool_entry *entry = entry_of(interned);
    const char *derived = atomic_load_explicit(&entry->derived, memory_order_acquire);
    if (derived != NULL) {
        return derived;
    }
    if (strstr(interned, "/.") == NULL && strstr(interned, "//") == NULL
        && strncmp(interned, "./", 2) != 0) {
        derived = interned;
    } else {
        char *out = malloc((size_t)entry->length + 2);
        if (out == NULL) {
            return NULL;
        }
        path_normalize(interned, out);
        derived = string_pool_intern(pool, out, strlen(out));
        free(out);
    }
    if (derived != NULL) {
        atomic_store_explicit(&entry->derived, derived, memory_order_release);
    }
    return derived;
}
