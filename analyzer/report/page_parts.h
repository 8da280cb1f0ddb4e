/*
 * report/page_parts.h - what the files that write the HTML page's data share.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_REPORT_PAGE_PARTS_H
#define MEMTRACK_REPORT_PAGE_PARTS_H

#include "report/page_stacks.h"

struct page_writer {
    struct report_tree *tree;
    const struct model *model;
    struct region *region; /* for texts that are made */
    struct page_stacks stacks;
    /* Of the process at hand: */
    const struct model_process *process;
    const struct model_site **sites; /* by position on the page */
    size_t site_count;
    size_t site_capacity;
    uint32_t *positions; /* by stack id: position + 1; 0: none */
};

/* Position of a stack's site on the page, -1: it has none. */
int64_t page_site_position(const struct page_writer *writer, const struct model_stack *stack);
void page_write_known(struct report_tree *tree, const char *key, int64_t value);

/* "snapshots" and "changes". */
void page_write_snapshots(struct page_writer *writer);
/* "leaks", "growth", "cpu", "ledger" and "errors". */
void page_write_findings(struct page_writer *writer);

#endif
