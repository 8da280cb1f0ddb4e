#include "census/memory_map.h"

#include <errno.h>
#include <fcntl.h>

#include "core/raw_syscall.h"

/* A line: "start-end rwxp offset major:minor inode   path\n". Paths may be as long as they
 * like: only their beginning matters here. */
enum { NAME_BYTES = 24 };

enum line_field {
    FIELD_START,
    FIELD_END,
    FIELD_PERMISSIONS,
    FIELD_OFFSET,
    FIELD_DEVICE,
    FIELD_INODE,
    FIELD_NAME
};

/* A line as far as it has been read: text comes in pieces of any size. */
struct line {
    enum line_field field;
    uint64_t start;
    uint64_t end;
    uint64_t offset;
    uint64_t inode;
    char permissions[4];
    uint32_t permission_count;
    char name[NAME_BYTES];
    uint32_t name_length;
    bool is_damaged;
};

static bool text_begins(const char *text, const char *with)
{
    while (*with != '\0') {
        if (*text++ != *with++) {
            return false;
        }
    }
    return true;
}

static enum memory_kind kind_of(const struct line *line)
{
    bool is_private = line->permissions[3] == 'p';
    if (line->name_length == 0 || text_begins(line->name, "[anon")) {
        return is_private ? MEMORY_ANONYMOUS : MEMORY_SHARED_ANONYMOUS;
    }
    if (text_begins(line->name, "[heap]")) {
        return MEMORY_BREAK;
    }
    if (text_begins(line->name, "[stack")) {
        return MEMORY_STACK;
    }
    if (text_begins(line->name, "/dev/zero")) {
        return MEMORY_SHARED_ANONYMOUS;
    }
    if (line->name[0] == '[' || text_begins(line->name, "/dev/") || !is_private) {
        return MEMORY_OTHER;
    }
    return MEMORY_MODULE;
}

static int line_finish(struct line *line, struct memory_map *map)
{
    bool is_complete = line->field >= FIELD_INODE && line->permission_count == 4
                       && !line->is_damaged && line->start < line->end;
    if (is_complete) {
        if (map->count == map->capacity) {
            return -E2BIG;
        }
        map->ranges[map->count++] =
            (struct memory_range){.start = line->start,
                                  .end = line->end,
                                  .file_offset = line->offset,
                                  .inode_low = (uint32_t)line->inode,
                                  .kind = (uint8_t)kind_of(line),
                                  .is_readable = line->permissions[0] == 'r',
                                  .is_writable = line->permissions[1] == 'w',
                                  .is_executable = line->permissions[2] == 'x'};
    }
    *line = (struct line){.field = FIELD_START};
    return 0;
}

static void number_add(struct line *line, uint64_t *number, char c, unsigned base)
{
    unsigned digit = 99;
    if (c >= '0' && c <= '9') {
        digit = (unsigned)(c - '0');
    } else if (c >= 'a' && c <= 'f') {
        digit = (unsigned)(c - 'a') + 10;
    }
    if (digit >= base) {
        line->is_damaged = true;
        return;
    }
    *number = *number * base + digit;
}

static void line_add(struct line *line, char c)
{
    bool is_space = c == ' ';
    switch (line->field) {
    case FIELD_START:
        if (c == '-') {
            line->field = FIELD_END;
        } else {
            number_add(line, &line->start, c, 16);
        }
        break;
    case FIELD_END:
        if (is_space) {
            line->field = FIELD_PERMISSIONS;
        } else {
            number_add(line, &line->end, c, 16);
        }
        break;
    case FIELD_PERMISSIONS:
        if (is_space) {
            line->field = FIELD_OFFSET;
        } else if (line->permission_count < 4) {
            line->permissions[line->permission_count++] = c;
        }
        break;
    case FIELD_OFFSET:
        if (is_space) {
            line->field = FIELD_DEVICE;
        } else {
            number_add(line, &line->offset, c, 16);
        }
        break;
    case FIELD_DEVICE:
        if (is_space) {
            line->field = FIELD_INODE;
        }
        break;
    case FIELD_INODE:
        if (is_space) {
            line->field = FIELD_NAME;
        } else {
            number_add(line, &line->inode, c, 10);
        }
        break;
    case FIELD_NAME:
        if ((line->name_length != 0 || !is_space) && line->name_length < NAME_BYTES - 1) {
            line->name[line->name_length++] = c;
        }
        break;
    }
}

static int text_add(struct line *line, struct memory_map *map, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '\n') {
            line_add(line, text[i]);
            continue;
        }
        int result = line_finish(line, map);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

int memory_map_parse(struct memory_map *map, const char *text, size_t length)
{
    struct line line = {.field = FIELD_START};
    map->count = 0;
    int result = text_add(&line, map, text, length);
    return result != 0 ? result : line_finish(&line, map);
}

int memory_map_read(struct memory_map *map)
{
    struct line line = {.field = FIELD_START};
    char text[2048];
    long fd = raw_syscall6(SYS_openat, AT_FDCWD, (long)"/proc/self/maps", O_RDONLY | O_CLOEXEC, 0,
                           0, 0);
    if (raw_failed(fd)) {
        return (int)fd;
    }
    map->count = 0;
    int result = 0;
    while (result == 0) {
        long length = raw_syscall3(SYS_read, fd, (long)text, sizeof text);
        if (length == -EINTR) {
            continue;
        }
        if (length <= 0) {
            result = (int)length;
            break;
        }
        result = text_add(&line, map, text, (size_t)length);
    }
    raw_syscall3(SYS_close, fd, 0, 0);
    return result;
}

const struct memory_range *memory_map_find(const struct memory_map *map, uintptr_t address)
{
    size_t low = 0;
    size_t high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->ranges[middle].end <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < map->count && map->ranges[low].start <= address ? &map->ranges[low] : NULL;
}
