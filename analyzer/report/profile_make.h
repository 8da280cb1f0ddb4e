/*
 * report/profile_make.h - a profile of one process of a model, or of all of them together.
 *
 * Context: analyzer.
 * Memory:  the profile lives in the region that was given, and borrows from the model.
 */
#ifndef MEMTRACK_REPORT_PROFILE_MAKE_H
#define MEMTRACK_REPORT_PROFILE_MAKE_H

#include "model/model.h"
#include "report/profile.h"

/* process NULL: all processes, equal stacks merged. */
const struct profile *profile_make(struct region *region, const struct model *model,
                                   const struct model_process *process);

/* Why the profile has no such metric, and how to get it: one line for a person. */
const char *profile_missing(struct region *region, const struct model *model,
                            const struct profile *profile, enum profile_metric metric);

#endif
