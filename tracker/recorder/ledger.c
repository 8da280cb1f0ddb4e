#include "recorder/ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct ledger_line {
    uint64_t start;
    uint64_t end;
    bool is_guard; /* no access at all: it lies below a thread's stack */
    enum { LEDGER_ANONYMOUS, LEDGER_STACK, LEDGER_FILE, LEDGER_MEMTRACK, LEDGER_KERNEL } kind;
};

static bool ledger_has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* The head of a mapping: "start-end perms offset device inode path". */
static bool ledger_parse_head(const char *text, const struct ledger_line *before,
                              struct ledger_line *line)
{
    uint64_t start;
    uint64_t end;
    char access[8];
    int path_at = 0;
    if (sscanf(text, "%" SCNx64 "-%" SCNx64 " %7s %*x %*x:%*x %*u %n", &start, &end, access,
               &path_at)
            < 3
        || path_at == 0) {
        return false;
    }
    const char *path = text + path_at;
    *line = (struct ledger_line){
        .start = start, .end = end, .is_guard = strncmp(access, "---", 3) == 0};
    if (ledger_has(path, "memfd:memtrack") || ledger_has(path, "libmemtrack")
        || ledger_has(path, "[anon:memtrack") || ledger_has(path, ".arena")) {
        line->kind = LEDGER_MEMTRACK;
    } else if (strncmp(path, "[stack", 6) == 0) {
        line->kind = LEDGER_STACK;
    } else if (path[0] == '/') {
        line->kind = LEDGER_FILE;
    } else if (strncmp(path, "[v", 2) == 0) {
        line->kind = LEDGER_KERNEL; /* vdso, vvar, vsyscall */
    } else if (path[0] == '\0' && before->is_guard && before->end == start
               && end - start < UINT64_C(64) << 20 && access[0] == 'r' && access[1] == 'w') {
        line->kind = LEDGER_STACK; /* a thread's, with its guard below */
    } else {
        line->kind = LEDGER_ANONYMOUS;
    }
    return true;
}

static void ledger_count(struct ledger_mappings *mappings, const struct ledger_line *line,
                         int64_t bytes)
{
    mappings->rss_bytes += bytes;
    switch (line->kind) {
    case LEDGER_ANONYMOUS:
        mappings->anonymous_bytes += bytes;
        break;
    case LEDGER_STACK:
        mappings->stack_bytes += bytes;
        break;
    case LEDGER_MEMTRACK:
        mappings->memtrack_bytes += bytes;
        break;
    case LEDGER_FILE:
    case LEDGER_KERNEL:
        mappings->file_bytes += bytes;
        break;
    }
}

int ledger_parse(FILE *smaps, struct ledger_mappings *mappings)
{
    char *text = NULL;
    size_t room = 0;
    struct ledger_line line = {0};
    struct ledger_line next;
    *mappings = (struct ledger_mappings){0};
    errno = 0;
    while (getline(&text, &room, smaps) > 0) {
        int64_t kilobytes;
        text[strcspn(text, "\n")] = '\0';
        if (sscanf(text, "Rss: %" SCNd64 " kB", &kilobytes) == 1) {
            ledger_count(mappings, &line, kilobytes * 1024);
        } else if (ledger_parse_head(text, &line, &next)) {
            line = next;
        }
    }
    int code = ferror(smaps) ? -EIO : 0;
    free(text);
    return code;
}

int ledger_read(pid_t pid, struct ledger_mappings *mappings)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/smaps", (int)pid);
    FILE *smaps = fopen(path, "re");
    if (smaps == NULL) {
        return -errno;
    }
    int code = ledger_parse(smaps, mappings);
    fclose(smaps);
    return code;
}

static int64_t ledger_positive(int64_t bytes)
{
    return bytes > 0 ? bytes : 0;
}

int ledger_make(const struct ledger_input *input, struct ledger_item items[LEDGER_ITEMS])
{
    const struct ledger_mappings *mappings = &input->mappings;
    int64_t own = input->own_bytes < mappings->anonymous_bytes ? input->own_bytes
                                                               : mappings->anonymous_bytes;
    int64_t anonymous = mappings->anonymous_bytes - own;
    int count = 0;
    items[count++] = (struct ledger_item){"requested", input->live_bytes};
    int64_t heap = input->live_bytes;
    if (input->has_figures) {
        int64_t rounding = ledger_positive(input->figures_allocated_bytes - input->live_bytes);
        int64_t unused =
            ledger_positive(input->figures_active_bytes - input->figures_allocated_bytes);
        items[count++] = (struct ledger_item){"rounding", rounding};
        items[count++] = (struct ledger_item){"allocator-free", unused};
        heap += rounding + unused;
    }
    items[count++] = (struct ledger_item){"own-mappings", ledger_positive(anonymous - heap)};
    items[count++] = (struct ledger_item){"stacks", mappings->stack_bytes};
    items[count++] = (struct ledger_item){"files-and-code", mappings->file_bytes};
    items[count++] = (struct ledger_item){"memtrack", mappings->memtrack_bytes + own};
    int64_t rest = mappings->rss_bytes;
    for (int i = 0; i < count; i++) {
        rest -= items[i].bytes;
    }
    items[count++] = (struct ledger_item){"unexplained", rest};
    return count;
}
