#include "symbolize/perf_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES ((off_t)64 << 20)
/* Lines that overlap a later start are stepped over this far. */
#define COVER_STEPS_MAX 8u

static int map_add(struct perf_map *map, uint64_t start, uint64_t size, const char *name)
{
    if (map->count == map->room) {
        size_t room = map->room == 0 ? 256 : map->room * 2;
        struct perf_map_entry *entries = reallocarray(map->entries, room, sizeof(entries[0]));
        if (entries == NULL) {
            return -ENOMEM;
        }
        map->entries = entries;
        map->room = room;
    }
    map->entries[map->count] = (struct perf_map_entry){
        .start = start, .size = size, .name = name, .order = (uint32_t)map->count};
    map->count++;
    return 0;
}

static int map_parse(struct perf_map *map, char *text)
{
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        char *end;
        errno = 0;
        uint64_t start = strtoull(line, &end, 16);
        if (end == line || *end != ' ') {
            continue;
        }
        char *size_text = end + 1;
        uint64_t size = strtoull(size_text, &end, 16);
        if (end == size_text || *end != ' ' || end[1] == '\0' || errno != 0 || size == 0) {
            continue;
        }
        if (map_add(map, start, size, end + 1) != 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

static char *read_file(const char *path, uid_t owner, int *result)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) {
        *result = -errno;
        return NULL;
    }
    struct stat status;
    char *text = NULL;
    *result = -EPERM;
    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == owner
        && status.st_nlink == 1 && status.st_size <= FILE_MAX_BYTES) {
        text = malloc((size_t)status.st_size + 1);
        *result = text == NULL ? -ENOMEM : 0;
    }
    size_t length = 0;
    while (text != NULL && length < (size_t)status.st_size) {
        ssize_t got = read(descriptor, text + length, (size_t)status.st_size - length);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        length += (size_t)got;
    }
    if (text != NULL) {
        text[length] = '\0';
    }
    close(descriptor);
    return text;
}

int perf_map_add_file(struct perf_map *map, const char *path, uid_t owner)
{
    int result;
    char *text = read_file(path, owner, &result);
    if (text == NULL) {
        return result;
    }
    char **texts = reallocarray(map->texts, map->text_count + 1, sizeof(texts[0]));
    if (texts == NULL) {
        free(text);
        return -ENOMEM;
    }
    map->texts = texts;
    map->texts[map->text_count++] = text;
    return map_parse(map, text);
}

static int entry_compare(const void *left, const void *right)
{
    const struct perf_map_entry *a = left;
    const struct perf_map_entry *b = right;
    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    return a->order < b->order ? -1 : a->order > b->order;
}

void perf_map_sort(struct perf_map *map)
{
    if (map->count > 0) {
        qsort(map->entries, map->count, sizeof(map->entries[0]), entry_compare);
    }
}

void perf_map_deinit(struct perf_map *map)
{
    for (size_t i = 0; i < map->text_count; i++) {
        free(map->texts[i]);
    }
    free(map->texts);
    free(map->entries);
    *map = (struct perf_map){0};
}

const struct perf_map_entry *perf_map_find(const struct perf_map *map, uint64_t address)
{
    size_t low = 0;
    size_t high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->entries[middle].start <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (size_t step = 0; step < COVER_STEPS_MAX && step < low; step++) {
        const struct perf_map_entry *entry = &map->entries[low - 1 - step];
        if (address - entry->start < entry->size) {
            return entry;
        }
    }
    return NULL;
}
