/*
 * report/page_stacks.h - the texts, frames and stacks of the HTML page, each once.
 *
 * Context: analyzer.
 * Memory:  own arrays until page_stacks_deinit(); texts are borrowed from the model.
 */
#ifndef MEMTRACK_REPORT_PAGE_STACKS_H
#define MEMTRACK_REPORT_PAGE_STACKS_H

#include "model/model.h"
#include "recording/intern.h"
#include "report/tree.h"

struct page_node {
    uint32_t parent;
    uint32_t address; /* position among the page's addresses */
};

struct page_stacks {
    const struct model *model;
    struct intern_texts text_ids;
    const char **texts;
    size_t text_count;
    size_t text_capacity;
    struct intern_texts node_ids;
    struct page_node *nodes; /* [0] is the root */
    size_t node_count;
    size_t node_capacity;
    uint32_t *address_ids; /* by the model's index; 0: not used, else position + 1 */
    uint32_t *addresses;   /* the model's indices, by position */
    size_t address_count;
    uint32_t *leaves; /* by stack id; 0: not yet met, or the empty stack */
};

void page_stacks_init(struct page_stacks *stacks, const struct model *model);
void page_stacks_deinit(struct page_stacks *stacks);

/* Position of a text, -1 for NULL. The text must outlive `stacks`. */
int64_t page_stacks_text(struct page_stacks *stacks, const char *text);
/* The node of a stack's innermost frame. stack NULL or empty: 0. */
int64_t page_stacks_leaf(struct page_stacks *stacks, const struct model_stack *stack);
/* How many frames lie inside a stack's location; -1: no location. */
int64_t page_stacks_location(const struct page_stacks *stacks, const struct model_stack *stack);

/* "nodes", "addresses", "frames" and "texts": the last of what is written, as it may add texts. */
void page_stacks_write(struct page_stacks *stacks, struct report_tree *tree);

#endif
