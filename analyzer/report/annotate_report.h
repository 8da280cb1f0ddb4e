/*
 * report/annotate_report.h - `memtrack annotate`: source lines with memory and CPU time.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_REPORT_ANNOTATE_REPORT_H
#define MEMTRACK_REPORT_ANNOTATE_REPORT_H

#include "analyses/annotate.h"
#include "report/listing.h"
#include "report/tree.h"

struct annotate_report_options {
    const char *const *sources; /* files that were asked for: paths, ends of paths */
    size_t source_count;        /* 0: the hottest */
    size_t files_max;           /* 0: all; of the hottest */
    int64_t context_lines;      /* shown around each line with figures */
    bool all_lines;             /* whole files */
};

/* The listing lives in the region and borrows from the result. Reads sources from disk
 * where they are still what was recorded. */
const struct listing *annotate_report_make(struct region *region, const struct annotate *result,
                                           const struct annotate_report_options *options);

void annotate_report_write(struct report_tree *tree, const struct annotate *result,
                           const struct annotate_report_options *options);

/* The file is named by one of the options' sources, or none were given. */
bool annotate_report_is_wanted(const struct annotate_file *file,
                               const struct annotate_report_options *options);

#endif
