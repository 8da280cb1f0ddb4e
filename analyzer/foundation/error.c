#include "foundation/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

int mt_error_set(struct mt_error *error, int code, enum mt_status status, const char *format, ...)
{
    assert(code < 0);
    if (error == NULL || error->code != 0) {
        return code;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    for (char *c = error->text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
    error->code = code;
    error->status = status;
    return code;
}
