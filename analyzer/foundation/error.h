/*
 * foundation/error.h - one failure, told to a person in one line.
 *
 * Functions outside the tracked program return 0 or a negative errno and fill a
 * struct mt_error at the lowest level that knows what happened. Only commands print.
 *
 * Context: recorder, analyzer.
 * Memory:  the text lives in the struct.
 * Threads: none shared.
 */
#ifndef MEMTRACK_FOUNDATION_ERROR_H
#define MEMTRACK_FOUNDATION_ERROR_H

/* The exit status that a command gives for a failure; see sysexits(3). */
enum mt_status {
    MT_STATUS_OK = 0,
    MT_STATUS_GATE = 23, /* a gate was not met */
    MT_STATUS_USAGE = 64,
    MT_STATUS_DATA = 65,     /* not a recording, damaged beyond use, unknown version */
    MT_STATUS_NO_INPUT = 66, /* no such file or process */
    MT_STATUS_FAILED = 125,  /* memtrack itself failed */
    MT_STATUS_NOT_EXECUTABLE = 126,
    MT_STATUS_NOT_FOUND = 127
};

struct mt_error {
    int code;              /* negative errno; 0: no error yet */
    enum mt_status status; /* what a command exits with */
    char text[768];        /* "what: why, and what to do", no newline, no control characters */
};

/* Fills *error (unless it is NULL or filled already) and returns `code`, which must be
 * negative. Control characters in the text are replaced, so that it is safe to print. */
int mt_error_set(struct mt_error *error, int code, enum mt_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
