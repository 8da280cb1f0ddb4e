/*
 * report/place.h - frames, locations and stacks in documents and trees: one form for all
 * reports.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_REPORT_PLACE_H
#define MEMTRACK_REPORT_PLACE_H

#include "model/model.h"
#include "report/document.h"
#include "report/tree.h"

#include <stdbool.h>

#define PLACE_CALLERS_MAX 24u /* looked at */
#define PLACE_CALLERS_SHOWN 2u

/* Copies a frame into the document's terms; its texts stay the model's. */
struct report_frame place_frame(const struct model_frame *frame);

/* The stack's location, in the document's region; NULL for the empty stack. */
const struct report_frame *place_location(struct report_document *document,
                                          const struct model_stack *stack);

/* All frames of a stack, innermost first, as row->frames. */
void place_set_frames(struct report_document *document, const struct model *model,
                      const struct model_stack *stack, struct report_row *row);

/* The frames outside of the stack's location as row->callers, startup frames left out. */
void place_set_callers(struct report_document *document, const struct model *model,
                       const struct model_stack *stack, struct report_row *row);

/* Rows of one table that have the same place (an allocation function that everything goes
 * through) and show no stack below them get the names of the callers that tell them apart,
 * as far as they have names, as the text of their place: "< .. < parse_value". */
void place_tell_apart(struct report_document *document, struct report_table *table,
                      size_t place_column);

/* Frames that every program has below main or a thread's function tell nothing. */
bool place_is_startup(const struct report_frame *frame);

/* "stack": [...] and "location": {...} of the contract. stack NULL: [] and nulls. */
void place_write_stack(struct report_tree *tree, const char *key, const struct model *model,
                       const struct model_stack *stack);
void place_write_location(struct report_tree *tree, const char *key,
                          const struct model_stack *stack);

#endif
