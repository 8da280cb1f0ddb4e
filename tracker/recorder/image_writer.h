/*
 * recorder/image_writer.h - copies an image's modules and stacks into the recording.
 *
 * Called as often as one likes: only what is new since the last time is written.
 * What the arena holds is checked on the way: ids and offsets outside, cycles and
 * stacks that are still being filled are left out (the last are tried again).
 *
 * Context: recorder. Memory: two bits for each node and stack id; 16 bytes for each module.
 * Threads: one.
 */
#ifndef MEMTRACK_RECORDER_IMAGE_WRITER_H
#define MEMTRACK_RECORDER_IMAGE_WRITER_H

#include "recorder/arena_file.h"
#include "recording/writer.h"

struct image_module {
    uint64_t load_bias;
    int64_t module; /* id in the recording; 0: its entry is damaged */
};

struct image_writer {
    uint32_t index;
    uint64_t offset; /* of the struct arena_image; 0: not found yet */
    char *executable;        /* stands for the module without a name */
    char *working_directory; /* what relative module paths begin at */
    struct image_module *modules; /* [0..module_count), in the order of module_log */
    uint32_t module_count;
    uint32_t module_capacity;
    uint8_t *nodes_written; /* bit sets, by id */
    size_t node_bits;
    uint8_t *stacks_written;
    size_t stack_bits;
    uint32_t stacks_first; /* all ids below are written */
};

/* executable and working_directory are copied. */
void image_writer_init(struct image_writer *writer, uint32_t index, const char *executable,
                       const char *working_directory);
void image_writer_deinit(struct image_writer *writer);

/* Writes what is new, inside a transaction of `recording`. Returns 0, -ENOMEM, or the
 * writer's error. */
int image_writer_update(struct image_writer *writer, const struct arena_file *file,
                        struct recording_writer *recording);

/* Returns the image's memory in the arena to the system: no process uses it any more. */
void image_writer_drop(const struct image_writer *writer, const struct arena_file *file);

/* Forgets what was written, for a recording that starts anew (or is opened again: adding
 * twice changes nothing). */
void image_writer_forget(struct image_writer *writer);

#endif
