#include "report/quantity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct quantity quantity_of_bytes(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    struct quantity result;
    const char *sign = bytes < 0 ? "-" : "";
    double value = fabs(bytes);
    size_t unit = 0;
    /* 1023.96 would be printed as 1024.0. */
    while (value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    if (unit == 0) {
        snprintf(result.text, sizeof(result.text), "%s%.0f B", sign, value);
    } else {
        snprintf(result.text, sizeof(result.text), "%s%.1f %s", sign, value, units[unit]);
    }
    return result;
}

struct quantity quantity_bytes(int64_t bytes)
{
    return quantity_of_bytes((double)bytes);
}

struct quantity quantity_rate_bytes(double value)
{
    struct quantity result = quantity_of_bytes(isfinite(value) ? value : 0);
    strncat(result.text, "/s", sizeof(result.text) - strlen(result.text) - 1);
    return result;
}

struct quantity quantity_count(int64_t count)
{
    char digits[32];
    uint64_t magnitude = count < 0 ? 0 - (uint64_t)count : (uint64_t)count;
    int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)magnitude);
    struct quantity result;
    char *at = result.text;
    if (count < 0) {
        *at++ = '-';
    }
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            *at++ = ',';
        }
        *at++ = digits[i];
    }
    *at = '\0';
    return result;
}

struct quantity quantity_percent(double value)
{
    struct quantity result;
    if (value > 0 && value < 0.05) {
        snprintf(result.text, sizeof(result.text), "<0.1 %%");
    } else {
        snprintf(result.text, sizeof(result.text), "%.1f %%", isfinite(value) ? value : 0);
    }
    return result;
}

struct quantity quantity_seconds(double value)
{
    struct quantity result;
    char *text = result.text;
    size_t room = sizeof(result.text);
    if (!isfinite(value)) {
        value = 0;
    }
    double magnitude = fabs(value);
    if (magnitude == 0) {
        snprintf(text, room, "0 s");
    } else if (magnitude < 0.9995e-3) {
        snprintf(text, room, "%.0f us", value * 1e6);
    } else if (magnitude < 0.9995) {
        snprintf(text, room, "%.0f ms", value * 1e3);
    } else if (magnitude < 99.995) {
        snprintf(text, room, "%.2f s", value);
    } else if (magnitude < 5999.5) {
        long long all = llround(value);
        snprintf(text, room, "%lld m %02lld s", all / 60, llabs(all % 60));
    } else if (magnitude < 172800) {
        long long all = llround(value / 60);
        snprintf(text, room, "%lld h %02lld m", all / 60, llabs(all % 60));
    } else {
        long long all = llround(value / 3600);
        snprintf(text, room, "%lld d %02lld h", all / 24, llabs(all % 24));
    }
    return result;
}
