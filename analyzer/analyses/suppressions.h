/*
 * analyses/suppressions.h - leaks that are known and not to be reported: LeakSanitizer's
 * syntax and Valgrind's, told apart by content.
 *
 *   # a comment                          {
 *   leak:known_leaker                       what it is
 *   leak:libfoo.so                          Memcheck:Leak
 *   leak:^main$                             match-leak-kinds: definite
 *                                           fun:malloc
 *                                           ...
 *                                           obj:*libfoo.so*
 *                                        }
 *
 * LeakSanitizer's pattern matches where it is found in a function's name, a source file or
 * a module of any frame; '*' stands for anything, '^' and '$' hold it to an end. Valgrind's
 * lines match frames one by one from the innermost on; "..." stands for any number. A
 * frame of the allocator (fun:malloc) matches the call that is not in memtrack's stacks.
 *
 * Context: analyzer. Memory: the list owns copies. Threads: one at a time.
 * Source:  clang's LeakSanitizer documentation; Valgrind manual 2.5.
 */
#ifndef MEMTRACK_ANALYSES_SUPPRESSIONS_H
#define MEMTRACK_ANALYSES_SUPPRESSIONS_H

#include "foundation/error.h"
#include "foundation/region.h"
#include "model/model.h"

struct suppression {
    const char *origin; /* file name, for messages */
    unsigned line;      /* where it begins, from 1 */
    const char *name;   /* the pattern, or the name in braces */
    const char *pattern; /* LeakSanitizer's; NULL: `frames` */
    const char *const *frames; /* "fun:...", "obj:...", "src:...", "..." */
    size_t frame_count;
    unsigned classes; /* bits 1 << enum recording_leak_class that it applies to */
    int64_t blocks;   /* suppressed so far */
    int64_t bytes;
};

struct suppressions {
    struct region *region;
    struct suppression *items;
    size_t count;
    size_t capacity;
};

/* Borrows the region, which must outlive the list. */
void suppressions_init(struct suppressions *suppressions, struct region *region);
void suppressions_deinit(struct suppressions *suppressions);

/* Adds what `text` says, a file's content. Returns 0, or -EINVAL and *error
 * ("FILE:LINE: what was expected"). */
int suppressions_add_text(struct suppressions *suppressions, const char *origin, const char *text,
                          struct mt_error *error);
int suppressions_add_file(struct suppressions *suppressions, const char *path,
                          struct mt_error *error);

/* Returns the first that matches a leak of this class with this stack, counted up by
 * blocks and bytes, or NULL. */
struct suppression *suppressions_match(struct suppressions *suppressions,
                                       const struct model *model, const struct model_stack *stack,
                                       enum recording_leak_class leak_class, int64_t blocks,
                                       int64_t bytes);

/* '*' stands for any text, '?' for one character; the whole text must match. */
bool suppressions_glob(const char *pattern, const char *text);

#endif
