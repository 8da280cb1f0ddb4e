/*
 * symbolize/answer_cache.h - what earlier runs found out about a module's addresses.
 *
 * To name a hundred addresses of the C library means to decompress and index megabytes of
 * its debug information: more than all else that a short run costs. The answers are small
 * and do not change while the files are the same, so they are kept, one file for each
 * module, and a second run of a program reads no debug information at all.
 *
 *   header | identity | entries, by address | frames | texts, each with its NUL
 *
 * The identity tells which files the answers came from (size and time of change of the
 * program's file, its debug file and its package, and of memtrack itself): answers of
 * other ones are not used. A checksum finds files that are damaged, and every number in
 * one is checked before it is used.
 *
 * Context: analyzer.
 * Memory:  the file's bytes, at most 96 MiB, and the answers added.
 * Threads: one at a time, as the module that it belongs to.
 */
#ifndef MEMTRACK_SYMBOLIZE_ANSWER_CACHE_H
#define MEMTRACK_SYMBOLIZE_ANSWER_CACHE_H

#include "symbolize/cache_folder.h"
#include "symbolize/string_pool.h"
#include "symbolize/symbolizer.h"

struct answer_cache;

/* What is true of a module besides its answers. */
struct answer_cache_facts {
    enum symbolizer_quality quality;
    unsigned notes; /* enum symbolizer_note */
};

/* Reads the answers in the file `name`, if they come from `identity`; none is no error. The
 * folder and the pool, which gets their texts, must outlive the cache. Returns NULL when
 * memory is short. */
struct answer_cache *answer_cache_open(const struct cache_folder *folder, const char *name,
                                       const char *identity, struct string_pool *pool);

/* Facts that were stored; false: there was no file. */
bool answer_cache_facts(const struct answer_cache *cache, struct answer_cache_facts *facts);

/* The answer for an address, in frames[0..room); false: not known. *count may be 0. */
bool answer_cache_find(struct answer_cache *cache, uint64_t address,
                       struct symbolizer_frame *frames, size_t room, size_t *count,
                       enum symbolizer_quality *quality);

/* Keeps an answer that was not known. Its texts are the pool's. */
void answer_cache_add(struct answer_cache *cache, uint64_t address,
                      const struct symbolizer_answer *answer);

/* Writes what was added, together with what was there; nothing if nothing was added.
 * Returns 0, or a negative errno, which only costs time in the next run. */
int answer_cache_store(struct answer_cache *cache, const struct answer_cache_facts *facts);

/* NULL is fine. */
void answer_cache_free(struct answer_cache *cache);

#endif
