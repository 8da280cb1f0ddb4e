/*
 * render/unicode.h - just enough of Unicode to print what cannot be trusted.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_RENDER_UNICODE_H
#define MEMTRACK_RENDER_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes one character of valid UTF-8 at `bytes` (NUL-terminated). Returns its length,
 * 1..4, or 0 if the bytes are not UTF-8. Source: RFC 3629, section 4. */
size_t unicode_decode(const unsigned char *bytes, uint32_t *point);

/* Beyond ASCII, a character that commands instead of being shown: C1 controls, direction
 * and line marks, byte order mark, tags. */
bool unicode_is_command(uint32_t point);

#endif
