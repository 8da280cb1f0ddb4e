/*
 * analyses/signature.h - a stack in words that survive a rebuild: the functions' names.
 *
 *   cache_insert < handle_request < main
 *
 * Addresses change with every build and lines with every edit; names of functions do not.
 * Frames of C library and C++ runtime above the location, and those below main, are left
 * out; recursion counts once; a function without a name is its module's name. Texts of
 * different depth of recursion are equal, and so are those of two lines of one function.
 *
 * Context: analyzer. Memory: the text lives in the region. Threads: any.
 */
#ifndef MEMTRACK_ANALYSES_SIGNATURE_H
#define MEMTRACK_ANALYSES_SIGNATURE_H

#include "model/model.h"

/* Never NULL, one line without control characters; "(no stack)" for the empty stack. */
const char *signature_make(struct region *region, const struct model *model,
                           const struct model_stack *stack);

/* A number for a text: equal for equal texts, on every machine and in every version.
 * Source: FNV-1a, 64 bits, draft-eastlake-fnv. */
uint64_t signature_hash(const char *kind, const char *signature);

#endif
