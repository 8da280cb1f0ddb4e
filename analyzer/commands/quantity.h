/*
 * commands/quantity.h - sizes, times and numbers as people write them on a command line.
 *
 *   BYTES  512, 512k, 1.5M, 2GiB, 64KB   (k, M, G, T are powers of 1024)
 *   TIME   500ms, 10s, 5m, 2h, 1d, 1.5   (a bare number is seconds)
 *
 * Context: analyzer. Memory: none. Threads: any.
 */
#ifndef MEMTRACK_COMMANDS_QUANTITY_H
#define MEMTRACK_COMMANDS_QUANTITY_H

#include <stdint.h>

#include "foundation/error.h"

/* Each returns 0, or a negative errno and *error (status 64) that names `option`. Signs,
 * empty text, junk behind the unit and what does not fit are refused. */
int quantity_parse_bytes(const char *option, const char *text, uint64_t *bytes,
                         struct mt_error *error);
int quantity_parse_time(const char *option, const char *text, uint64_t *time_ns,
                        struct mt_error *error);
/* A whole number within [least, most]. */
int quantity_parse_number(const char *option, const char *text, uint64_t least, uint64_t most,
                          uint64_t *number, struct mt_error *error);

#endif
