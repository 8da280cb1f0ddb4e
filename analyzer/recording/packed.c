#include "recording/packed.h"

#include "recording/rows.h"

#include <assert.h>
#include <string.h>

static_assert(RECORDING_LIFETIME_BUCKETS <= PACKED_COLUMNS_MAX, "a row holds all buckets");

const struct packed_shape packed_shapes[PACKED_TABLES] = {
    [PACKED_NODE] = {.columns = 2, .rows_log2 = 6, .is_dense = true},
    [PACKED_STACK] = {.columns = 3, .rows_log2 = 6, .is_dense = true},
    [PACKED_SITE] = {.columns = 9, .rows_log2 = 8},
    [PACKED_LIFETIME] = {.columns = RECORDING_LIFETIME_BUCKETS, .rows_log2 = 8},
    [PACKED_SNAPSHOT_SITE] = {.columns = 5, .rows_log2 = 8},
};

/* ---- to text --------------------------------------------------------------- */

static char *packed_put(char *at, int64_t value)
{
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (value < 0) {
        *at++ = '-';
    }
    while (count > 0) {
        *at++ = digits[--count];
    }
    return at;
}

static char *packed_put_row(char *at, const struct packed_shape *shape, uint32_t row,
                            const int64_t *values)
{
    size_t used = shape->columns;
    while (used > 0 && values[used - 1] == 0) {
        used--;
    }
    *at++ = '[';
    if (!shape->is_dense) {
        at = packed_put(at, row);
    }
    for (size_t i = 0; i < used; i++) {
        if (i > 0 || !shape->is_dense) {
            *at++ = ',';
        }
        at = packed_put(at, values[i]);
    }
    *at++ = ']';
    return at;
}

size_t packed_encode(const struct packed_chunk *chunk, const struct packed_shape *shape,
                     char *text)
{
    uint32_t rows = 1u << shape->rows_log2;
    while (rows > 0 && !chunk->is_there[rows - 1]) {
        rows--;
    }
    char *at = text;
    *at++ = '[';
    for (uint32_t i = 0; i < rows; i++) {
        if (!chunk->is_there[i] && !shape->is_dense) {
            continue;
        }
        if (at > text + 1) {
            *at++ = ',';
        }
        if (chunk->is_there[i]) {
            at = packed_put_row(at, shape, i, chunk->values[i]);
        } else {
            *at++ = '0';
        }
    }
    *at++ = ']';
    return (size_t)(at - text);
}

/* ---- from text ------------------------------------------------------------- */

void packed_cursor_init(struct packed_cursor *cursor, const char *text, size_t bytes,
                        const struct packed_shape *shape)
{
    *cursor = (struct packed_cursor){
        .at = text, .end = text + bytes, .shape = shape, .is_first = true};
    if (bytes < 2 || *cursor->at++ != '[') {
        cursor->is_damaged = true;
    }
}

/* The NUL behind the text is no digit: nothing here needs to look at the end. */
static bool packed_take(const char **from, int64_t *value)
{
    const char *at = *from;
    bool is_negative = *at == '-';
    at += is_negative;
    const char *first = at;
    uint64_t number = 0;
    while (*at >= '0' && *at <= '9' && at - first < 18) {
        number = number * 10 + (uint64_t)(*at++ - '0');
    }
    if (at == first || (*first == '0' && (is_negative || at > first + 1))) {
        return false; /* none, or not as it is written */
    }
    /* Beyond 18 digits it might not fit. */
    uint64_t limit = is_negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
    while (*at >= '0' && *at <= '9') {
        uint64_t digit = (uint64_t)(*at++ - '0');
        if (number > (limit - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *value = is_negative ? (int64_t)-number : (int64_t)number;
    *from = at;
    return true;
}

static bool packed_take_row(struct packed_cursor *cursor)
{
    const char *at = cursor->at + 1; /* behind the bracket */
    size_t columns = cursor->shape->columns;
    size_t count = 0;
    int64_t row = cursor->next;
    bool is_dense = cursor->shape->is_dense;
    if (!is_dense && (!packed_take(&at, &row) || row < cursor->next || row >> cursor->shape->rows_log2 != 0)) {
        return false;
    }
    while (*at != ']') {
        bool needs_comma = count > 0 || !is_dense;
        if (count == columns || (needs_comma && *at++ != ',')
            || !packed_take(&at, &cursor->values[count])) {
            return false;
        }
        count++;
    }
    memset(cursor->values + count, 0, (columns - count) * sizeof(cursor->values[0]));
    cursor->at = at + 1;
    cursor->row = (uint32_t)row;
    cursor->next = (uint32_t)row + 1;
    return true;
}

bool packed_cursor_next(struct packed_cursor *cursor)
{
    while (!cursor->is_damaged) {
        if (*cursor->at == ']') {
            cursor->is_damaged = cursor->at + 1 != cursor->end;
            return false;
        }
        if (!cursor->is_first && *cursor->at++ != ',') {
            break;
        }
        cursor->is_first = false;
        if (cursor->next >> cursor->shape->rows_log2 != 0) {
            break; /* more rows than a chunk can have */
        }
        if (*cursor->at == '[') {
            if (packed_take_row(cursor)) {
                return true;
            }
            break;
        }
        if (!cursor->shape->is_dense || *cursor->at++ != '0') {
            break;
        }
        cursor->next++;
    }
    cursor->is_damaged = true;
    return false;
}
