/*
 * report/page_data.h - a whole recording for the HTML page: everything that the page can be
 * asked for, as small as it gets.
 *
 * Not the contract's JSON: rows are columns, texts and frames are numbers, stacks are nodes of
 * one tree that all sites share, and of snapshots only the differences are kept. What the page
 * makes of it must agree with the contract's JSON; tests compare the two.
 *
 *   {"processes": [...], "nodes": {parent, address}, "addresses": [first frame, ...],
 *    "frames": {function, file, line, module, offset, flags, source}, "texts": [...]}
 *
 * Texts, frames and addresses are positions from 0, -1 for none; node 0 is the root of all
 * stacks. A node's parent has a smaller number and is told as the difference.
 *
 * Context: analyzer.
 * Memory:  given back on return; about 60 bytes per node while it runs.
 */
#ifndef MEMTRACK_REPORT_PAGE_DATA_H
#define MEMTRACK_REPORT_PAGE_DATA_H

#include "model/model.h"
#include "report/tree.h"

/* Flags of a frame. */
#define PAGE_FRAME_INLINED 1
#define PAGE_FRAME_RUNTIME 2
#define PAGE_FRAME_ALLOCATOR 4

/* One object; only: the process to show, NULL: all. */
void page_data_write(struct report_tree *tree, const struct model *model,
                     const struct model_process *only);

#endif
