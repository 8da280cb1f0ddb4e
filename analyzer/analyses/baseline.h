/*
 * analyses/baseline.h - what is known and tolerated: one line per site, made to be
 * committed and read in reviews.
 *
 *   # memtrack baseline 1
 *   definite         2 blocks         96 bytes  session_new < open_session < main
 *   mismatched-free  1 times           0 bytes  shutdown < main
 *
 * Lines are sorted by stack, so that a change of one site is a change of one line. Sites
 * of all processes with the same stack in words (analyses/signature.h) are one entry.
 *
 * Context: analyzer. Memory: entries live in the region given. Threads: one at a time.
 */
#ifndef MEMTRACK_ANALYSES_BASELINE_H
#define MEMTRACK_ANALYSES_BASELINE_H

#include "foundation/error.h"
#include "foundation/region.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct baseline_entry {
    const char *kind; /* "definite", ..., "double-free", ... */
    const char *signature;
    int64_t blocks; /* or times */
    int64_t bytes;
};

struct baseline {
    struct region *region;
    struct baseline_entry *entries;
    size_t count;
    size_t capacity;
    const char *name; /* of the file, for messages */
};

/* Borrows the region, which must outlive the baseline. */
void baseline_init(struct baseline *baseline, struct region *region, const char *name);
void baseline_deinit(struct baseline *baseline);

/* Adds to the entry of this kind and stack, or makes it. Texts are borrowed. */
void baseline_add(struct baseline *baseline, const char *kind, const char *signature,
                  int64_t blocks, int64_t bytes);
/* By kind, then stack. To be called after the last baseline_add(). */
void baseline_sort(struct baseline *baseline);
/* In a sorted baseline; NULL: not known. */
const struct baseline_entry *baseline_find(const struct baseline *baseline, const char *kind,
                                           const char *signature);

/* Reads a file that baseline_write() wrote. Returns 0; or -ENOENT and such with
 * MT_STATUS_NO_INPUT, -EINVAL with MT_STATUS_DATA ("FILE:LINE: what was expected"). */
int baseline_read(struct baseline *baseline, const char *path, struct mt_error *error);
/* Errors of `out` are the caller's to check. */
void baseline_write(const struct baseline *baseline, FILE *out);

#endif
