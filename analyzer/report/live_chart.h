/*
 * report/live_chart.h - a process's live bytes over time, for whatever shows them.
 *
 * Context: analyzer. Memory: the document's.
 */
#ifndef MEMTRACK_REPORT_LIVE_CHART_H
#define MEMTRACK_REPORT_LIVE_CHART_H

#include "model/model.h"
#include "report/document.h"

/* Adds a chart of all points; NULL, and nothing is added, where there are fewer than two. */
struct report_chart *live_chart_add(struct report_document *document,
                                    const struct model_process *process, const char *label);

/* One line each, on one scale, so that their heights and lengths compare. */
void live_chart_compare(struct report_chart *a, struct report_chart *b);

#endif
