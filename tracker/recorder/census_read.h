/*
 * recorder/census_read.h - takes the results of censuses out of the arena.
 *
 * Context: recorder. Memory: returned results are the caller's. Threads: one.
 */
#ifndef MEMTRACK_RECORDER_CENSUS_READ_H
#define MEMTRACK_RECORDER_CENSUS_READ_H

#include "recorder/image_writer.h"
#include "recorder/tracked.h"

/* A complete census, copied: nothing in it refers to the arena. */
struct census_result {
    struct arena_census facts;
    struct arena_census_site *sites; /* [0..site_count), by stack, each stack once */
    size_t site_count;
    struct arena_census_edge *edges; /* [0..edge_count) */
    size_t edge_count;
};

/* Reads the process's latest complete census. Returns 0, -ENOENT where there is none, -EFAULT
 * where it is damaged, -ENOMEM. The result is released by census_result_deinit(). */
int census_read_latest(const struct arena_file *file, const struct arena_process *process,
                       struct census_result *result);
void census_result_deinit(struct census_result *result);

/*
 * Asks a running process for a census. It stands still for some milliseconds while its
 * threads are stopped and its memory is forked. Blocks count as lost that `agreement` censuses
 * in a row found lost, with this one (from 1 on). Returns the number of the census to come;
 * 0: the process makes none (no leak scan wanted, sampling, seccomp, not ours).
 */
#define CENSUS_AGREEMENT 3u /* what leaks in mid-run need */
uint32_t census_request(const struct arena_file *file, const struct arena_process *process,
                        int32_t pid, uint32_t agreement);

/* Waits until that census is done, at most so long. Returns 0, -ETIMEDOUT or -ESRCH: the
 * process ended before. */
int census_await(const struct arena_process *process, int32_t pid, uint32_t number,
                 uint32_t limit_ms);

/* What the report says of the scan at the process's end: "full", "counts", "off" or
 * "failed: WHY", into text; NULL while that is not known. */
const char *census_scan_text(const struct tracked *tracked, const struct arena_file *file,
                             char *text, size_t text_bytes);

/*
 * Inside a transaction: writes the process's latest census with all that it found, unless
 * that was done already. `snapshot`: taken with it, or RECORDING_UNKNOWN. `image` has
 * written the stacks and modules of the process.
 */
int census_write(struct tracked *tracked, const struct arena_file *file,
                 const struct image_writer *image, struct recording_writer *recording,
                 int64_t snapshot);

#endif
