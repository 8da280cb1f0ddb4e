/*
 * model/frame_kind.h - whose code a frame is.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_MODEL_FRAME_KIND_H
#define MEMTRACK_MODEL_FRAME_KIND_H

#include "model/model.h"

/* An entry point of an allocator (malloc, operator new, je_mallocx), wherever it lives. */
bool frame_kind_is_allocator(const char *function, const struct model_module *module);

/* C library, C++ runtime (templates of the standard library that were compiled into the
 * program too) or an allocator. */
bool frame_kind_is_runtime(const char *function, const char *file,
                           const struct model_module *module);

#endif
