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

static void json_text_value(FILE *out, const char *text)
{
    fputc('"', out);
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        uint32_t point;
        size_t length = unicode_decode(at, &point);
        if (length == 0) {
            /* Not UTF-8, which JSON has no way to carry: the replacement character. */
            fputs("\\ufffd", out);
            at++;
            continue;
        }
        if (point == '"' || point == '\\') {
            fputc('\\', out);
            fputc((int)point, out);
        } else if (point == '\n') {
            fputs("\\n", out);
        } else if (point == '\t') {
            fputs("\\t", out);
        } else if (point < 0x20 || point == 0x7f) {
            fprintf(out, "\\u%04x", (unsigned)point);
        } else if (unicode_is_command(point) && point < 0x10000) {
            fprintf(out, "\\u%04x", (unsigned)point);
        } else {
            fwrite(at, 1, length, out);
        }
        at += length;
    }
    fputc('"', out);
}

/* Separator, line break where it helps reading, and the key. */
static void json_lead(struct render_json *json, const char *key, bool is_container)
{
    bool in_array = json->depth > 0 && json->is_array[json->depth - 1];
    if (!json->is_first) {
        fputc(',', json->out);
    }
    if (json->depth > 0 && (!in_array || is_container) && json->depth <= 4) {
        fprintf(json->out, "\n%*s", (int)json->depth, "");
    } else if (!json->is_first) {
        fputc(' ', json->out);
    }
    if (key != NULL && !in_array && json->depth > 0) {
        json_text_value(json->out, key);
        fputs(": ", json->out);
    }
    json->is_first = false;
}

static void json_begin(struct report_tree *tree, const char *key, bool is_array)
{
    struct render_json *json = json_of(tree);
    json_lead(json, key, true);
    fputc(is_array ? '[' : '{', json->out);
    json->is_array = mt_grow(json->is_array, &json->capacity, json->depth + 1, 1);
    json->is_array[json->depth++] = is_array;
    json->is_first = true;
}

static void json_end(struct report_tree *tree)
{
    struct render_json *json = json_of(tree);
    json->depth--;
    fputc(json->is_array[json->depth] ? ']' : '}', json->out);
    json->is_first = false;
}

static void json_integer(struct report_tree *tree, const char *key, int64_t value)
{
    struct render_json *json = json_of(tree);
    json_lead(json, key, false);
    fprintf(json->out, "%lld", (long long)value);
}

static void json_number(struct report_tree *tree, const char *key, double value)
{
    struct render_json *json = json_of(tree);
    json_lead(json, key, false);
    if (!isfinite(value)) {
        fputs("null", json->out);
        return;
    }
    /* Nanoseconds survive; a float stays one for readers that look at the dot. */
    char text[64];
    snprintf(text, sizeof(text), "%.15g", value);
    fputs(text, json->out);
    if (strpbrk(text, ".e") == NULL) {
        fputs(".0", json->out);
    }
}

static void json_boolean(struct report_tree *tree, const char *key, bool value)
{
    struct render_json *json = json_of(tree);
    json_lead(json, key, false);
    fputs(value ? "true" : "false", json->out);
}

static void json_text(struct report_tree *tree, const char *key, const char *value)
{
    struct render_json *json = json_of(tree);
    json_lead(json, key, false);
    if (value == NULL) {
        fputs("null", json->out);
    } else {
        json_text_value(json->out, value);
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
    *json = (struct render_json){.tree = {&functions}, .out = out, .is_first = true};
}

void render_json_finish(struct render_json *json)
{
    fputc('\n', json->out);
    free(json->is_array);
    json->is_array = NULL;
}
