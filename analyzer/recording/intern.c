#include "recording/intern.h"

#include "foundation/region.h"

#include <stdlib.h>
#include <string.h>

struct intern_text_entry {
    const char *key; /* NULL: empty */
    uint32_t bytes;
    uint32_t hash;
    int64_t id;
};

static uint64_t intern_mix(uint64_t value)
{
    value ^= value >> 32;
    value *= UINT64_C(0xd6e8feb86659fd93);
    value ^= value >> 32;
    value *= UINT64_C(0xd6e8feb86659fd93);
    return value ^ value >> 32;
}

static uint32_t intern_hash(const void *key, size_t bytes)
{
    const unsigned char *at = key;
    uint64_t hash = bytes;
    while (bytes >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = intern_mix(hash ^ word) + UINT64_C(0x9e3779b97f4a7c15);
        at += 8;
        bytes -= 8;
    }
    uint64_t word = 0;
    if (bytes > 0) {
        memcpy(&word, at, bytes);
    }
    return (uint32_t)intern_mix(hash ^ word);
}

void intern_texts_init(struct intern_texts *map)
{
    *map = (struct intern_texts){.keys = region_new()};
}

void intern_texts_deinit(struct intern_texts *map)
{
    free(map->entries);
    region_free(map->keys);
    *map = (struct intern_texts){0};
}

static struct intern_text_entry *intern_texts_slot(const struct intern_texts *map, const void *key,
                                                   size_t bytes, uint32_t hash)
{
    size_t mask = map->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct intern_text_entry *entry = &map->entries[i];
        if (entry->key == NULL) {
            return entry;
        }
        if (entry->hash == hash && entry->bytes == bytes && memcmp(entry->key, key, bytes) == 0) {
            return entry;
        }
    }
}

static void intern_texts_reserve(struct intern_texts *map)
{
    if ((map->count + 1) * 2 <= map->capacity) {
        return;
    }
    struct intern_texts wider = *map;
    wider.capacity = map->capacity == 0 ? 256 : map->capacity * 2;
    size_t room = 0;
    wider.entries = mt_grow(NULL, &room, wider.capacity, sizeof(*wider.entries));
    memset(wider.entries, 0, room * sizeof(*wider.entries));
    for (size_t i = 0; i < map->capacity; i++) {
        const struct intern_text_entry *entry = &map->entries[i];
        if (entry->key != NULL) {
            *intern_texts_slot(&wider, entry->key, entry->bytes, entry->hash) = *entry;
        }
    }
    free(map->entries);
    *map = wider;
}

static struct intern_text_entry *intern_texts_enter(struct intern_texts *map, const void *key,
                                                    size_t bytes, bool *is_new)
{
    intern_texts_reserve(map);
    uint32_t hash = intern_hash(key, bytes);
    struct intern_text_entry *entry = intern_texts_slot(map, key, bytes, hash);
    *is_new = entry->key == NULL;
    if (*is_new) {
        entry->key = region_copy(map->keys, key, bytes);
        entry->bytes = (uint32_t)bytes;
        entry->hash = hash;
        map->count++;
    }
    return entry;
}

int64_t intern_texts_get(struct intern_texts *map, const void *key, size_t bytes, bool *is_new)
{
    struct intern_text_entry *entry = intern_texts_enter(map, key, bytes, is_new);
    if (*is_new) {
        entry->id = ++map->id_last;
    }
    return entry->id;
}

void intern_texts_put(struct intern_texts *map, const void *key, size_t bytes, int64_t id)
{
    bool is_new;
    struct intern_text_entry *entry = intern_texts_enter(map, key, bytes, &is_new);
    if (is_new) {
        entry->id = id;
    }
    if (id > map->id_last) {
        map->id_last = id;
    }
}

void intern_addresses_deinit(struct intern_addresses *map)
{
    free(map->entries);
    *map = (struct intern_addresses){0};
}

static struct intern_address_entry *intern_addresses_slot(const struct intern_addresses *map,
                                                          uint32_t module, uint64_t offset)
{
    size_t mask = map->capacity - 1;
    uint64_t hash = intern_mix(offset ^ (uint64_t)module << 44);
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct intern_address_entry *entry = &map->entries[i];
        if (entry->id == 0 || (entry->offset == offset && entry->module == module)) {
            return entry;
        }
    }
}

static void intern_addresses_reserve(struct intern_addresses *map)
{
    if ((map->count + 1) * 2 <= map->capacity) {
        return;
    }
    struct intern_addresses wider = *map;
    wider.capacity = map->capacity == 0 ? 4096 : map->capacity * 2;
    size_t room = 0;
    wider.entries = mt_grow(NULL, &room, wider.capacity, sizeof(*wider.entries));
    memset(wider.entries, 0, room * sizeof(*wider.entries));
    for (size_t i = 0; i < map->capacity; i++) {
        const struct intern_address_entry *entry = &map->entries[i];
        if (entry->id != 0) {
            *intern_addresses_slot(&wider, entry->module, entry->offset) = *entry;
        }
    }
    free(map->entries);
    *map = wider;
}

uint32_t intern_addresses_get(struct intern_addresses *map, uint32_t module, uint64_t offset,
                              bool *is_new)
{
    intern_addresses_reserve(map);
    struct intern_address_entry *entry = intern_addresses_slot(map, module, offset);
    *is_new = entry->id == 0;
    if (*is_new) {
        *entry =
            (struct intern_address_entry){.offset = offset, .module = module, .id = ++map->id_last};
        map->count++;
    }
    return entry->id;
}

void intern_addresses_put(struct intern_addresses *map, uint32_t module, uint64_t offset,
                          uint32_t id)
{
    intern_addresses_reserve(map);
    struct intern_address_entry *entry = intern_addresses_slot(map, module, offset);
    if (entry->id == 0) {
        *entry = (struct intern_address_entry){.offset = offset, .module = module, .id = id};
        map->count++;
    }
    if (id > map->id_last) {
        map->id_last = id;
    }
}
