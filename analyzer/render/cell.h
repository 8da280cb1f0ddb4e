/*
 * render/cell.h - a cell's value as text; what text and Markdown share.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_RENDER_CELL_H
#define MEMTRACK_RENDER_CELL_H

#include "report/document.h"

#include <stddef.h>

/* Number as people read it; "" for unset cells and for texts and places. */
void cell_format_number(char *text, size_t room, enum report_unit unit,
                        const struct report_cell *cell);
bool cell_is_text(enum report_unit unit);

/* "function" or "module+0x12", into text[0..room). */
void cell_format_function(char *text, size_t room, const struct report_frame *frame);
/* "file:line", "file", the module when the function is known but the file is not, or "". */
void cell_format_source(char *text, size_t room, const struct report_frame *frame, bool is_short);

#endif
