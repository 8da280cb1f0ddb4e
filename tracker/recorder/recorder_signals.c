/*
 * Signals. The terminal sends Ctrl-C and the like to the whole foreground group, so the
 * program gets them without us, and decides; memtrack survives to write the report. What
 * somebody sends to memtrack alone (kill, a service manager, timeout) is passed on.
 */
#include "recorder/recorder_state.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void program_signal(const struct recorder *recorder, int number)
{
    if (!recorder->has_program_ended) {
        (void)syscall(SYS_pidfd_send_signal, recorder->launch.pidfd, number, NULL, 0);
    }
}

static bool is_stop(uint32_t number)
{
    return number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

static void signal_handle(struct recorder *recorder, const struct signalfd_siginfo *info)
{
    uint32_t number = info->ssi_signo;
    /* From the kernel: the terminal, to the whole group. From the program itself, to its
     * group: it has had it. */
    bool reached_program =
        info->ssi_code == SI_KERNEL || (pid_t)info->ssi_pid == recorder->launch.pid;
    if (is_stop(number)) {
        recorder->is_stop_pending = true;
    }
    if (number != 0 && (int)number == recorder->options->snapshot_signal) {
        recorder_write_snapshot(recorder, arena_file_now_ns(&recorder->file), "signal", "signal");
        return;
    }
    if (number == SIGCHLD || number == SIGPIPE || number == SIGXFSZ) {
        return;
    }
    if (number == SIGCONT) {
        recorder->is_stop_pending = false;
        if (!reached_program && recorder->is_program_stopped) {
            program_signal(recorder, SIGCONT);
        }
        return;
    }
    if (!reached_program) {
        program_signal(recorder, (int)number);
    }
}

/* Stops like the program did, so that the shell gets its terminal back; `fg` continues
 * the whole group. */
static void stop_with_program(struct recorder *recorder)
{
    recorder->is_stop_pending = false;
    progress_hide(&recorder->progress);
    kill(getpid(), SIGSTOP);
    /* Continued: by the shell, with the group, or alone by somebody's kill -CONT. */
    siginfo_t news = {0};
    (void)waitid(P_PID, (id_t)recorder->launch.pid, &news, WCONTINUED | WNOHANG | WNOWAIT);
    if (news.si_pid == 0) {
        program_signal(recorder, SIGCONT);
    }
    recorder->is_program_stopped = false;
}

/* The program's end: its entry takes its status, while the kernel still knows it. */
static void program_ended(struct recorder *recorder, uint64_t now_ns)
{
    struct rusage usage;
    int status = 0;
    recorder_scan(recorder, now_ns);
    siginfo_t info = {0};
    (void)waitid(P_PID, (id_t)recorder->launch.pid, &info, WEXITED | WNOWAIT);
    bool was_killed = info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
    status = was_killed ? info.si_status & 0x7f : (info.si_status & 0xff) << 8;
    for (uint32_t i = recorder->entry_count; i-- > 0;) {
        if (recorder->entries[i].pid == recorder->launch.pid) {
            recorder_end_entry(recorder, i, now_ns, status);
        }
    }
    while (wait4(recorder->launch.pid, &status, 0, &usage) < 0 && errno == EINTR) {
    }
    recorder->result.wait_status = status;
    recorder->has_program_ended = true;
}

void recorder_handle_signals(struct recorder *recorder, uint64_t now_ns)
{
    struct signalfd_siginfo info;
    while (read(recorder->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        signal_handle(recorder, &info);
    }
    if (recorder->has_program_ended || recorder->is_background) {
        return;
    }
    siginfo_t state = {0};
    while (waitid(P_PID, (id_t)recorder->launch.pid, &state,
                  WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT)
               == 0
           && state.si_pid != 0) {
        if (state.si_code == CLD_STOPPED || state.si_code == CLD_CONTINUED) {
            recorder->is_program_stopped = state.si_code == CLD_STOPPED;
            /* Take this news away. */
            siginfo_t taken;
            (void)waitid(P_PID, (id_t)recorder->launch.pid, &taken,
                         (state.si_code == CLD_STOPPED ? WSTOPPED : WCONTINUED) | WNOHANG);
            state = (siginfo_t){0};
            continue;
        }
        if (state.si_code == CLD_TRAPPED) {
            return;
        }
        program_ended(recorder, now_ns);
        return;
    }
    if (recorder->is_program_stopped && recorder->is_stop_pending) {
        stop_with_program(recorder);
    }
}
