/*
 * recording/import_profile.h - heap profiles that other allocators wrote, as recordings: what
 * jemalloc dumps with prof:true (heap_v2), and gperftools with HEAPPROFILE.
 *
 * Such a profile is one moment: what is live, and, where the allocator counts it (jemalloc's
 * prof_accum, gperftools always), what was ever allocated. Sampled counts are made unbiased
 * as jeprof does it. The peak is not known: the moment stands for it.
 *
 * Context: analyzer.
 * Memory:  some 100 bytes per distinct frame while it works.
 * Threads: one.
 */
#ifndef MEMTRACK_RECORDING_IMPORT_PROFILE_H
#define MEMTRACK_RECORDING_IMPORT_PROFILE_H

#include "foundation/error.h"

#include <stdbool.h>
#include <stddef.h>

struct import_result {
    size_t stacks;
    bool is_cut; /* the list of mappings is missing: addresses have no modules */
};

/* Reads the profile `input` and creates the recording `output`; names are to be resolved
 * after. Returns 0, or a negative errno and *error. */
int import_profile(const char *input, const char *output, bool overwrite,
                   struct import_result *result, struct mt_error *error);

#endif
