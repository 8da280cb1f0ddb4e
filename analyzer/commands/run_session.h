/*
 * commands/run_session.h - a program recorded from start to end, with names put to its
 * addresses: what run, check and the others that run a program have in common.
 *
 * Context: analyzer (a part of commands: it says on stderr what a person must know).
 * Memory:  the recorder's. Threads: one.
 */
#ifndef MEMTRACK_COMMANDS_RUN_SESSION_H
#define MEMTRACK_COMMANDS_RUN_SESSION_H

#include "commands/run_options.h"
#include "commands/site_printer.h"

struct run_session {
    struct recorder *recorder;
    const struct recorder_result *result;
    struct site_printer printer;
    bool is_readable; /* the recording can be analysed */
    int own_status;   /* memtrack's own failure, that was told; 0: none */
};

/* Runs the program to its end. Returns 0, or a negative errno and *error when it was not
 * started. End with run_session_end() in either case. */
int run_session_record(struct run_session *session, struct run_options *options,
                       struct mt_error *error);

/* The program's own exit status; 128 + N when signal N ended it. */
int run_session_status(const struct run_session *session);

/* Lets descendants that still run be recorded in the background. */
void run_session_end(struct run_session *session);

/* %p in the name of a log file is the program's pid. */
void run_session_log_name(const char *pattern, pid_t pid, char *name, size_t room);

#endif
