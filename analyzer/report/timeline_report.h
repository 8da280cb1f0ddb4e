/*
 * report/timeline_report.h - a process's timeline: charts for people, points for programs.
 *
 * Each point covers the interval since the one before; minima and maxima are true ones.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_REPORT_TIMELINE_REPORT_H
#define MEMTRACK_REPORT_TIMELINE_REPORT_H

#include "model/model.h"
#include "report/document.h"
#include "report/tree.h"

struct report_document *timeline_report_make(const struct model *model,
                                             const struct model_process *process);
/* One table with a row for each point. */
struct report_document *timeline_report_make_table(const struct model_process *process);
void timeline_report_write(struct report_tree *tree, const struct model_process *process);

#endif
