/*
 * commands/judgement.h - a recording, loaded and held against limits.
 *
 * Context: analyzer. Memory: the struct's region and model, until judgement_end().
 * Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_JUDGEMENT_H
#define MEMTRACK_COMMANDS_JUDGEMENT_H

#include "analyses/gate.h"
#include "commands/opened.h"

struct judgement {
    struct region *region;
    struct opened opened;
    struct suppressions suppressions;
    struct baseline baseline;
    struct gate_options options;
    struct gate_result result;
};

/* options are copied; their suppressions and baseline are the judgement's own. */
void judgement_begin(struct judgement *judgement, const struct gate_options *options);

/* Each returns 0, or a negative errno and *error. */
int judgement_add_suppressions(struct judgement *judgement, const char *const *files, size_t count,
                               struct mt_error *error);
/* A file of --write-baseline, or a recording. */
int judgement_read_baseline(struct judgement *judgement, const char *path, struct mt_error *error);
/* has_own: use the suppressions that were given with the run, too. */
int judgement_judge(struct judgement *judgement, const char *file, bool has_own,
                    struct mt_error *error);
/* There is no recording, for this reason. */
void judgement_judge_nothing(struct judgement *judgement, const char *reason);

void judgement_end(struct judgement *judgement);

#endif
