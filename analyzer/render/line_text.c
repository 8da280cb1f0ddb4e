#include "render/line_text.h"

#include "render/unicode.h"

#include <string.h>

void line_text_put(FILE *out, const char *text, const char *forbidden, char substitute)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        uint32_t point;
        size_t length = unicode_decode(at, &point);
        if (length == 0) {
            fputs("\xef\xbf\xbd", out);
            at++;
            continue;
        }
        if (point < 0x20 || point == 0x7f || unicode_is_command(point)) {
            fputc(' ', out);
        } else if (point < 0x80 && strchr(forbidden, (int)point) != NULL) {
            fputc(substitute, out);
        } else {
            fwrite_unlocked(at, 1, length, out);
        }
        at += length;
    }
}
