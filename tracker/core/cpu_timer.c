#include "core/cpu_timer.h"

#include <dlfcn.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <time.h>
#include <ucontext.h>

#include "core/cpu_mark.h"
#include "core/raw_syscall.h"
#include "core/thread.h"

/* Time that the kernel may be late by (its timer tick is 1 to 10 ms). A signal that comes
 * later than this, and comes as a system call returns, had been blocked: that call was
 * rt_sigprocmask. One that is as late at any other instruction was held up by a machine that
 * stood still (a busy host of virtual ones), and its place is right. */
#define LATE_MAX_NS 50000000u
#define SECOND_NS 1000000000u

/* Source: Linux, include/uapi/asm-generic/signal.h and arch/x86/include/uapi/asm/signal.h. */
#define RAW_SA_RESTORER 0x04000000u
#define RAW_SIGNAL_SET_BYTES 8

struct raw_sigaction {
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

_Thread_local struct cpu_mark cpu_mark __attribute__((tls_model("initial-exec")));

static struct {
    bool is_open;
    bool is_wall;
    uint32_t interval_ns;
    uint32_t overrun_max;
    /* Who had the signal before us: glibc's handler of cancellations. */
    void (*_Atomic previous)(int, siginfo_t *, void *);
    _Atomic bool is_ended; /* by cpu_timer_end() */
    /* The timer that a forked child began with: kernel's id + 1, and its thread. */
    int32_t forked_timer;
    int32_t forked_tid;
} cpu_timer;

/* What our timers carry; nobody else's signal has this address in it. */
static const char cpu_timer_cookie;

/*
 * Where a handler returns to. The bytes are those that debuggers and unwinders know a
 * signal frame by; the nop before it keeps a look-up of the address minus 1 from finding
 * the function before. Source: libgcc, config/i386/linux-unwind.h.
 */
void cpu_timer_restorer(void) __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".balign 16\n"
        "nop\n"
        ".globl cpu_timer_restorer\n"
        ".hidden cpu_timer_restorer\n"
        ".type cpu_timer_restorer, @function\n"
        "cpu_timer_restorer:\n"
        "mov $15, %rax\n" /* rt_sigreturn */
        "syscall\n"
        ".size cpu_timer_restorer, . - cpu_timer_restorer\n");

/* ---- counting ------------------------------------------------------------- */

static struct arena_cpu_site *cpu_site(struct thread *thread, uint32_t stack)
{
    struct arena_cpu_site *chunk = arena_chunk_get(
        &process_cold.arena, thread->table->cpu_chunk, stack / ARENA_CPU_SITES_PER_CHUNK,
        ARENA_CPU_SITES_PER_CHUNK * sizeof(struct arena_cpu_site));
    return chunk == NULL ? NULL : &chunk[stack % ARENA_CPU_SITES_PER_CHUNK];
}

static void count_lost(struct thread *thread, uint32_t samples)
{
    if (thread != NULL) {
        thread->table->cpu_samples_lost += samples;
    } else if (process_hot.process != NULL) {
        atomic_fetch_add_explicit(&process_hot.process->cpu_samples_lost, samples,
                                  memory_order_relaxed);
    }
}

void cpu_mark_settle(struct thread *thread, uint32_t stack, const struct capture_origin *origin)
{
    /* Exchanges, because the handler may add in between. */
    uint32_t samples = atomic_exchange_explicit(&cpu_mark.pending, 0, memory_order_relaxed);
    uint32_t system = atomic_exchange_explicit(&cpu_mark.pending_system, 0, memory_order_relaxed);
    if (thread == NULL) {
        count_lost(NULL, samples);
        return;
    }
    if (stack == 0) {
        stack = capture_stack(thread->capture, origin);
    }
    struct arena_cpu_site *site = cpu_site(thread, stack);
    if (site == NULL) {
        count_lost(thread, samples);
        return;
    }
    site->allocator_samples += samples;
    site->allocator_system_samples += system;
}

/* Whether the interrupted instruction is, or follows, a system call: the kernel steps
 * back over it when the call is to be restarted. Only in modules: other code may be gone. */
static bool is_in_system_call(uintptr_t pc)
{
    const unsigned char *code = (const unsigned char *)pc; // NOLINT(performance-no-int-to-ptr)
    struct dl_find_object module;
    if (_dl_find_object((void *)pc, &module) != 0) { // NOLINT(performance-no-int-to-ptr)
        return false;
    }
    if ((pc & 0xfff) >= 2 && code[-2] == 0x0f && code[-1] == 0x05) {
        return true;
    }
    return (pc & 0xfff) < 0xfff && code[0] == 0x0f && code[1] == 0x05;
}

/* Names are set after threads begin; when they end it is too late for a killed program. */
static void note_name(struct thread *thread)
{
    if (!thread->is_named) {
        raw_syscall3(SYS_prctl, PR_GET_NAME, (long)thread->table->name, 0);
    }
}

static void sample_take(struct thread *thread, const void *context, uint32_t samples,
                        uint32_t system)
{
    uint32_t stack = capture_stack_in_handler(thread->capture, context);
    struct arena_cpu_site *site = cpu_site(thread, stack);
    if (site == NULL) {
        count_lost(thread, samples);
        return;
    }
    note_name(thread);
    site->samples += samples;
    site->system_samples += system;
}

/* ---- the handler ---------------------------------------------------------- */

/* Somebody else's signal: glibc's own handler decides. It may never return, so it runs
 * under the mask that it would have had. */
static void pass_on(int signal, siginfo_t *info, void *context)
{
    void (*previous)(int, siginfo_t *, void *) =
        atomic_load_explicit(&cpu_timer.previous, memory_order_acquire);
    if (previous == NULL) {
        return;
    }
    uint64_t mask;
    __builtin_memcpy(&mask, &((const ucontext_t *)context)->uc_sigmask, sizeof mask);
    mask |= UINT64_C(1) << (CPU_TIMER_SIGNAL - 1);
    raw_syscall6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, RAW_SIGNAL_SET_BYTES, 0, 0);
    previous(signal, info, context);
}

/* A sample without a record: the first thing that happens in a forked child, which has
 * worked for a while without an allocation; or a thread's last moments (returns NULL). */
static struct thread *forked_child_enter(void)
{
    if (cpu_timer.forked_timer == 0 || cpu_timer.forked_tid != raw_tid()) {
        return NULL;
    }
    struct thread *thread = thread_enter_slow();
    if (thread == NULL && cpu_timer.forked_timer != 0) { /* excluded by --follow */
        raw_syscall3(SYS_timer_delete, cpu_timer.forked_timer - 1, 0, 0);
        cpu_timer.forked_timer = 0;
    }
    return thread;
}

/* Registering a process needs more stack than the rest of the handler. */
#define REGISTRATION_STACK_BYTES 65536u

static bool is_on_small_stack(const ucontext_t *context)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    uintptr_t low = (uintptr_t)context->uc_stack.ss_sp;
    return context->uc_stack.ss_size < REGISTRATION_STACK_BYTES
           && here - low < context->uc_stack.ss_size;
}

static void handle(int signal, siginfo_t *info, void *context_pointer)
{
    if (info->si_code != SI_TIMER || info->si_value.sival_ptr != &cpu_timer_cookie) {
        pass_on(signal, info, context_pointer);
        return;
    }
    const ucontext_t *context = context_pointer;
    uint32_t overrun = info->si_overrun > 0 ? (uint32_t)info->si_overrun : 0;
    bool is_system = is_in_system_call((uintptr_t)context->uc_mcontext.gregs[REG_RIP]);
    uint32_t late = is_system && overrun > cpu_timer.overrun_max ? overrun - cpu_timer.overrun_max
                                                                 : 0;
    uint32_t samples = 1 + overrun - late;
    uint32_t system = is_system ? samples : 0;
    cpu_mark.taken += samples + late;
    if (cpu_mark_covers((uintptr_t)context->uc_mcontext.gregs[REG_RSP])) {
        atomic_fetch_add_explicit(&cpu_mark.pending, samples + late, memory_order_relaxed);
        atomic_fetch_add_explicit(&cpu_mark.pending_system, system, memory_order_relaxed);
        return;
    }
    struct thread *thread = thread_self;
    if (process_hot.is_tracking == 0 || thread == NULL) {
        if (is_on_small_stack(context)) {
            cpu_mark.taken -= samples + late; /* is due still: cpu_timer_settle() */
            return;
        }
        thread = forked_child_enter();
        if (thread == NULL) {
            count_lost(NULL, samples + late);
            return;
        }
    }
    if (late != 0) {
        count_lost(thread, late);
    }
    sample_take(thread, context, samples, system);
}

/* ---- installing ----------------------------------------------------------- */

static bool install(void)
{
    struct raw_sigaction action = {.handler = handle,
                                   .flags = SA_RESTART | SA_ONSTACK | SA_SIGINFO | RAW_SA_RESTORER,
                                   .restorer = cpu_timer_restorer,
                                   .mask = ~UINT64_C(0)};
    struct raw_sigaction before = {0};
    if (raw_failed(raw_syscall6(SYS_rt_sigaction, CPU_TIMER_SIGNAL, 0, (long)&before,
                                RAW_SIGNAL_SET_BYTES, 0, 0))) {
        return false;
    }
    if (before.handler == handle) {
        return true;
    }
    if ((uintptr_t)before.handler > 1 && (before.flags & SA_SIGINFO) != 0) { /* not DFL, IGN */
        atomic_store_explicit(&cpu_timer.previous, before.handler, memory_order_release);
    }
    return !raw_failed(raw_syscall6(SYS_rt_sigaction, CPU_TIMER_SIGNAL, (long)&action, 0,
                                    RAW_SIGNAL_SET_BYTES, 0, 0));
}

void cpu_timer_open(const struct arena_header *header)
{
    uint32_t hz = header->config.cpu_hz;
    if (hz == 0) {
        return;
    }
    if (hz > CPU_TIMER_HZ_MAX) {
        hz = CPU_TIMER_HZ_MAX;
    }
    cpu_timer.interval_ns = SECOND_NS / hz;
    cpu_timer.overrun_max = LATE_MAX_NS / cpu_timer.interval_ns + 1;
    cpu_timer.is_wall = header->config.cpu_clock == 1;
    cpu_timer.is_open = install();
    if (!cpu_timer.is_open) {
        atomic_store_explicit(&process_cold.process->cpu_sampling, ARENA_CPU_UNAVAILABLE,
                              memory_order_relaxed);
    }
}

bool cpu_timer_is_on(void)
{
    return cpu_timer.is_open
           && !atomic_load_explicit(&cpu_timer.is_ended, memory_order_relaxed);
}

void cpu_timer_reinstall(void)
{
    if (cpu_timer_is_on()) {
        install();
    }
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec now = {0};
    raw_syscall3(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, (long)&now, 0);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* Returns a number in 1 .. interval, less than a second. Were the first sample of each thread due after a
 * whole interval, threads that live shorter would never be sampled. */
static uint32_t phase_ns(int tid)
{
    struct timespec now = {0};
    raw_syscall3(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0);
    uint64_t random = (uint64_t)now.tv_nsec ^ ((uint64_t)(unsigned)tid << 32);
    /* The finalizer of splitmix64. Source: Steele, Lea, Flood, OOPSLA 2014. */
    random += UINT64_C(0x9e3779b97f4a7c15);
    random = (random ^ (random >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    random = (random ^ (random >> 27)) * UINT64_C(0x94d049bb133111eb);
    random ^= random >> 31;
    return 1 + (uint32_t)(random % (cpu_timer.interval_ns - 1));
}

/* A timer for the calling thread. `is_young`: its CPU time is all ours, from zero on, and
 * what it has used already (in clone, in glibc) is sampled too. Returns the kernel's id + 1,
 * or 0. */
static int32_t timer_new(bool is_young)
{
    is_young = is_young && !cpu_timer.is_wall;
    int tid = raw_tid();
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = CPU_TIMER_SIGNAL};
    event.sigev_value.sival_ptr = (void *)(uintptr_t)&cpu_timer_cookie;
    event._sigev_un._tid = tid;
    int32_t id = 0;
    long clock = cpu_timer.is_wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
    if (raw_failed(raw_syscall3(SYS_timer_create, clock, (long)&event, (long)&id))) {
        return 0;
    }
    struct itimerspec times = {
        .it_interval = {.tv_sec = cpu_timer.interval_ns / SECOND_NS,
                        .tv_nsec = cpu_timer.interval_ns % SECOND_NS},
        .it_value = {.tv_nsec = phase_ns(tid)}};
    cpu_mark.taken = 0;
    cpu_mark.first_ns = (is_young ? 0 : thread_cpu_ns()) + (uint64_t)times.it_value.tv_nsec;
    int flags = is_young ? TIMER_ABSTIME : 0;
    if (raw_failed(raw_syscall6(SYS_timer_settime, id, flags, (long)&times, 0, 0, 0))) {
        raw_syscall3(SYS_timer_delete, id, 0, 0);
        return 0;
    }
    return id + 1;
}

void cpu_timer_start(struct thread *thread)
{
    struct arena_process *process = process_cold.process;
    if (!cpu_timer_is_on() || thread->cpu_timer != 0) {
        return;
    }
    note_name(thread);
    atomic_store_explicit(&process->cpu_sampling, ARENA_CPU_ON, memory_order_relaxed);
    if (cpu_timer.forked_timer != 0 && cpu_timer.forked_tid == raw_tid()) {
        thread->cpu_timer = cpu_timer.forked_timer;
        cpu_timer.forked_timer = 0;
        return;
    }
    /* A thread that was there before us has used time of its own, under another image or
     * before it was attached to. */
    bool is_first = process->start == ARENA_START_ATTACH
                    || (process->start == ARENA_START_EXEC && raw_tid() == process->pid);
    thread->cpu_timer = timer_new(!is_first);
    if (thread->cpu_timer == 0) {
        atomic_fetch_add_explicit(&process->cpu_threads_missed, 1, memory_order_relaxed);
    }
}

void cpu_timer_settle(struct thread *thread)
{
    if (thread->cpu_timer == 0 || cpu_timer.is_wall) {
        return;
    }
    uint64_t now_ns = thread_cpu_ns();
    if (now_ns < cpu_mark.first_ns) {
        return;
    }
    uint64_t due = (now_ns - cpu_mark.first_ns) / cpu_timer.interval_ns + 1;
    if (due > cpu_mark.taken) {
        thread->table->cpu_samples_lost += due - cpu_mark.taken;
        cpu_mark.taken = due;
    }
}

void cpu_timer_stop(struct thread *thread)
{
    if (thread->cpu_timer != 0) {
        raw_syscall3(SYS_timer_delete, thread->cpu_timer - 1, 0, 0);
        thread->cpu_timer = 0;
    }
}

void cpu_timer_forked(void)
{
    if (!cpu_timer_is_on() || process_cold.is_refused) {
        return;
    }
    cpu_timer.forked_tid = raw_tid();
    cpu_timer.forked_timer = timer_new(true);
}

void cpu_timer_end(void)
{
    if (!cpu_timer_is_on()) {
        return;
    }
    atomic_store_explicit(&cpu_timer.is_ended, true, memory_order_relaxed);
    thread_each(cpu_timer_stop);
    if (cpu_timer.forked_timer != 0 && cpu_timer.forked_tid == raw_tid()) {
        raw_syscall3(SYS_timer_delete, cpu_timer.forked_timer - 1, 0, 0);
        cpu_timer.forked_timer = 0;
    }
    if (process_hot.process != NULL) {
        atomic_store_explicit(&process_hot.process->cpu_sampling, ARENA_CPU_ENDED,
                              memory_order_relaxed);
    }
}
