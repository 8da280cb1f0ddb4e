#include "symbolize/interval_map.h"

#include <errno.h>
#include <stdlib.h>

static int interval_compare(const void *left, const void *right)
{
    const struct interval *a = left;
    const struct interval *b = right;
    if (a->low != b->low) {
        return a->low < b->low ? -1 : 1;
    }
    if (a->high != b->high) {
        return a->high > b->high ? -1 : 1;
    }
    if (a->depth != b->depth) {
        return a->depth < b->depth ? -1 : 1;
    }
    return a->value > b->value ? -1 : a->value < b->value;
}

static void map_emit(struct interval_map *map, uint64_t start, uint32_t value)
{
    if (map->count > 0 && map->starts[map->count - 1] == start) {
        map->count--; /* an empty stretch */
    }
    uint32_t before = map->count > 0 ? map->values[map->count - 1] : INTERVAL_MAP_NONE;
    if (before == value) {
        return;
    }
    map->starts[map->count] = start;
    map->values[map->count] = value;
    map->count++;
}

/* Ends the innermost open interval, and with it those it outlasts. */
static size_t map_close(struct interval_map *map, const struct interval **open, size_t depth)
{
    uint64_t end = open[--depth]->high;
    while (depth > 0 && open[depth - 1]->high <= end) {
        depth--;
    }
    map_emit(map, end, depth > 0 ? open[depth - 1]->value : INTERVAL_MAP_NONE);
    return depth;
}

int interval_map_init(struct interval_map *map, struct interval *intervals, size_t count)
{
    *map = (struct interval_map){0};
    if (count == 0) {
        return 0;
    }
    const struct interval **open = calloc(count, sizeof(open[0]));
    /* Each interval emits at most twice: where it starts and where it ends. */
    map->starts = calloc(count * 2, sizeof(map->starts[0]));
    map->values = calloc(count * 2, sizeof(map->values[0]));
    if (open == NULL || map->starts == NULL || map->values == NULL) {
        free(open);
        interval_map_deinit(map);
        return -ENOMEM;
    }
    qsort(intervals, count, sizeof(intervals[0]), interval_compare);
    size_t depth = 0;
    for (size_t i = 0; i < count; i++) {
        const struct interval *interval = &intervals[i];
        if (interval->high <= interval->low) {
            continue;
        }
        while (depth > 0 && open[depth - 1]->high <= interval->low) {
            depth = map_close(map, open, depth);
        }
        open[depth++] = interval;
        map_emit(map, interval->low, interval->value);
    }
    while (depth > 0) {
        depth = map_close(map, open, depth);
    }
    free(open);
    return 0;
}

void interval_map_deinit(struct interval_map *map)
{
    free(map->starts);
    free(map->values);
    *map = (struct interval_map){0};
}

uint32_t interval_map_find(const struct interval_map *map, uint64_t address)
{
    size_t low = 0;
    size_t high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->starts[middle] <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? map->values[low - 1] : INTERVAL_MAP_NONE;
}
