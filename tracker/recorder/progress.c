#include "recorder/progress.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define PROGRESS_FIRST_NS UINT64_C(1000000000)
#define PROGRESS_GAP_NS UINT64_C(250000000)

/* Bytes that the program wrote so far, anywhere. */
static uint64_t written_read(const struct progress *progress)
{
    char text[256];
    ssize_t length = progress->io_fd < 0 ? -1 : pread(progress->io_fd, text, sizeof text - 1, 0);
    if (length <= 0) {
        return 0;
    }
    text[length] = '\0';
    const char *found = strstr(text, "wchar:");
    return found == NULL ? 0 : strtoull(found + 6, NULL, 10);
}

static bool terminal_is_plain(void)
{
    struct termios modes;
    return tcgetattr(STDERR_FILENO, &modes) == 0 && (modes.c_lflag & ICANON) != 0
           && tcgetpgrp(STDERR_FILENO) == getpgrp();
}

void progress_start(struct progress *progress, pid_t program, bool is_wanted)
{
    memset(progress, 0, sizeof *progress);
    progress->io_fd = -1;
    const char *terminal = getenv("TERM");
    progress->is_on = is_wanted && isatty(STDERR_FILENO) != 0
                      && (terminal == NULL || strcmp(terminal, "dumb") != 0);
    progress->next_ns = PROGRESS_FIRST_NS;
    progress->shares_terminal = isatty(STDOUT_FILENO) != 0;
    if (progress->is_on) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/io", (int)program);
        progress->io_fd = open(path, O_RDONLY | O_CLOEXEC);
        progress->written_bytes = written_read(progress);
    }
}

bool progress_is_due(const struct progress *progress, uint64_t now_ns)
{
    return progress->is_on && now_ns >= progress->next_ns;
}

void progress_format_bytes(char *text, size_t text_bytes, double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    while ((bytes >= 1024 || bytes <= -1024) && unit + 1 < sizeof units / sizeof units[0]) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, text_bytes, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

void progress_hide(struct progress *progress)
{
    if (progress->is_drawn) {
        (void)!write(STDERR_FILENO, "\r\033[K", 4);
        progress->is_drawn = false;
    }
}

void progress_stop(struct progress *progress)
{
    progress_hide(progress);
    progress->is_on = false;
    if (progress->io_fd >= 0) {
        close(progress->io_fd);
        progress->io_fd = -1;
    }
}

void progress_draw(struct progress *progress, const struct progress_figures *figures)
{
    progress->next_ns = figures->elapsed_ns + PROGRESS_GAP_NS;
    if (progress->shares_terminal && written_read(progress) != progress->written_bytes) {
        progress_stop(progress);
        return;
    }
    if (!terminal_is_plain()) {
        progress->is_drawn = false; /* whoever has the terminal draws over it */
        return;
    }
    double seconds = (double)(figures->elapsed_ns - progress->last_ns) / 1e9;
    double rate = seconds <= 0 || figures->allocations < progress->last_allocations
                      ? 0
                      : (double)(figures->allocations - progress->last_allocations) / seconds;
    progress->last_ns = figures->elapsed_ns;
    progress->last_allocations = figures->allocations;

    char live[32];
    char peak[32];
    char processes[40] = "";
    progress_format_bytes(live, sizeof live, (double)figures->live_bytes);
    progress_format_bytes(peak, sizeof peak, (double)figures->peak_bytes);
    if (figures->processes > 1) {
        snprintf(processes, sizeof processes, "  %u processes", figures->processes);
    }
    char line[256];
    int length = snprintf(line, sizeof line,
                          "memtrack: %.1f s  live %s  peak %s  %.0f allocations/s%s",
                          (double)figures->elapsed_ns / 1e9, live, peak, rate, processes);
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1
        && length >= size.ws_col) {
        length = size.ws_col - 1;
    }
    char drawn[280];
    int total = snprintf(drawn, sizeof drawn, "\r%.*s\033[K", length, line);
    (void)!write(STDERR_FILENO, drawn, (size_t)total);
    progress->is_drawn = true;
}
