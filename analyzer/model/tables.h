/*
 * model/tables.h - addresses and stacks of a model, and how they are built; for the files
 * of this folder.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_MODEL_TABLES_H
#define MEMTRACK_MODEL_TABLES_H

#include "model/model.h"

/* The stacks of one image by the tracker's ids. */
struct model_image {
    int64_t image;
    const struct model_stack **stacks; /* [0..stack_count), entries may be NULL */
    /* The innermost frames were the allocator's (or the tracker's): left out of the stack. A
     * CPU sample with such a stack was time in the allocator. */
    bool *is_in_allocator; /* [0..stack_count) */
    size_t stack_count;
};

struct model_tables {
    struct model_address *addresses; /* by recording id; [0] is "unknown" */
    size_t address_count;
    struct model_image *images;
    size_t image_count;
    size_t image_capacity;
    struct model_stack **slots; /* stacks by their addresses, open addressing */
    size_t slot_count;          /* power of two */
    const struct model_stack *empty;
    uint32_t *site_index; /* load.c's, by stack id */
    size_t site_index_count;
};

/* Modules, files, functions, symbols, addresses: what all images share. */
void model_load_symbols(struct model *model);

/* The stacks of an image, loaded when first asked for. */
const struct model_image *model_load_image(struct model *model, int64_t image);

#endif
