/*
 * cpu.c - programs that use CPU time, for known reasons.
 *
 * usage: cpu split|threads|forks|daemon|profiled|blocked|cancelled|timers|limited|kernel|faults|allocator|waits SECONDS
 *
 * SECONDS is CPU time (of each thread or child). The last line of stdout is what getrusage
 * says of the process and its children, in seconds: all, and of that in the kernel.
 *
 * Truth
 *   split: share 0.7 in heavy(), 0.3 in light(), both called by work()
 *   threads: 4 threads that never allocate, a quarter in each
 *   forks: 3 children that never allocate
 *   daemon: a child of a child, whose parent ended
 *   profiled: SIGPROF by setitimer counts as without memtrack
 *   blocked: all signals are blocked, and sigwait() returns SIGUSR1 alone
 *   cancelled: pthread_cancel() ends a thread that computes and one that sleeps
 *   timers: timer_create() with SIGEV_THREAD still works
 *   limited: a seccomp filter that forbids timers; a thread is made under it
 *   kernel: nearly all in system calls of system()
 *   faults: nearly all in page faults of touch()
 *   allocator: most in malloc and free for allocate()
 *   waits: hardly any; SECONDS of the wall clock in wait_for_byte()
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned long sink;
static double seconds;

static double thread_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void spin(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        sink += (unsigned long)i;
    }
}

static void heavy(double until)
{
    while (thread_seconds() < until) {
        spin(20000);
    }
}

static void light(double until)
{
    while (thread_seconds() < until) {
        spin(20000);
    }
}

static void work(void)
{
    double start = thread_seconds();
    for (int i = 0; i < 100; i++) {
        heavy(start + seconds * (i + 0.7) / 100);
        light(start + seconds * (i + 1.0) / 100);
    }
}

static void *thread_work(void *argument)
{
    work();
    return argument;
}

static void threads(int count)
{
    pthread_t thread[16];
    for (int i = 0; i < count; i++) {
        pthread_create(&thread[i], NULL, thread_work, NULL);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(thread[i], NULL);
    }
}

static void forks(int count)
{
    for (int i = 0; i < count; i++) {
        if (fork() == 0) {
            work();
            _exit(0);
        }
    }
    while (wait(NULL) > 0) {
    }
}

static void daemon_of_child(void)
{
    int end[2];
    char byte;
    if (pipe(end) != 0) {
        exit(1);
    }
    if (fork() == 0) {
        if (fork() == 0) {
            close(end[0]);
            work();
            _exit(0);
        }
        _exit(0);
    }
    close(end[1]);
    while (wait(NULL) > 0) {
    }
    if (read(end[0], &byte, 1) != 0) {
        exit(1);
    }
}

static volatile sig_atomic_t profile_ticks;

static void on_profile(int signal)
{
    (void)signal;
    profile_ticks++;
}

/* The clock that ITIMER_PROF runs on: whole ticks of the kernel, charged to whom each finds
 * running. On a busy machine that is not the time that the process used.
 * Source: Linux, kernel/time/posix-cpu-timers.c and include/linux/posix-timers.h: the process
 * is 0, inverted; the clock is CPUCLOCK_PROF, 0. */
static double profile_seconds(void)
{
    struct timespec now;
    if (clock_gettime((clockid_t)(~0u << 3), &now) != 0) {
        exit(3);
    }
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int profiled(void)
{
    struct sigaction action = {.sa_handler = on_profile, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 20000}, {0, 20000}};
    sigaction(SIGPROF, &action, NULL);
    double start = profile_seconds();
    setitimer(ITIMER_PROF, &often, NULL);
    work();
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_PROF, &never, NULL);
    double elapsed = profile_seconds() - start;
    return profile_ticks >= elapsed / 0.02 - 2 && profile_ticks <= elapsed / 0.02 + 2 ? 0 : 1;
}

static int blocked(void)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    work();
    kill(getpid(), SIGUSR1);
    int signal = 0;
    sigset_t pending;
    sigpending(&pending);
    sigdelset(&pending, SIGUSR1);
    for (int i = 1; i < NSIG; i++) {
        if (sigismember(&pending, i) == 1) {
            return 2;
        }
    }
    return sigwait(&all, &signal) == 0 && signal == SIGUSR1 ? 0 : 1;
}

static int cleaned;
static int begun; /* threads whose clean() would be called */

static void clean(void *argument)
{
    (void)argument;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    __atomic_add_fetch(&cleaned, sigismember(&mask, SIGUSR1) == 0 ? 1 : 100, __ATOMIC_SEQ_CST);
}

static void *compute_for_ever(void *argument)
{
    (void)argument;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    pthread_cleanup_push(clean, NULL);
    __atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        spin(1000);
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void *sleep_for_ever(void *argument)
{
    (void)argument;
    pthread_cleanup_push(clean, NULL);
    __atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        pause();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static int cancelled(void)
{
    for (int i = 0; i < 20; i++) {
        pthread_t thread[2];
        pthread_create(&thread[0], NULL, compute_for_ever, NULL);
        pthread_create(&thread[1], NULL, sleep_for_ever, NULL);
        while (__atomic_load_n(&begun, __ATOMIC_SEQ_CST) < 2 * (i + 1)) {
            sched_yield();
        }
        double until = thread_seconds() + seconds / 20;
        heavy(until);
        for (int t = 0; t < 2; t++) {
            void *result = NULL;
            pthread_cancel(thread[t]);
            pthread_join(thread[t], &result);
            if (result != PTHREAD_CANCELED) {
                return 1;
            }
        }
    }
    return cleaned == 40 ? 0 : 2;
}

static int timer_calls;

static void on_timer(union sigval value)
{
    (void)value;
    __atomic_add_fetch(&timer_calls, 1, __ATOMIC_SEQ_CST);
}

static int timers(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_timer};
    struct itimerspec often = {{0, 20000000}, {0, 20000000}};
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) {
        return 1;
    }
    timer_settime(timer, 0, &often, NULL);
    work();
    while (__atomic_load_n(&timer_calls, __ATOMIC_SEQ_CST) < 3) {
        spin(1000);
    }
    return timer_delete(timer);
}

/* A filter that ends the process for making a timer and for returning from a handler. */
static int limited(void)
{
    work();
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_timer_create, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
    struct sock_fprog program = {.len = sizeof rules / sizeof *rules, .filter = rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return 1;
    }
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
        return 1;
    }
    work();
    threads(1);
    return 0;
}

static void kernel(void)
{
    static char buffer[1 << 20];
    int zero = open("/dev/zero", O_RDONLY);
    for (double until = thread_seconds() + seconds; thread_seconds() < until;) {
        if (read(zero, buffer, sizeof buffer) != (ssize_t)sizeof buffer) {
            exit(1);
        }
    }
    close(zero);
}

static void touch(void)
{
    enum { BYTES = 1 << 24 };
    for (double until = thread_seconds() + seconds; thread_seconds() < until;) {
        char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise(memory, BYTES, MADV_NOHUGEPAGE);
        for (size_t i = 0; i < BYTES; i += 4096) {
            ((volatile char *)memory)[i] = 1;
        }
        munmap(memory, BYTES);
    }
}

static void allocate(void)
{
    static void *kept[64];
    unsigned n = 0;
    for (double until = thread_seconds() + seconds; thread_seconds() < until;) {
        for (int i = 0; i < 5000; i++, n++) {
            free(kept[n % 64]);
            kept[n % 64] = malloc(16 + n % 512);
        }
    }
}

static char wait_for_byte(int from)
{
    char byte = 0;
    ssize_t length;
    do {
        length = read(from, &byte, 1);
    } while (length < 0 && errno == EINTR);
    return byte;
}

/* A sleep that signals do not shorten. */
static void sleep_until(struct timespec until)
{
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

static int waits(void)
{
    int end[2];
    struct timespec until;
    if (pipe(end) != 0) {
        return 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    long ns = until.tv_nsec + (long)(seconds * 1e9);
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    if (fork() == 0) {
        sleep_until(until);
        _exit(write(end[1], "x", 1) == 1 ? 0 : 1);
    }
    int status = wait_for_byte(end[0]) == 'x' ? 0 : 2;
    while (wait(NULL) > 0) {
    }
    return status;
}

static double of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int main(int argument_count, char **arguments)
{
    const char *what = argument_count > 2 ? arguments[1] : "";
    seconds = argument_count > 2 ? atof(arguments[2]) : 0;
    int status = 0;
    if (strcmp(what, "split") == 0) {
        work();
    } else if (strcmp(what, "threads") == 0) {
        threads(4);
    } else if (strcmp(what, "forks") == 0) {
        forks(3);
    } else if (strcmp(what, "daemon") == 0) {
        daemon_of_child();
    } else if (strcmp(what, "profiled") == 0) {
        status = profiled();
    } else if (strcmp(what, "blocked") == 0) {
        status = blocked();
    } else if (strcmp(what, "cancelled") == 0) {
        status = cancelled();
    } else if (strcmp(what, "timers") == 0) {
        status = timers();
    } else if (strcmp(what, "limited") == 0) {
        status = limited();
    } else if (strcmp(what, "kernel") == 0) {
        kernel();
    } else if (strcmp(what, "faults") == 0) {
        touch();
    } else if (strcmp(what, "allocator") == 0) {
        allocate();
    } else if (strcmp(what, "waits") == 0) {
        status = waits();
    } else {
        return 64;
    }
    struct rusage self;
    struct rusage children;
    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    printf("%.6f %.6f\n",
           of(self.ru_utime) + of(self.ru_stime) + of(children.ru_utime) + of(children.ru_stime),
           of(self.ru_stime) + of(children.ru_stime));
    return status;
}
