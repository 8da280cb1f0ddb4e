/*
 * arena/resident.h - the resident memory of a process by what it is, from the text of
 * /proc/PID/smaps. The recorder reads that of living processes; at its end a process reads
 * its own, since nobody else can any more. Both sort by the same rules: these.
 *
 * Context: any; async-signal-safe, no libc. Memory: a parser of about 1 KiB, the caller's.
 * Threads: one per parser.
 */
#ifndef MEMTRACK_ARENA_RESIDENT_H
#define MEMTRACK_ARENA_RESIDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes; rss_bytes is the sum of the others. */
struct resident {
    int64_t rss_bytes;
    int64_t anonymous_bytes; /* heap, anonymous mappings; no stacks, nothing of memtrack */
    int64_t stack_bytes;
    int64_t file_bytes; /* files and code, and what the kernel maps */
    int64_t memtrack_bytes;
};

enum resident_kind {
    RESIDENT_ANONYMOUS,
    RESIDENT_STACK,
    RESIDENT_FILE,
    RESIDENT_MEMTRACK
};

/* Of longer lines the rest is not looked at. */
#define RESIDENT_LINE_BYTES 1024u

struct resident_parser {
    struct resident resident; /* of what was fed so far */
    uint64_t end;             /* of the mapping that the lines speak of */
    bool is_guard;            /* it has no access at all: a thread's stack lies above */
    enum resident_kind kind;
    size_t length; /* of the line so far */
    char line[RESIDENT_LINE_BYTES];
};

void resident_begin(struct resident_parser *parser);

/* The next piece of the text, in pieces of any size; anything may stand in it. */
void resident_feed(struct resident_parser *parser, const char *text, size_t length);

#endif
