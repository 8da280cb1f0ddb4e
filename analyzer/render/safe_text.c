#include "foundation/region.h"
#include "render/render.h"
#include "render/unicode.h"

#include <stdlib.h>
#include <string.h>

/* Text as a list of what is shown: a visible character or an escape each. */
struct safe_text {
    char *bytes;
    size_t length;
    size_t capacity;
    size_t columns;
};

static void safe_add(struct safe_text *text, const char *bytes, size_t length, size_t columns)
{
    text->bytes = mt_grow(text->bytes, &text->capacity, text->length + length + 1, 1);
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
    text->columns += columns;
}

static void safe_add_escape(struct safe_text *text, bool is_byte, unsigned value)
{
    char escape[16];
    int length = is_byte ? snprintf(escape, sizeof(escape), "\\x%02x", value)
                         : snprintf(escape, sizeof(escape), "\\u%04x", value);
    safe_add(text, escape, (size_t)length, (size_t)length);
}

static struct safe_text safe_make(const char *raw, bool has_utf8)
{
    struct safe_text text = {0};
    safe_add(&text, "", 0, 0);
    const unsigned char *at = (const unsigned char *)raw;
    while (*at != '\0') {
        uint32_t point;
        size_t length = unicode_decode(at, &point);
        if (length == 0) {
            safe_add_escape(&text, true, *at);
            at++;
            continue;
        }
        if (*at == '\n') {
            safe_add(&text, "\\n", 2, 2);
        } else if (*at == '\t') {
            safe_add(&text, "\\t", 2, 2);
        } else if (point < 0x20 || point == 0x7f) {
            safe_add_escape(&text, true, point);
        } else if (unicode_is_command(point)) {
            safe_add_escape(&text, false, point);
        } else if (point >= 0x80 && !has_utf8) {
            safe_add(&text, "?", 1, 1);
        } else {
            safe_add(&text, (const char *)at, length, 1);
        }
        at += length;
    }
    return text;
}

/* The byte offset after `columns` characters. */
static size_t safe_offset(const struct safe_text *text, size_t columns)
{
    size_t offset = 0;
    while (columns > 0 && offset < text->length) {
        offset++;
        while (offset < text->length && ((unsigned char)text->bytes[offset] & 0xc0) == 0x80) {
            offset++;
        }
        columns--;
    }
    return offset;
}

size_t render_safe_text(FILE *out, const char *raw, size_t columns, bool has_utf8)
{
    struct safe_text text = safe_make(raw, has_utf8);
    const char *gap = has_utf8 ? "\xe2\x80\xa6" : "..";
    size_t gap_columns = has_utf8 ? 1 : 2;
    size_t written = text.columns;
    if (columns == 0 || text.columns <= columns || columns <= gap_columns + 2) {
        fwrite(text.bytes, 1, text.length, out);
    } else {
        /* The end of a name tells more than its middle: a template's arguments. */
        size_t kept = columns - gap_columns;
        size_t head = (kept + 1) / 2;
        size_t tail_at = safe_offset(&text, text.columns - (kept - head));
        fwrite(text.bytes, 1, safe_offset(&text, head), out);
        fputs(gap, out);
        fwrite(text.bytes + tail_at, 1, text.length - tail_at, out);
        written = columns;
    }
    free(text.bytes);
    return written;
}
