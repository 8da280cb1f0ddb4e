/*
 * commands/profiled.h - a recording opened and made into a profile, for the commands that draw and
 * export.
 *
 * Context: analyzer. Memory: its own region, and the model's. Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_PROFILED_H
#define MEMTRACK_COMMANDS_PROFILED_H

#include "commands/opened.h"
#include "report/profile_make.h"

struct profiled {
    struct opened opened;
    struct region *region;
    const struct profile *profile;
};

struct profiled_request {
    const char *file;    /* may carry a selector */
    const char *process; /* NULL: the run's first */
    bool all_processes;
};

/* Returns 0, or a negative errno and *error. Release with profiled_close(), also after an
 * error. */
int profiled_open(struct profiled *profiled, const struct profiled_request *request,
                  struct mt_error *error);
void profiled_close(struct profiled *profiled);

/* -ENODATA and *error, with what to do, when the profile lacks the metric. */
int profiled_need(const struct profiled *profiled, enum profile_metric metric,
                  struct mt_error *error);

/* Tells on stderr which modules' functions have no names, and how to get them. */
void profiled_tell_nameless(const struct profiled *profiled);

#endif
