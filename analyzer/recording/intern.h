/*
 * recording/intern.h - equal keys get equal ids.
 *
 * Two maps that only grow: texts (functions, files, modules) and addresses. The database
 * could do it by unique indexes, at twice the file size and a tenth of the speed.
 *
 * Context: recorder, analyzer.
 * Memory:  owned by the map; 16 bytes per address and 24 plus the key per text, at a load
 *          of at most 1/2.
 */
#ifndef MEMTRACK_RECORDING_INTERN_H
#define MEMTRACK_RECORDING_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct intern_text_entry;
struct intern_texts {
    struct intern_text_entry *entries;
    size_t capacity; /* power of two, or 0 */
    size_t count;
    struct region *keys;
    int64_t id_last;
};

void intern_texts_init(struct intern_texts *map);
void intern_texts_deinit(struct intern_texts *map);
/* Id of key[0..bytes). An unknown key gets id_last + 1 and *is_new true. */
int64_t intern_texts_get(struct intern_texts *map, const void *key, size_t bytes, bool *is_new);
/* Notes a pair that exists already; raises id_last. */
void intern_texts_put(struct intern_texts *map, const void *key, size_t bytes, int64_t id);

struct intern_address_entry {
    uint64_t offset;
    uint32_t module;
    uint32_t id; /* 0: empty */
};
struct intern_addresses {
    struct intern_address_entry *entries;
    size_t capacity;
    size_t count;
    uint32_t id_last;
};

void intern_addresses_deinit(struct intern_addresses *map);
uint32_t intern_addresses_get(struct intern_addresses *map, uint32_t module, uint64_t offset,
                              bool *is_new);
void intern_addresses_put(struct intern_addresses *map, uint32_t module, uint64_t offset,
                          uint32_t id);

#endif
