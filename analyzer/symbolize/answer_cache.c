#include "symbolize/answer_cache.h"

#include "symbolize/cache_folder.h"

#include <errno.h>
#include <libdeflate.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES ((size_t)96 << 20)

static const char file_magic[8] = "MTANSW1";

struct file_header {
    char magic[8];
    uint32_t checksum; /* of all that follows it */
    uint32_t identity_bytes; /* with its NUL, padded to 8 */
    uint32_t entry_count;
    uint32_t frame_count;
    uint32_t text_bytes;
    uint32_t quality;
    uint32_t notes;
    uint32_t unused;
};

struct file_entry {
    uint64_t address;
    uint32_t first_frame;
    uint16_t frame_count;
    uint16_t quality;
};

/* Texts: offset of the first character; 0: none. */
struct file_frame {
    uint64_t function_start;
    uint32_t function;
    uint32_t linkage_name;
    uint32_t file;
    uint32_t line;
    uint32_t column;
    uint32_t function_line;
    uint32_t is_inlined;
    uint32_t unused;
};

_Static_assert(sizeof(struct file_header) == 40, "the file's layout");
_Static_assert(sizeof(struct file_entry) == 16, "the file's layout");
_Static_assert(sizeof(struct file_frame) == 40, "the file's layout");

/* An answer that was added; its frames are added_frames[first..first + count). */
struct added_entry {
    uint64_t address;
    size_t first;
    uint16_t count;
    uint16_t quality;
};

/* A text that was handed out last: neighbours in address share function and file. */
struct last_text {
    uint32_t offset;
    const char *text;
};

struct answer_cache {
    const struct cache_folder *folder;
    char *name;
    char *identity;
    struct string_pool *pool;

    char *bytes; /* the file; NULL: there is none */
    struct file_header header;
    const struct file_entry *entries;
    const struct file_frame *frames;
    const char *texts;
    struct last_text last[3];

    struct added_entry *added;
    size_t added_count;
    size_t added_room;
    struct symbolizer_frame *added_frames;
    size_t added_frame_count;
    size_t added_frame_room;
    bool is_short_of_memory;
};

static size_t identity_room(const char *identity)
{
    return (strlen(identity) + 1 + 7) & ~(size_t)7;
}

static uint32_t bytes_checksum(const char *bytes, size_t size)
{
    size_t first = offsetof(struct file_header, identity_bytes);
    return libdeflate_crc32(0, bytes + first, size - first);
}

/* ---- reading ------------------------------------------------------------- */

/* Whether the bytes are a cache file of this identity, each part within its bounds. */
static bool cache_accept(struct answer_cache *cache, const char *bytes, size_t size)
{
    struct file_header *header = &cache->header;
    memcpy(header, bytes, sizeof(*header));
    size_t identity_bytes = identity_room(cache->identity);
    if (memcmp(header->magic, file_magic, sizeof(file_magic)) != 0
        || header->identity_bytes != identity_bytes
        || header->quality > SYMBOLIZER_QUALITY_DEBUG) {
        return false;
    }
    uint64_t entries_at = sizeof(*header) + (uint64_t)identity_bytes;
    uint64_t frames_at = entries_at + (uint64_t)header->entry_count * sizeof(struct file_entry);
    uint64_t texts_at = frames_at + (uint64_t)header->frame_count * sizeof(struct file_frame);
    if (texts_at + header->text_bytes != size || header->text_bytes == 0
        || header->checksum != bytes_checksum(bytes, size) || bytes[size - 1] != '\0'
        || strcmp(bytes + sizeof(*header), cache->identity) != 0) {
        return false;
    }
    cache->entries = (const void *)(bytes + entries_at);
    cache->frames = (const void *)(bytes + frames_at);
    cache->texts = bytes + texts_at;
    return true;
}

struct answer_cache *answer_cache_open(const struct cache_folder *folder, const char *name,
                                       const char *identity, struct string_pool *pool)
{
    struct answer_cache *cache = calloc(1, sizeof(*cache));
    if (cache == NULL) {
        return NULL;
    }
    cache->pool = pool;
    cache->folder = folder;
    cache->identity = strdup(identity);
    cache->name = strdup(name);
    if (cache->identity == NULL || cache->name == NULL) {
        answer_cache_free(cache);
        return NULL;
    }
    size_t size;
    char *bytes = cache_folder_read(folder, name, FILE_MAX_BYTES, &size);
    if (bytes != NULL && size >= sizeof(cache->header) && cache_accept(cache, bytes, size)) {
        cache->bytes = bytes;
    } else {
        free(bytes);
        cache->header = (struct file_header){0};
    }
    return cache;
}

bool answer_cache_facts(const struct answer_cache *cache, struct answer_cache_facts *facts)
{
    *facts = (struct answer_cache_facts){.quality = (enum symbolizer_quality)cache->header.quality,
                                         .notes = cache->header.notes};
    return cache->bytes != NULL;
}

static const char *text_find(struct answer_cache *cache, struct last_text *last, uint32_t offset)
{
    if (offset == 0 || offset >= cache->header.text_bytes) {
        return NULL;
    }
    if (last->offset != offset) {
        const char *text = cache->texts + offset;
        last->text = string_pool_intern(cache->pool, text, strlen(text));
        last->offset = offset;
    }
    return last->text;
}

bool answer_cache_find(struct answer_cache *cache, uint64_t address,
                       struct symbolizer_frame *frames, size_t room, size_t *count,
                       enum symbolizer_quality *quality)
{
    size_t low = 0;
    size_t high = cache->header.entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cache->entries[middle].address < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == cache->header.entry_count || cache->entries[low].address != address) {
        return false;
    }
    const struct file_entry *entry = &cache->entries[low];
    if (entry->frame_count > room || entry->quality > SYMBOLIZER_QUALITY_DEBUG
        || (uint64_t)entry->first_frame + entry->frame_count > cache->header.frame_count) {
        return false;
    }
    for (size_t i = 0; i < entry->frame_count; i++) {
        const struct file_frame *from = &cache->frames[entry->first_frame + i];
        frames[i] = (struct symbolizer_frame){
            .function = text_find(cache, &cache->last[0], from->function),
            .linkage_name = text_find(cache, &cache->last[1], from->linkage_name),
            .file = text_find(cache, &cache->last[2], from->file),
            .line = from->line,
            .column = from->column,
            .function_line = from->function_line,
            .function_start = from->function_start,
            .is_inlined = from->is_inlined != 0};
    }
    *count = entry->frame_count;
    *quality = (enum symbolizer_quality)entry->quality;
    return true;
}

/* ---- adding -------------------------------------------------------------- */

static bool added_reserve(struct answer_cache *cache, size_t frames)
{
    if (cache->added_count == cache->added_room) {
        size_t room = cache->added_room == 0 ? 64 : cache->added_room * 2;
        struct added_entry *added = reallocarray(cache->added, room, sizeof(added[0]));
        if (added == NULL) {
            return false;
        }
        cache->added = added;
        cache->added_room = room;
    }
    if (cache->added_frame_count + frames > cache->added_frame_room) {
        size_t room = (cache->added_frame_count + frames) * 2;
        struct symbolizer_frame *grown =
            reallocarray(cache->added_frames, room, sizeof(grown[0]));
        if (grown == NULL) {
            return false;
        }
        cache->added_frames = grown;
        cache->added_frame_room = room;
    }
    return true;
}

void answer_cache_add(struct answer_cache *cache, uint64_t address,
                      const struct symbolizer_answer *answer)
{
    if (cache->is_short_of_memory || answer->frame_count > UINT16_MAX) {
        return;
    }
    if (!added_reserve(cache, answer->frame_count)) {
        cache->is_short_of_memory = true;
        return;
    }
    cache->added[cache->added_count++] =
        (struct added_entry){.address = address,
                             .first = cache->added_frame_count,
                             .count = (uint16_t)answer->frame_count,
                             .quality = (uint16_t)answer->quality};
    if (answer->frame_count > 0) {
        memcpy(cache->added_frames + cache->added_frame_count, answer->frames,
               answer->frame_count * sizeof(answer->frames[0]));
        cache->added_frame_count += answer->frame_count;
    }
}

/* ---- writing ------------------------------------------------------------- */

/* The new file's parts while they grow. Each distinct text is there once: slots[] has the
 * offsets of those that are, by open addressing. */
struct image {
    struct file_entry *entries;
    struct file_frame *frames;
    char *texts;
    size_t entry_count;
    size_t frame_count;
    size_t text_bytes;
    size_t text_room;
    uint32_t *slots;
    size_t slot_count; /* a power of two */
    size_t slots_used;
};

static size_t text_hash(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    }
    return (size_t)(hash ^ (hash >> 32));
}

static uint32_t *image_slot(const struct image *image, const char *text)
{
    size_t slot = text_hash(text) & (image->slot_count - 1);
    while (image->slots[slot] != 0 && strcmp(image->texts + image->slots[slot], text) != 0) {
        slot = (slot + 1) & (image->slot_count - 1);
    }
    return &image->slots[slot];
}

static bool image_grow_slots(struct image *image)
{
    if (image->slots_used * 2 < image->slot_count) {
        return true;
    }
    uint32_t *before = image->slots;
    size_t before_count = image->slot_count;
    image->slot_count = before_count == 0 ? 256 : before_count * 2;
    image->slots = calloc(image->slot_count, sizeof(image->slots[0]));
    for (size_t i = 0; image->slots != NULL && i < before_count; i++) {
        if (before[i] != 0) {
            *image_slot(image, image->texts + before[i]) = before[i];
        }
    }
    free(before);
    return image->slots != NULL;
}

/* The offset of a text, put there if need be; 0 for NULL. False: memory is short, or the
 * file would become too large. */
static bool image_put_text(struct image *image, const char *text, uint32_t *offset)
{
    *offset = 0;
    if (text == NULL) {
        return true;
    }
    if (!image_grow_slots(image)) {
        return false;
    }
    uint32_t *slot = image_slot(image, text);
    if (*slot == 0) {
        size_t bytes = strlen(text) + 1;
        if (image->text_bytes + bytes > FILE_MAX_BYTES / 2) {
            return false;
        }
        if (image->text_bytes + bytes > image->text_room) {
            size_t room = (image->text_bytes + bytes) * 2;
            char *texts = realloc(image->texts, room);
            if (texts == NULL) {
                return false;
            }
            image->texts = texts;
            image->text_room = room;
        }
        memcpy(image->texts + image->text_bytes, text, bytes);
        *slot = (uint32_t)image->text_bytes;
        image->text_bytes += bytes;
        image->slots_used++;
    }
    *offset = *slot;
    return true;
}

static bool image_put_entry(struct image *image, uint64_t address, unsigned quality,
                            const struct symbolizer_frame *frames, size_t count)
{
    image->entries[image->entry_count++] =
        (struct file_entry){.address = address,
                            .first_frame = (uint32_t)image->frame_count,
                            .frame_count = (uint16_t)count,
                            .quality = (uint16_t)quality};
    for (size_t i = 0; i < count; i++) {
        struct file_frame *to = &image->frames[image->frame_count++];
        *to = (struct file_frame){.function_start = frames[i].function_start,
                                  .line = frames[i].line,
                                  .column = frames[i].column,
                                  .function_line = frames[i].function_line,
                                  .is_inlined = frames[i].is_inlined};
        if (!image_put_text(image, frames[i].function, &to->function)
            || !image_put_text(image, frames[i].linkage_name, &to->linkage_name)
            || !image_put_text(image, frames[i].file, &to->file)) {
            return false;
        }
    }
    return true;
}

static int entry_compare(const void *left, const void *right)
{
    const struct file_entry *a = left;
    const struct file_entry *b = right;
    return a->address < b->address ? -1 : a->address > b->address;
}

/* What was there (unless is_anew) and what was added. False: memory is short, or it would
 * be too large. */
static bool image_fill(struct image *image, struct answer_cache *cache, bool is_anew)
{
    size_t kept = is_anew ? 0 : cache->header.entry_count;
    size_t kept_frames = is_anew ? 0 : cache->header.frame_count;
    size_t entries = kept + cache->added_count;
    size_t frames = kept_frames + cache->added_frame_count;
    if (entries * sizeof(struct file_entry) + frames * sizeof(struct file_frame)
        > FILE_MAX_BYTES / 2 - 65536) {
        return false;
    }
    image->entries = malloc((entries + 1) * sizeof(image->entries[0]));
    image->frames = malloc((frames + 1) * sizeof(image->frames[0]));
    image->texts = malloc(4096);
    if (image->entries == NULL || image->frames == NULL || image->texts == NULL) {
        return false;
    }
    image->text_room = 4096;
    image->texts[0] = '\0'; /* so that no text begins at 0 */
    image->text_bytes = 1;
    struct symbolizer_frame chain[256];
    for (size_t i = 0; i < kept; i++) {
        size_t count;
        enum symbolizer_quality quality;
        uint64_t address = cache->entries[i].address;
        if (answer_cache_find(cache, address, chain, sizeof(chain) / sizeof(chain[0]), &count,
                              &quality)
            && image->frame_count + count <= frames
            && !image_put_entry(image, address, quality, chain, count)) {
            return false;
        }
    }
    for (size_t i = 0; i < cache->added_count; i++) {
        const struct added_entry *added = &cache->added[i];
        if (image->frame_count + added->count > frames
            || !image_put_entry(image, added->address, added->quality,
                                cache->added_frames + added->first, added->count)) {
            return false;
        }
    }
    qsort(image->entries, image->entry_count, sizeof(image->entries[0]), entry_compare);
    return true;
}

/* The whole file; the caller frees it. */
static char *image_join(const struct image *image, const char *identity,
                        const struct answer_cache_facts *facts, size_t *size)
{
    size_t identity_bytes = identity_room(identity);
    size_t entry_bytes = image->entry_count * sizeof(image->entries[0]);
    size_t frame_bytes = image->frame_count * sizeof(image->frames[0]);
    struct file_header header = {.identity_bytes = (uint32_t)identity_bytes,
                                 .entry_count = (uint32_t)image->entry_count,
                                 .frame_count = (uint32_t)image->frame_count,
                                 .text_bytes = (uint32_t)image->text_bytes,
                                 .quality = (uint32_t)facts->quality,
                                 .notes = facts->notes};
    memcpy(header.magic, file_magic, sizeof(file_magic));
    *size = sizeof(header) + identity_bytes + entry_bytes + frame_bytes + image->text_bytes;
    char *bytes = calloc(1, *size);
    if (bytes == NULL) {
        return NULL;
    }
    char *to = bytes + sizeof(header);
    memcpy(bytes, &header, sizeof(header));
    memcpy(to, identity, strlen(identity));
    memcpy(to + identity_bytes, image->entries, entry_bytes);
    memcpy(to + identity_bytes + entry_bytes, image->frames, frame_bytes);
    memcpy(to + identity_bytes + entry_bytes + frame_bytes, image->texts, image->text_bytes);
    header.checksum = bytes_checksum(bytes, *size);
    memcpy(bytes, &header, sizeof(header));
    return bytes;
}

static void image_deinit(struct image *image)
{
    free(image->entries);
    free(image->frames);
    free(image->texts);
    free(image->slots);
    *image = (struct image){0};
}

int answer_cache_store(struct answer_cache *cache, const struct answer_cache_facts *facts)
{
    if (cache->added_count == 0 || cache->is_short_of_memory) {
        return 0;
    }
    struct image image = {0};
    char *bytes = NULL;
    size_t size = 0;
    bool is_filled = image_fill(&image, cache, false);
    if (!is_filled) { /* it has grown too large: the latest answers alone */
        image_deinit(&image);
        is_filled = image_fill(&image, cache, true);
    }
    if (is_filled) {
        bytes = image_join(&image, cache->identity, facts, &size);
    }
    image_deinit(&image);
    int result = bytes == NULL ? -ENOMEM : 0;
    if (result == 0) {
        const struct cache_part part = {.bytes = bytes, .size = size};
        result = cache_folder_write(cache->folder, cache->name, &part, 1);
    }
    free(bytes);
    cache->added_count = 0;
    cache->added_frame_count = 0;
    return result;
}

void answer_cache_free(struct answer_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    free(cache->name);
    free(cache->identity);
    free(cache->bytes);
    free(cache->added);
    free(cache->added_frames);
    free(cache);
}
