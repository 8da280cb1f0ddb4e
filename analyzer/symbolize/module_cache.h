/*
 * symbolize/module_cache.h - what is kept of a module for later runs, and found again.
 *
 *   NAME          answers: addresses that were asked for (answer_cache.h)
 *   NAME.units    which unit of the debug information covers which addresses
 *   NAME.debug    the debug information itself, where its file has it compressed
 *
 * A run whose addresses are all among the answers reads nothing else. Others, say with
 * CPU samples at places that no run hit before, read the units that they need, without
 * having to decompress and list all of them: for the C library that is 2 ms instead of 20.
 *
 * All three begin or end with the identity of the files that they were made from and have
 * a checksum; what does not fit is as if it were not there.
 *
 * Context: analyzer.   Memory: the module's.   Threads: the module is locked.
 */
#ifndef MEMTRACK_SYMBOLIZE_MODULE_CACHE_H
#define MEMTRACK_SYMBOLIZE_MODULE_CACHE_H

#include "symbolize/module.h"

/* When the module's files are found, and before they are closed. */
void module_cache_open(struct symbolizer_module *module);
void module_cache_close(struct symbolizer_module *module);

/* The readable debug information of a file that has it compressed. Returns whether it was
 * there. Storing does nothing for files that need none, or are too large to keep. */
bool module_cache_load_debug(struct symbolizer_module *module);
void module_cache_store_debug(const struct symbolizer_module *module);

/* The module's list of units and their map. Returns whether they were there. */
bool module_cache_load_units(struct symbolizer_module *module);
void module_cache_store_units(const struct symbolizer_module *module);

#endif
