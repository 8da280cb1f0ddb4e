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
            bool is_cut = end == NULL && open == '(' && strlen(from) > 4;
            if (is_cut || (end != NULL && end - from > 2)) {
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
    if (depth > 0) {
        *to++ = close; /* the name was cut when it was recorded; there is room: ".." took two */
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

/* The first "::" that is outside of all brackets, or NULL. */
static char *find_scope(char *name)
{
    size_t depth = 0;
    for (char *at = name; *at != '\0'; at++) {
        if (strchr("(<{", *at) != NULL) {
            depth++;
        } else if (strchr(")>}", *at) != NULL) {
            depth -= depth > 0;
        } else if (depth == 0 && at[0] == ':' && at[1] == ':') {
            return at;
        }
    }
    return NULL;
}

/* Leaves scopes out from the left, in place: "a::b::c" becomes "..::b::c", then "..::c". */
static void elide_scopes(char *name, size_t columns)
{
    char *from = name;
    while (columns_of(name) > columns) {
        char *scope = find_scope(from);
        if (scope == NULL) {
            return;
        }
        if (scope < name + 2) {
            from = scope + 2; /* ".." would be longer */
            continue;
        }
        memmove(name + 2, scope, strlen(scope) + 1);
        memcpy(name, "..", 2);
        from = name + 4;
    }
}

void cxx_name_shorten(char *name, size_t columns)
{
    if (columns_of(name) > columns) {
        elide(name, '<', '>');
    }
    if (columns_of(name) > columns) {
        elide(name, '(', ')');
    }
    elide_scopes(name, columns);
    size_t length = strlen(name);
    if (columns_of(name) > columns && length > 4 && strcmp(name + length - 4, "(..)") == 0) {
        name[length - 4] = '\0';
    }
}
