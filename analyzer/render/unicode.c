#include "render/unicode.h"

size_t unicode_decode(const unsigned char *bytes, uint32_t *point)
{
    static const struct {
        unsigned char mask, lead;
        size_t length;
        uint32_t minimum;
    } forms[] = {{0x80, 0x00, 1, 0},
                 {0xe0, 0xc0, 2, 0x80},
                 {0xf0, 0xe0, 3, 0x800},
                 {0xf8, 0xf0, 4, 0x10000}};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if ((bytes[0] & forms[i].mask) != forms[i].lead) {
            continue;
        }
        uint32_t value = bytes[0] & (unsigned char)~forms[i].mask;
        for (size_t k = 1; k < forms[i].length; k++) {
            if ((bytes[k] & 0xc0) != 0x80) {
                return 0;
            }
            value = value << 6 | (bytes[k] & 0x3f);
        }
        bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
        if (value < forms[i].minimum || value > 0x10ffff || is_surrogate) {
            return 0;
        }
        *point = value;
        return forms[i].length;
    }
    return 0;
}

bool unicode_is_command(uint32_t point)
{
    return (point >= 0x80 && point <= 0x9f) || point == 0x061c
           || (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e)
           || (point >= 0x2060 && point <= 0x2069) || point == 0xfeff
           || (point >= 0xfff9 && point <= 0xfffb) || (point >= 0xe0000 && point <= 0xe007f);
}
