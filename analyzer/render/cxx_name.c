#include "render/cxx_name.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* "operator<", "operator->", "operator<<=" ... are names, not brackets. */
static size_t operator_length(const char *at)
{
    if (strncmp(at, "operator", 8) != 0) {
        return 0;
    }
    size_t length = 8;
    while (at[length] != '\0' && strchr("<>=-", at[length]) != NULL) {
        length++;
    }
    return length > 8 ? length : 0;
}

/* Replaces what is between the outermost `open` and `close` by "..", in place. */
static void elide(char *name, char open, char close)
{
    char *to = name;
    const char *from = name;
    size_t depth = 0;
    while (*from != '\0') {
        size_t skip = open == '<' && (from == name || !isalnum((unsigned char)from[-1]))
                          ? operator_length(from)
                          : 0;
        if (skip > 0 && depth == 0) {
            memmove(to, from, skip);
            to += skip;
            from += skip;
            continue;
        }
        bool is_arrow = *from == '>' && from > name && from[-1] == '-';
        if (*from == open && depth++ == 0) {
            *to++ = open;
            /* Nothing is saved by replacing nothing or two characters. */
            const char *end = strchr(from, close);
            if (end != NULL && end - from > 2) {
                *to++ = '.';
                *to++ = '.';
            } else {
                depth = 0;
                from++;
                continue;
            }
        } else if (*from == close && depth > 0 && !is_arrow && --depth == 0) {
            *to++ = close;
        } else if (depth == 0) {
            *to++ = *from;
        }
        from++;
    }
    *to = '\0';
}

static size_t columns_of(const char *text)
{
    size_t columns = 0;
    for (; *text != '\0'; text++) {
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return columns;
}

void cxx_name_shorten(char *name, size_t columns)
{
    if (columns_of(name) > columns) {
        elide(name, '<', '>');
    }
    if (columns_of(name) > columns) {
        elide(name, '(', ')');
    }
}
