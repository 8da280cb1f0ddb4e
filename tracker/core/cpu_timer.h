/*
 * core/cpu_timer.h - samples of where CPU time goes.
 *
 * Each thread has a timer that counts its own CPU time and sends it a signal 99 times
 * (--cpu HZ) in each second of that. The handler captures the interrupted stack and counts
 * it in the thread's own table. Nothing is sent to a thread that does not run, so blocking
 * system calls are interrupted only when time runs out on the way into them.
 *
 * The signal is number 32, which glibc keeps for itself (SIGCANCEL): sigaction,
 * sigprocmask and sigfillset never touch it, so programs can neither block it by accident,
 * nor see it, nor miss one of theirs. glibc's handler for pthread_cancel is called by
 * ours: a cancellation is told from a sample by si_code. What is still missed:
 * - threads that block signal 32 by the raw system call: when it is unblocked, the time
 *   since then is counted as lost, because nobody knows where it was spent;
 * - what a thread used since the last tick of the kernel's clock when it ends: lost too;
 * - threads for which the kernel has no timer left (RLIMIT_SIGPENDING): counted;
 * - all time after the program installed a seccomp filter, which may well kill it for
 *   returning from a signal handler: samples are stopped before, and the report says so.
 *
 * With --cpu-clock=wall the timers run on the wall clock, and sleeping threads are sampled
 * too. This does interrupt system calls: those that the kernel does not restart after a
 * handler (nanosleep, poll, select, epoll_wait, ...) fail with EINTR.
 *
 * Context: inside the tracked program; the handler is async-signal-safe and wait-free.
 * Memory:  counters in the arena, by chunks.
 * Threads: each starts and stops its own timer.
 */
#ifndef MEMTRACK_CORE_CPU_TIMER_H
#define MEMTRACK_CORE_CPU_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct arena_header;
struct thread;

#define CPU_TIMER_SIGNAL 32
#define CPU_TIMER_HZ_MAX 10000u

/* Once per image: installs the handler if the recorder wants samples. */
void cpu_timer_open(const struct arena_header *header);

/* Returns whether this process takes samples. */
bool cpu_timer_is_on(void);

/* The calling thread's timer. `thread` is its record. Starting one that runs is no error. */
void cpu_timer_start(struct thread *thread);

/* Before the calling thread or its process ends: counts as lost what is due but would only
 * come with the kernel's next tick (of 1 to 10 ms). Without this, programs of many short
 * threads or processes would seem to use less than they do. */
void cpu_timer_settle(struct thread *thread);

/* Any thread's timer. */
void cpu_timer_stop(struct thread *thread);

/* In a forked child, which has none of its parent's timers: one for its only thread,
 * before it is known whether the child will ever do anything worth a record. */
void cpu_timer_forked(void);

/* After somebody else may have set the handler of CPU_TIMER_SIGNAL (pthread_cancel). */
void cpu_timer_reinstall(void);

/* Before a seccomp filter is installed: ends sampling in this process. */
void cpu_timer_end(void);

#endif
