#include "commands/quantity.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <strings.h>

struct quantity_unit {
    const char *name; /* compared without regard to case */
    double factor;
};

static const struct quantity_unit byte_units[] = {
    {"", 1},           {"b", 1},
    {"k", 0x1p10},     {"kb", 0x1p10},    {"kib", 0x1p10},
    {"m", 0x1p20},     {"mb", 0x1p20},    {"mib", 0x1p20},
    {"g", 0x1p30},     {"gb", 0x1p30},    {"gib", 0x1p30},
    {"t", 0x1p40},     {"tb", 0x1p40},    {"tib", 0x1p40},
    {NULL, 0},
};

static const struct quantity_unit time_units[] = {
    {"", 1e9},     {"s", 1e9},        {"sec", 1e9},         {"ns", 1},
    {"us", 1e3},   {"ms", 1e6},       {"m", 60e9},          {"min", 60e9},
    {"h", 3600e9}, {"d", 24 * 3600e9}, {NULL, 0},
};

/* Digits with at most one point: not strtod, which takes signs, hex, inf and the
 * locale's comma. Returns what follows, or NULL. */
static const char *decimal_parse(const char *text, double *value)
{
    double number = 0;
    double scale = 1;
    int digits = 0;
    int has_point = 0;
    for (;; text++) {
        if (*text >= '0' && *text <= '9') {
            number = number * 10 + (*text - '0');
            scale = has_point ? scale * 10 : scale;
            digits++;
        } else if (*text == '.' && !has_point) {
            has_point = 1;
        } else {
            break;
        }
    }
    *value = number / scale;
    return digits == 0 || digits > 18 ? NULL : text;
}

/* Returns 0 or -1. */
static int quantity_parse(const char *text, const struct quantity_unit *units, uint64_t *result)
{
    double value;
    const char *rest = decimal_parse(text, &value);
    if (rest == NULL) {
        return -1;
    }
    while (*rest == ' ') {
        rest++;
    }
    for (const struct quantity_unit *unit = units; unit->name != NULL; unit++) {
        if (strcasecmp(rest, unit->name) == 0) {
            double scaled = value * unit->factor;
            if (!(scaled < 0x1p62)) {
                return -1;
            }
            *result = (uint64_t)llround(scaled);
            return 0;
        }
    }
    return -1;
}

int quantity_parse_bytes(const char *option, const char *text, uint64_t *bytes,
                         struct mt_error *error)
{
    if (quantity_parse(text, byte_units, bytes) == 0) {
        return 0;
    }
    return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                        "%s: '%s' is not a size: write bytes, or 512k, 1.5M, 2G", option, text);
}

int quantity_parse_time(const char *option, const char *text, uint64_t *time_ns,
                        struct mt_error *error)
{
    if (quantity_parse(text, time_units, time_ns) == 0) {
        return 0;
    }
    return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                        "%s: '%s' is not a time: write 500ms, 10s, 5m or 2h", option, text);
}

int quantity_parse_number(const char *option, const char *text, uint64_t least, uint64_t most,
                          uint64_t *number, struct mt_error *error)
{
    uint64_t value = 0;
    const char *at = text;
    while (*at >= '0' && *at <= '9' && value <= most) {
        value = value * 10 + (uint64_t)(*at - '0');
        at++;
    }
    if (at == text || *at != '\0' || value < least || value > most) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "%s: '%s' is not a number from %" PRIu64 " to %" PRIu64, option, text,
                            least, most);
    }
    *number = value;
    return 0;
}
