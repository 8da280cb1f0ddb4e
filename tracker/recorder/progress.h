/*
 * recorder/progress.h - one line on the terminal while a long program runs.
 *
 * Drawn only where it can do no harm: stderr is a terminal, the terminal is in its
 * ordinary line mode (no editor, no pager), and the program has not written anything
 * itself when its output goes to a terminal too. Gone when the program ends.
 *
 * Context: recorder. Memory: fixed. Threads: one.
 */
#ifndef MEMTRACK_RECORDER_PROGRESS_H
#define MEMTRACK_RECORDER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct progress {
    bool is_on;
    bool is_drawn;
    bool shares_terminal; /* the program's stdout is a terminal */
    int io_fd;            /* /proc/PID/io of the program; -1 */
    uint64_t written_bytes;
    uint64_t next_ns;
    uint64_t last_ns;
    uint64_t last_allocations;
};

struct progress_figures {
    uint64_t elapsed_ns;
    int64_t live_bytes;
    int64_t peak_bytes;
    uint64_t allocations;
    uint32_t processes;
};

/* is_wanted: false with -q. */
void progress_start(struct progress *progress, pid_t program, bool is_wanted);
/* True when the line is due: the figures are worth computing. */
bool progress_is_due(const struct progress *progress, uint64_t now_ns);
void progress_draw(struct progress *progress, const struct progress_figures *figures);
/* Erases the line, for good. */
void progress_stop(struct progress *progress);
/* Erases the line until the next one is due. */
void progress_hide(struct progress *progress);

/* Writes "12.3 MiB" or "817 B". */
void progress_format_bytes(char *text, size_t text_bytes, double bytes);

#endif
