#include "foundation/region.h"
#include "render/render.h"
#include "render/unicode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* `tree` is the first member. */
static struct render_json *json_of(struct report_tree *tree)
{
    return (struct render_json *)tree;
}

/* ---- output: a buffer of our own, for hundreds of megabytes of short pieces ---- */

static void json_flush(struct render_json *json)
{
    fwrite(json->buffer, 1, json->used, json->out);
    json->used = 0;
}

static void json_put(struct render_json *json, const void *bytes, size_t count)
{
    if (count > sizeof(json->buffer) - json->used) {
        json_flush(json);
        if (count > sizeof(json->buffer)) {
            fwrite(bytes, 1, count, json->out);
            return;
        }
    }
    memcpy(json->buffer + json->used, bytes, count);
    json->used += count;
}

static void json_put_char(struct render_json *json, char c)
{
    json_put(json, &c, 1);
}

static void json_put_integer(struct render_json *json, int64_t value)
{
    char digits[24];
    char *at = digits + sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        *--at = '-';
    }
    json_put(json, at, (size_t)(digits + sizeof(digits) - at));
}

/* One character that may not stand for itself; returns the bytes it took. */
static size_t json_put_special(struct render_json *json, const unsigned char *at)
{
    uint32_t point;
    size_t length = unicode_decode(at, &point);
    char escape[8];
    if (length == 0) {
        /* Not UTF-8, which JSON has no way to carry: the replacement character. */
        json_put(json, "\\ufffd", 6);
        return 1;
    }
    if (point == '"' || point == '\\') {
        json_put_char(json, '\\');
        json_put_char(json, (char)point);
    } else if (point == '\n') {
        json_put(json, "\\n", 2);
    } else if (point == '\t') {
        json_put(json, "\\t", 2);
    } else if (point < 0x20 || point == 0x7f || (unicode_is_command(point) && point < 0x10000)) {
        snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)point & 0xffff);
        json_put(json, escape, 6);
    } else {
        json_put(json, at, length);
    }
    return length;
}

static void json_text_value(struct render_json *json, const char *text)
{
    json_put_char(json, '"');
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        const unsigned char *plain = at;
        while (*at >= 0x20 && *at < 0x7f && *at != '"' && *at != '\\') {
            at++;
        }
        json_put(json, plain, (size_t)(at - plain));
        if (*at != '\0') {
            at += json_put_special(json, at);
        }
    }
    json_put_char(json, '"');
}

/* Separator, line break where it helps reading, and the key. */
static void json_lead(struct render_json *json, const char *key, bool is_container)
{
    bool in_array = json->depth > 0 && json->is_array[json->depth - 1];
    if (!json->is_first) {
        json_put_char(json, ',');
    }
    if (json->depth > 0 && (!in_array || is_container) && json->depth <= 4) {
        json_put(json, "\n    ", 1 + json->depth);
    } else if (!json->is_first) {
        json_put_char(json, ' ');
    }
    if (key != NULL && !in_array && json->depth > 0) {
        json_text_value(json, key);
        json_put(json, ": ", 2);
    }
    json->is_first = false;
}

static void json_begin(struct report_tree *tree, const char *key, bool is_array)
{
    struct render_json *json = json_of(tree);
    json_lead(json, key, true);
    json_put_char(json, is_array ? '[' : '{');
    json->is_array = mt_grow(json->is_array, &json->capacity, json->depth + 1, 1);
    json->is_array[json->depth++] = is_array;
    json->is_first = true;
}

static void json_end(struct report_tree *tree)
{
    struct render_json *json = json_of(tree);
    json->depth--;
    json_put_char(json, json->is_array[json->depth] ? ']' : '}');
    json->is_first = false;
}

static void json_integer(struct report_tree *tree, const char *key, int64_t value)
{
    struct render_json *json = json_of(tree);
    json_lead(json, key, false);
    json_put_integer(json, value);
}

static void json_number(struct report_tree *tree, const char *key, double value)
{
    struct render_json *json = json_of(tree);
    json_lead(json, key, false);
    if (!isfinite(value)) {
        json_put(json, "null", 4);
        return;
    }
    /* Nanoseconds survive; a float stays one for readers that look at the dot. */
    char text[64];
    snprintf(text, sizeof(text), "%.15g", value);
    json_put(json, text, strlen(text));
    if (strpbrk(text, ".e") == NULL) {
        json_put(json, ".0", 2);
    }
}

static void json_boolean(struct report_tree *tree, const char *key, bool value)
{
    struct render_json *json = json_of(tree);
    json_lead(json, key, false);
    json_put(json, value ? "true" : "false", value ? 4 : 5);
}

static void json_text(struct report_tree *tree, const char *key, const char *value)
{
    struct render_json *json = json_of(tree);
    json_lead(json, key, false);
    if (value == NULL) {
        json_put(json, "null", 4);
    } else {
        json_text_value(json, value);
    }
}

void render_json_init(struct render_json *json, FILE *out)
{
    static const struct report_tree_functions functions = {
        .begin = json_begin,
        .end = json_end,
        .integer = json_integer,
        .number = json_number,
        .boolean = json_boolean,
        .text = json_text,
    };
    memset(json, 0, sizeof(*json));
    json->tree.functions = &functions;
    json->out = out;
    json->is_first = true;
}

void render_json_finish(struct render_json *json)
{
    json_put_char(json, '\n');
    json_flush(json);
    free(json->is_array);
    json->is_array = NULL;
}
