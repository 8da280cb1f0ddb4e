/*
 * render/line_text.h - names from programs for formats that are made of lines.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_RENDER_LINE_TEXT_H
#define MEMTRACK_RENDER_LINE_TEXT_H

#include <stdio.h>

/* Writes valid UTF-8 in one line: controls and what commands a terminal become blanks,
 * characters of `forbidden` (ASCII) become `substitute`. */
void line_text_put(FILE *out, const char *text, const char *forbidden, char substitute);

#endif
