/*
 * recorder/census_chains.h - who holds a site's blocks, from the root down, and what
 * would go if a site went.
 *
 * A census says for each block whose pointer found it first, summed per pair of holder and
 * site, and which other pairs of sites have pointers between them. From the former: chains
 * from a root to each large site, with the share of its bytes that comes through them.
 * From both: dominators over sites (all of a site's blocks taken as one node).
 *
 * Context: recorder. Memory: about 100 bytes a site and an edge, released by _deinit().
 * Source: K. Cooper, T. Harvey, K. Kennedy, "A Simple, Fast Dominance Algorithm", 2001.
 */
#ifndef MEMTRACK_RECORDER_CENSUS_CHAINS_H
#define MEMTRACK_RECORDER_CENSUS_CHAINS_H

#include "recorder/image_writer.h"

struct census_result;

struct census_chains {
    uint64_t *retained_bytes; /* by index of the result's sites; NULL: no memory */
    uint32_t *first_edge;     /* [0..site_count]: where a site's incoming edges begin */
    uint32_t *edges;          /* indices of the result's edges, by the site they lead to */
};

void census_chains_init(struct census_chains *chains, const struct census_result *result);
void census_chains_deinit(struct census_chains *chains);

/* Writes the chains of the sites with the most bytes, inside a transaction. */
int census_chains_write(const struct census_chains *chains, const struct census_result *result,
                        const struct arena_file *file, const struct image_writer *image,
                        const struct arena_process *process, struct recording_writer *recording,
                        int64_t census);

#endif
