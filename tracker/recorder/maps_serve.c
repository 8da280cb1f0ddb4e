#include "recorder/maps_serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAPS_BYTES_MAX (UINT64_C(64) << 20)

/* The process as we know it for what it says of itself: it may live in another namespace, where
 * its numbers are others. Returns 0 for a process that is neither it nor a child of its. */
static int32_t pid_of(const struct tracked *tracked, int32_t said)
{
    if (said == tracked->shared->pid) {
        return tracked->pid;
    }
    char path[64];
    char line[512];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", said);
    FILE *stat = fopen(path, "re");
    if (stat == NULL) {
        return 0;
    }
    /* "pid (name) S parent": the name may hold parentheses. */
    const char *end = fgets(line, sizeof line, stat) == NULL ? NULL : strrchr(line, ')');
    if (end != NULL && strlen(end) > 4) {
        parent = (int)strtol(end + 4, NULL, 10);
    }
    fclose(stat);
    return parent == tracked->pid ? said : 0;
}

/* Reads a file of /proc as a whole; NULL where it cannot be. The caller frees it. */
static char *text_read(const char *path, size_t *length)
{
    FILE *file = fopen(path, "re");
    size_t capacity = 1 << 16;
    char *text = file == NULL ? NULL : malloc(capacity);
    *length = 0;
    while (text != NULL) {
        size_t count = fread(text + *length, 1, capacity - *length, file);
        *length += count;
        if (count == 0 || *length >= MAPS_BYTES_MAX) {
            break;
        }
        if (*length == capacity) {
            capacity *= 2;
            char *larger = realloc(text, capacity);
            if (larger == NULL) {
                free(text);
            }
            text = larger;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return text;
}

void maps_serve(const struct arena_file *file, const struct tracked *tracked,
                struct arena_request *request)
{
    char path[64];
    size_t length = 0;
    int32_t pid = pid_of(tracked, request->pid);
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    char *text = pid <= 0 ? NULL : text_read(path, &length);
    uint64_t offset = length == 0 ? 0 : arena_extent_new(&file->arena, length);
    char *space = offset == 0 ? NULL : arena_at(&file->arena, offset, length);
    if (text != NULL && space != NULL) {
        memcpy(space, text, length);
        request->text = offset;
        request->text_bytes = (uint32_t)length;
    }
    free(text);
}
