#include "arena/resident.h"

/* A thread's stack is not larger. */
#define RESIDENT_STACK_MAX_BYTES (UINT64_C(64) << 20)

void resident_begin(struct resident_parser *parser)
{
    parser->resident = (struct resident){0};
    parser->end = 0;
    parser->is_guard = false;
    parser->kind = RESIDENT_ANONYMOUS;
    parser->length = 0;
}

static bool text_begins(const char *text, const char *with)
{
    while (*with != '\0') {
        if (*text++ != *with++) {
            return false;
        }
    }
    return true;
}

static bool text_contains(const char *text, const char *part)
{
    for (; *text != '\0'; text++) {
        if (text_begins(text, part)) {
            return true;
        }
    }
    return false;
}

/* Returns what follows the number, or NULL where there is none. */
static const char *number_parse(const char *text, unsigned base, uint64_t *number)
{
    const char *start = text;
    *number = 0;
    for (;; text++) {
        unsigned digit = *text >= '0' && *text <= '9'   ? (unsigned)(*text - '0')
                         : *text >= 'a' && *text <= 'f' ? (unsigned)(*text - 'a') + 10
                                                        : base;
        if (digit >= base || *number > UINT64_MAX / 32) {
            return text == start ? NULL : text;
        }
        *number = *number * base + digit;
    }
}

static const char *field_skip(const char *text)
{
    while (*text != ' ' && *text != '\0') {
        text++;
    }
    while (*text == ' ') {
        text++;
    }
    return text;
}

/* "start-end rwxp offset device inode   path". Returns false where it is no such line. */
static bool head_parse(struct resident_parser *parser)
{
    uint64_t start;
    uint64_t end;
    const char *text = number_parse(parser->line, 16, &start);
    if (text == NULL || *text != '-') {
        return false;
    }
    text = number_parse(text + 1, 16, &end);
    if (text == NULL || *text != ' ') {
        return false;
    }
    const char *access = text + 1;
    const char *path = field_skip(field_skip(field_skip(field_skip(access))));
    if (text_contains(path, "memfd:memtrack") || text_contains(path, "libmemtrack")
        || text_contains(path, "[anon:memtrack") || text_contains(path, ".arena")) {
        parser->kind = RESIDENT_MEMTRACK;
    } else if (text_begins(path, "[stack")) {
        parser->kind = RESIDENT_STACK;
    } else if (path[0] == '/' || text_begins(path, "[v")) { /* vdso, vvar, vsyscall */
        parser->kind = RESIDENT_FILE;
    } else if (path[0] == '\0' && parser->is_guard && parser->end == start
               && end - start < RESIDENT_STACK_MAX_BYTES && text_begins(access, "rw")) {
        parser->kind = RESIDENT_STACK; /* a thread's, with its guard below */
    } else {
        parser->kind = RESIDENT_ANONYMOUS;
    }
    parser->end = end;
    parser->is_guard = text_begins(access, "---");
    return true;
}

static void line_finish(struct resident_parser *parser)
{
    uint64_t kilobytes;
    parser->line[parser->length] = '\0';
    parser->length = 0;
    if (!text_begins(parser->line, "Rss:")) {
        (void)head_parse(parser);
        return;
    }
    const char *number = parser->line + 4;
    while (*number == ' ') {
        number++;
    }
    if (number_parse(number, 10, &kilobytes) == NULL || kilobytes > INT64_MAX / 2048) {
        return;
    }
    struct resident *resident = &parser->resident;
    int64_t *const of_kind[] = {
        [RESIDENT_ANONYMOUS] = &resident->anonymous_bytes,
        [RESIDENT_STACK] = &resident->stack_bytes,
        [RESIDENT_FILE] = &resident->file_bytes,
        [RESIDENT_MEMTRACK] = &resident->memtrack_bytes,
    };
    resident->rss_bytes += (int64_t)kilobytes * 1024;
    *of_kind[parser->kind] += (int64_t)kilobytes * 1024;
}

void resident_feed(struct resident_parser *parser, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n') {
            line_finish(parser);
        } else if (parser->length < RESIDENT_LINE_BYTES - 1) {
            parser->line[parser->length++] = text[i];
        }
    }
}
