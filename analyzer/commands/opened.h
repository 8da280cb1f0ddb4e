/*
 * commands/opened.h - the recording that a command was given: loaded, its process chosen.
 *
 * Context: analyzer. Memory: the model's. Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_OPENED_H
#define MEMTRACK_COMMANDS_OPENED_H

#include "model/model.h"

struct opened {
    struct model *model;
    const struct model_process *process;
    bool is_named; /* by the person who asked */
};

/* Loads what a person names as FILE: a recording with or without a selector, the arena that a
 * program left (MEMTRACK_OUTPUT), or the pid of a tracked process, as it is now. Leaks that the
 * run's own suppressions name are in the class "ignored". */
int opened_load(const char *file, struct model **model, struct mt_error *error);

/* Finds the process that a person names: a pid, "#INDEX" or a program's name; NULL is
 * model_main_process(). Returns 0, or a negative errno and *error. */
int opened_choose(const struct model *model, const char *name,
                  const struct model_process **process, struct mt_error *error);

/* Loads `file` as above, but without lifetimes and CPU samples, and with all leaks in their
 * own classes: for commands that apply suppressions themselves. `process` is a pid, "#INDEX", a program's name,
 * or NULL for model_main_process(). Tells on stderr what is damaged. Returns 0, or a negative
 * errno and *error. Release with opened_close(), also after an error. */
int opened_open(struct opened *opened, const char *file, const char *process,
                struct mt_error *error);
/* The same, with lifetimes and CPU samples, and suppressions applied. */
int opened_open_whole(struct opened *opened, const char *file, const char *process,
                      struct mt_error *error);
/* Says on stderr which process is shown, where nobody named one and it is not the first. */
void opened_tell_choice(const struct opened *opened);
/* As opened_open(), for another state of the recording that `first` is of: loads only what
 * differs. Close it before `first`. */
int opened_open_beside(struct opened *opened, const struct opened *first, const char *file,
                       const char *process, struct mt_error *error);
/* Whether both names mean states of one recording. */
bool opened_is_same_file(const char *file, const char *other);
void opened_close(struct opened *opened);

#endif
