/*
 * recording/packed.h - many small rows in one: the tables packed_*.
 *
 * Trie nodes, stacks and the sites' counters come by the hundred thousand. As rows of their
 * own they cost a microsecond each to write and half of one to read, so up to 256 of
 * them share a row, as JSON that every SQLite can take apart (the views node, stack, site
 * ... do). With N ids in a chunk:
 *
 *     dense    [0,[1,2],[1,3]]           an array for each id from chunk * N on; 0: none
 *     sparse   [[1,10,640],[7,2,32]]     an array for each id, its first number id % N
 *
 * Numbers are integers of 64 bits. Zeros at the end of an inner array are left out, and
 * there is no white space.
 *
 * Context: recorder, analyzer.
 * Memory:  the caller's.
 * Threads: any, on different objects.
 */
#ifndef MEMTRACK_RECORDING_PACKED_H
#define MEMTRACK_RECORDING_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKED_ROWS_MAX 256u
#define PACKED_COLUMNS_MAX 16u

enum packed_table {
    PACKED_NODE,
    PACKED_STACK,
    PACKED_SITE,
    PACKED_LIFETIME,
    PACKED_SNAPSHOT_SITE,
    PACKED_TABLES
};

struct packed_shape {
    size_t columns;     /* without the id */
    uint32_t rows_log2; /* ids in a chunk: few where SQL looks for single ones */
    bool is_dense;
};
extern const struct packed_shape packed_shapes[PACKED_TABLES];

/* Counters are stored as what was allocated and what of it is live: fewer digits than what
 * was freed. Its own inverse. */
static inline int64_t packed_live(int64_t allocated, int64_t freed)
{
    return (int64_t)((uint64_t)allocated - (uint64_t)freed);
}

struct packed_chunk {
    int64_t values[PACKED_ROWS_MAX][PACKED_COLUMNS_MAX];
    bool is_there[PACKED_ROWS_MAX];
};

/* Room for any chunk as text. */
#define PACKED_TEXT_BYTES (PACKED_ROWS_MAX * (PACKED_COLUMNS_MAX + 1) * 21 + 2)

/* Writes the chunk's rows into text[0..PACKED_TEXT_BYTES); returns how many bytes, no NUL. */
size_t packed_encode(const struct packed_chunk *chunk, const struct packed_shape *shape,
                     char *text);

/* Takes a text apart, row by row. */
struct packed_cursor {
    const char *at;
    const char *end;
    const struct packed_shape *shape;
    bool is_first;
    bool is_damaged; /* the text is none of ours from here on; rows before it are good */
    uint32_t row;    /* of the one at hand: id % N */
    uint32_t next;   /* the least that the next may have */
    int64_t values[PACKED_COLUMNS_MAX]; /* [0..shape->columns) */
};

/* text[0..bytes), with a NUL at text[bytes]; borrowed. */
void packed_cursor_init(struct packed_cursor *cursor, const char *text, size_t bytes,
                        const struct packed_shape *shape);
/* Goes to the next row; false: there is none, or damage. */
bool packed_cursor_next(struct packed_cursor *cursor);

#endif
