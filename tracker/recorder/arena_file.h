/*
 * recorder/arena_file.h - makes the arena of a run: a sealed, sparse memfd.
 *
 * Sealed against resizing, so that a program that truncates what it finds mapped cannot
 * make the recorder fault.
 *
 * Context: recorder. Memory: the mapping is the arena_file's; its pages are backed as
 * they are touched. Threads: see arena/layout.h.
 */
#ifndef MEMTRACK_RECORDER_ARENA_FILE_H
#define MEMTRACK_RECORDER_ARENA_FILE_H

#include "arena/arena.h"
#include "foundation/error.h"

struct arena_file {
    int fd;
    struct arena arena;
    int64_t block_unit; /* what one block counts as: ARENA_SAMPLE_SCALE when sampling, or 1 */
    /* Called now and then by whoever works long on the arena, so that its clock goes on
     * and nothing is overlooked meanwhile. NULL: nobody wants it. */
    void (*beat)(void *context);
    void *beat_context;
};

/* The beat, where there is one. Cheap enough for every few hundred elements. */
static inline void arena_file_beat(const struct arena_file *file)
{
    if (file->beat != NULL) {
        file->beat(file->beat_context);
    }
}

/* Creates the arena with this configuration. Tries ARENA_SIZE_DEFAULT_BYTES and less
 * where limits demand it. Returns 0, or a negative errno and *error. */
int arena_file_create(const struct arena_config *config, struct arena_file *file,
                      struct mt_error *error);

void arena_file_close(struct arena_file *file);

/*
 * Copies [offset, offset + size_bytes) of the arena to `to`, without giving memory to
 * holes as a read through the mapping would. Returns 0, or -EFAULT when that range is
 * not inside the arena.
 */
int arena_file_copy(const struct arena_file *file, uint64_t offset, void *to, uint64_t size_bytes);

/* Returns the pages of [offset, offset + size_bytes) to the system: they read as zero. */
void arena_file_drop(const struct arena_file *file, uint64_t offset, uint64_t size_bytes);

/* Nanoseconds since the arena was made. */
uint64_t arena_file_now_ns(const struct arena_file *file);

#endif
