#include "render/cell.h"

#include "report/quantity.h"

#include <stdio.h>
#include <string.h>

bool cell_is_text(enum report_unit unit)
{
    return unit == REPORT_TEXT || unit == REPORT_PLACE;
}

void cell_format_number(char *text, size_t room, enum report_unit unit,
                        const struct report_cell *cell)
{
    struct quantity quantity = {""};
    const char *sign = "";
    if (cell->is_set) {
        switch (unit) {
        case REPORT_COUNT:
            quantity = quantity_count(cell->integer);
            break;
        case REPORT_ID:
            snprintf(quantity.text, sizeof(quantity.text), "%lld", (long long)cell->integer);
            break;
        case REPORT_BYTES:
            quantity = quantity_bytes(cell->integer);
            break;
        case REPORT_DELTA_COUNT:
            sign = cell->integer > 0 ? "+" : "";
            quantity = quantity_count(cell->integer);
            break;
        case REPORT_DELTA_BYTES:
            sign = cell->integer > 0 ? "+" : "";
            quantity = quantity_bytes(cell->integer);
            break;
        case REPORT_PERCENT:
            quantity = quantity_percent(cell->number);
            break;
        case REPORT_SECONDS:
            quantity = quantity_seconds(cell->number);
            break;
        case REPORT_RATE_BYTES:
            quantity = quantity_rate_bytes(cell->number);
            break;
        case REPORT_TEXT:
        case REPORT_PLACE:
            break;
        }
    }
    snprintf(text, room, "%s%s", sign, quantity.text);
}

static const char *cell_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

void cell_format_function(char *text, size_t room, const struct report_frame *frame)
{
    if (frame->function != NULL && frame->function[0] != '\0') {
        snprintf(text, room, "%s", frame->function);
    } else if (frame->module != NULL && frame->module[0] != '\0') {
        snprintf(text, room, "%s+0x%llx", cell_base_name(frame->module),
                 (unsigned long long)frame->module_offset);
    } else {
        snprintf(text, room, "0x%llx", (unsigned long long)frame->module_offset);
    }
}

void cell_format_source(char *text, size_t room, const struct report_frame *frame, bool is_short)
{
    if (frame->file != NULL && frame->file[0] != '\0') {
        const char *file = is_short ? cell_base_name(frame->file) : frame->file;
        if (frame->line > 0) {
            snprintf(text, room, "%s:%lld", file, (long long)frame->line);
        } else {
            snprintf(text, room, "%s", file);
        }
    } else if (frame->function != NULL && frame->module != NULL) {
        snprintf(text, room, "%s", cell_base_name(frame->module));
    } else {
        text[0] = '\0';
    }
}
