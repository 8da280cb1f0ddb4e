/*
 * recorder/launch.h - starts the program so that it cannot tell the difference.
 *
 * The child is forked first and waits; the recorder then prepares what needs its pid
 * (the recording's name), and lets it exec. It gets memtrack's standard streams, working
 * directory, process group, terminal, signal dispositions and mask, limits: all as they
 * were when memtrack was started. Every descriptor of memtrack's own is close-on-exec.
 *
 * Context: recorder, before it has any thread. Memory: the caller's.
 */
#ifndef MEMTRACK_RECORDER_LAUNCH_H
#define MEMTRACK_RECORDER_LAUNCH_H

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "recorder/executable.h"

/* What memtrack changes of itself and the program must get back. */
struct launch_origin {
    sigset_t mask;
    struct sigaction child_action; /* of SIGCHLD */
    struct rlimit files;
    struct rlimit file_size;
};

struct launch {
    pid_t pid;
    int pidfd;
    int go_fd;    /* our end: a byte lets the child exec */
    int error_fd; /* our end: errno of a failed exec, nothing when it worked */
};

/*
 * Makes this process fit to be a recorder: fills closed standard descriptors with
 * /dev/null (close-on-exec), blocks the signals that it handles, restores SIGCHLD's
 * default, raises the limits of open files and of file size as far as allowed.
 */
void launch_become_recorder(struct launch_origin *origin);

/* Gives back the signal mask: after the program has ended, Ctrl-C is for memtrack. */
void launch_restore_mask(const struct launch_origin *origin);

/* The signals that launch_become_recorder blocks and launch_forward_signal handles. */
void launch_signals(sigset_t *set);

/*
 * Forks the child. arguments and environment are NULL-terminated; they and `program` must
 * stay as they are until launch_go. Returns 0, or -1 and *error.
 */
int launch_fork(const struct launch_origin *origin, const struct executable *program,
                char *const *arguments, char *const *environment, struct launch *launch,
                struct mt_error *error);

/* Lets the child exec. Returns 0 when the program runs, or -1 and *error; the child is
 * reaped then. */
int launch_go(struct launch *launch, const char *name, struct mt_error *error);

/* Ends the waiting child without an exec, and reaps it. */
void launch_cancel(struct launch *launch);

/*
 * A program's environment: `base` without memtrack's variables and with ours:
 * LD_PRELOAD = shim[:allocator][:what was there], and MEMTRACK_ARENA = arena.
 * allocator may be NULL. Returns a NULL-terminated array to be released with free() (the
 * strings of base are borrowed), or NULL when out of memory.
 */
char **launch_environment(char *const *base, const char *shim, const char *allocator,
                          const char *arena);

#endif
