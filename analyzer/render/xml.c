#include "render/xml.h"

#include "render/unicode.h"

void xml_write(FILE *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)(text != NULL ? text : "");
    while (*at != '\0') {
        uint32_t point = 0;
        size_t length = unicode_decode(at, &point);
        if (length == 0) {
            fputs("\xEF\xBF\xBD", out);
            at++;
            continue;
        }
        if (point == '&') {
            fputs("&amp;", out);
        } else if (point == '<') {
            fputs("&lt;", out);
        } else if (point == '>') {
            fputs("&gt;", out);
        } else if (point == '"') {
            fputs("&quot;", out);
        } else if (point == '\n' || point == '\t') {
            fprintf(out, "&#%u;", (unsigned)point);
        } else if (point < 0x20 || point == 0x7f || point == 0xfffe || point == 0xffff
                   || unicode_is_command(point)) {
            fputs("\xEF\xBF\xBD", out);
        } else {
            fwrite(at, 1, length, out);
        }
        at += length;
    }
}

void xml_write_element(FILE *out, const char *name, const char *text)
{
    fprintf(out, "<%s>", name);
    xml_write(out, text);
    fprintf(out, "</%s>\n", name);
}
