#include "symbolize/demangle.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <libiberty/demangle.h>

/* Names up to here need no deeper recursion than libiberty allows by itself. */
#define NAME_SHORT_BYTES (DEMANGLE_RECURSION_LIMIT / 2u)
/* With its limit lifted, a name of this length takes at most some 3 MiB of stack. */
#define NAME_MAX_BYTES 4096u

struct demangle_text {
    char *text;
    size_t length;
    size_t room;
    jmp_buf give_up;
};

/* libiberty keeps printing whatever the callback does, and has nothing on the heap while
 * it prints: leaving by longjmp is the only way to stop an exponential name. */
static void append_text(const char *piece, size_t length, void *opaque)
{
    struct demangle_text *out = opaque;
    if (length > DEMANGLE_TEXT_MAX_BYTES - out->length) {
        longjmp(out->give_up, 1);
    }
    if (out->room - out->length <= length) {
        size_t room = (out->length + length + 1) * 2;
        char *text = realloc(out->text, room);
        if (text == NULL) {
            longjmp(out->give_up, 1);
        }
        out->text = text;
        out->room = room;
    }
    memcpy(out->text + out->length, piece, length);
    out->length += length;
}

static bool demangle_into(const char *name, size_t length, struct demangle_text *out)
{
    const int options =
        DMGL_PARAMS | DMGL_ANSI | (length >= NAME_SHORT_BYTES ? DMGL_NO_RECURSE_LIMIT : 0);
    if (setjmp(out->give_up) != 0) {
        return false;
    }
    if (name[0] == '_' && name[1] == 'R') {
        return rust_demangle_callback(name, options, append_text, out) != 0;
    }
    return cplus_demangle_v3_callback(name, options, append_text, out) != 0;
}

char *demangle_name(const char *name)
{
    if (name[0] != '_' || (name[1] != 'Z' && name[1] != 'R' && name[1] != '_')) {
        return NULL;
    }
    size_t length = strnlen(name, NAME_MAX_BYTES + 1);
    if (length > NAME_MAX_BYTES) {
        return NULL;
    }
    struct demangle_text *out = calloc(1, sizeof(*out));
    if (out == NULL) {
        return NULL;
    }
    bool is_demangled = demangle_into(name, length, out) && out->length > 0;
    char *text = out->text;
    if (is_demangled) {
        text[out->length] = '\0';
    } else {
        free(text);
        text = NULL;
    }
    free(out);
    return text;
}
