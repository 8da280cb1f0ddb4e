/*
 * symbolize/cache_folder.h - the folder in which later runs find what this one worked out.
 *
 * One file for each thing that is kept, named by build-id and an ending. A file is written
 * under another name first and renamed, so that readers see a whole one. A folder that
 * cannot be read or written is no folder: nothing fails for it.
 *
 * It must be this user's and nobody else may write into it, or others could tell lies
 * about the user's programs. It need not exist; it is made when there is something to keep.
 *
 * Context: analyzer.
 * Memory:  the caller's. On the disk at most CACHE_FOLDER_MAX_BYTES; what was unused
 *          longest goes first.
 * Threads: any; several processes may use one folder.
 */
#ifndef MEMTRACK_SYMBOLIZE_CACHE_FOLDER_H
#define MEMTRACK_SYMBOLIZE_CACHE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_FOLDER_MAX_BYTES ((uint64_t)256 << 20)

struct cache_folder {
    char *path; /* NULL: none */
};

/* Takes the folder at `path` if it can be trusted. NULL: none. Returns 0 or -ENOMEM. */
int cache_folder_init(struct cache_folder *folder, const char *path);
void cache_folder_deinit(struct cache_folder *folder);

/* The whole of a file of at most max_bytes, in memory that the caller frees with free();
 * NULL if there is none. */
char *cache_folder_read(const struct cache_folder *folder, const char *name, size_t max_bytes,
                        size_t *size);

/* The same as a private mapping, which the caller unmaps: read as it is touched. */
char *cache_folder_map(const struct cache_folder *folder, const char *name, size_t *size);

struct cache_part {
    const void *bytes;
    size_t size;
};

/* Writes a file of parts[0..count) and keeps the folder within its bound. Returns 0 or a
 * negative errno. */
int cache_folder_write(const struct cache_folder *folder, const char *name,
                       const struct cache_part *parts, size_t count);

#endif
