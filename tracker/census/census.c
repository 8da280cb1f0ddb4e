#include "census/census.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "census/exit_frame.h"
#include "census/scan.h"
#include "core/live_map.h"
#include "core/process.h"
#include "core/raw_syscall.h"
#include "core/stack_table.h"

#define SCAN_STACK_BYTES (UINT64_C(256) << 10)
#define PARK_LIMIT_EXIT_NS UINT64_C(500000000)
#define PARK_LIMIT_NS UINT64_C(100000000)
#define SIGNAL_SET_BYTES 8
#define LEAKS_FULL 2u

static struct {
    const char *forbidden; /* why there is no census; NULL: there is */
    uintptr_t libc_function;
    uintptr_t allocator_function;
    struct census_local allocator_local;
    _Atomic uint32_t is_running; /* one at a time */
    int32_t child;               /* of a census in mid-run, to be waited for; 0: none */
} census;

/* One census, as its parts pass it on. Lies in the memory that is the scan's stack. */
struct census_run {
    struct scan_request request;
    struct parking parking;
    uint64_t begun_ns;
    uint32_t row_before; /* censuses in a row before this one */
    bool is_final;
};

static uint64_t now_ns(void)
{
    struct timespec now = {0};
    raw_syscall3(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void failure_set(struct arena_census *result, const char *why)
{
    size_t i = 0;
    for (; why[i] != '\0' && i < sizeof result->failure - 1; i++) {
        result->failure[i] = why[i];
    }
    result->failure[i] = '\0';
    atomic_store_explicit(&result->state, ARENA_CENSUS_FAILED, memory_order_release);
}

static void result_publish(struct arena_census *result)
{
    atomic_store_explicit(&result->state, ARENA_CENSUS_FULL, memory_order_release);
    /* After the state: whoever sees this number finds the result complete. */
    atomic_store_explicit(&process_cold.process->census_finished, result->number,
                          memory_order_release);
}

/* ---- the child ------------------------------------------------------------ */

/* Runs on a stack of its own. */
static int scan_and_publish(void *argument)
{
    struct census_run *run = argument;
    struct arena_census *result = run->request.census;
    uint64_t begun_ns = now_ns();
    const char *failure = scan_run(&run->request);
    result->scan_ns = now_ns() - begun_ns;
    if (failure != NULL) {
        failure_set(result, failure);
        atomic_store_explicit(&process_cold.process->census_finished, result->number,
                              memory_order_release);
    } else {
        result_publish(result);
    }
    process_wake_recorder();
    return 0;
}

static int child_run(void *argument)
{
    const struct census_run *run = argument;
    struct rlimit no_core = {0, 0};
    /* The program's pipes and sockets must not seem open on our account. */
    raw_syscall3(SYS_close_range, 0, (long)~0u, 0);
    raw_syscall6(SYS_prlimit64, 0, RLIMIT_CORE, (long)&no_core, 0, 0, 0);
    if (run->is_final) {
        raw_syscall3(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, SIGKILL, 0);
    }
    return scan_and_publish(argument);
}

/* A new process on `stack_top` that calls run(argument) and ends with what that returns; no
 * handlers, no signal to anybody when it ends. Returns its pid or a negative errno. */
__attribute__((naked, noinline)) static long
bare_fork(unsigned long flags __attribute__((unused)), void *stack_top __attribute__((unused)),
          int (*run)(void *) __attribute__((unused)), void *argument __attribute__((unused)))
{
    __asm__("mov %%rdx, %%r8\n\t" /* not looked at without CLONE_SETTLS */
            "mov %%rcx, %%r9\n\t"
            "xor %%edx, %%edx\n\t"
            "xor %%r10d, %%r10d\n\t"
            "mov %0, %%eax\n\t"
            "syscall\n\t"
            "test %%rax, %%rax\n\t"
            "jne 1f\n\t"
            "xor %%ebp, %%ebp\n\t"
            "mov %%r9, %%rdi\n\t"
            "call *%%r8\n\t"
            "mov %%eax, %%edi\n\t"
            "mov %1, %%eax\n\t"
            "syscall\n\t"
            "1: ret"
            :
            : "i"(SYS_clone), "i"(SYS_exit));
}

/* ---- the parent ----------------------------------------------------------- */

/* Waits for a child that announces its end to nobody. Returns its wait status, -1 when it
 * is not there or (without blocking) not ended yet. */
static int child_wait(int32_t child, bool is_blocking)
{
    int status = -1;
    long result;
    do {
        result = raw_syscall6(SYS_wait4, child, (long)&status,
                              (long)(0x80000000u /* __WCLONE */ | (is_blocking ? 0 : WNOHANG)), 0,
                              0, 0);
    } while (result == -EINTR);
    return result == child ? status : -1;
}

/* What the census of this number found lost, if it came to an end. */
static void suspects_take(struct census_run *run, uint32_t number)
{
    struct arena_process *process = process_cold.process;
    uint64_t offset = atomic_load_explicit(&process->censuses[number % ARENA_CENSUSES].census,
                                           memory_order_relaxed);
    const struct arena_census *before = arena_at(&process_cold.arena, offset, sizeof *before);
    if (before == NULL || before->number != number
        || atomic_load_explicit(&before->state, memory_order_acquire) != ARENA_CENSUS_FULL) {
        return;
    }
    run->request.suspects =
        arena_at(&process_cold.arena, before->suspects,
                 before->suspect_count * sizeof(struct arena_census_suspect));
    run->request.suspect_count = run->request.suspects == NULL ? 0 : before->suspect_count;
    run->row_before = before->row;
}

/* The result's record, in the slot that the latest complete census does not use. */
static struct arena_census *result_new(struct census_run *run)
{
    struct arena_process *process = process_cold.process;
    uint32_t number =
        atomic_load_explicit(&process->census_finished, memory_order_relaxed) + 1;
    suspects_take(run, number - 1);
    struct arena_census_slot *slot = &process->censuses[number % ARENA_CENSUSES];
    uint64_t offset = atomic_load_explicit(&slot->census, memory_order_relaxed);
    struct arena_census *result = arena_at(&process_cold.arena, offset, sizeof *result);
    if (result == NULL) {
        offset = arena_extent_new(&process_cold.arena, sizeof *result);
        result = arena_at(&process_cold.arena, offset, sizeof *result);
    }
    if (result == NULL) {
        return NULL;
    }
    atomic_store_explicit(&result->state, ARENA_CENSUS_NONE, memory_order_release);
    __builtin_memset((char *)result + sizeof result->state, 0,
                     sizeof *result - sizeof result->state);
    result->number = number;
    result->is_final = run->is_final;
    result->since_tick = run->request.since_tick;
    result->agreement = run->request.agreement;
    result->row = run->row_before + 1;
    result->tick = atomic_load_explicit(&process_cold.arena.header->clock_ticks,
                                        memory_order_relaxed);
    atomic_store_explicit(&result->state, ARENA_CENSUS_RUNNING, memory_order_release);
    atomic_store_explicit(&slot->census, offset, memory_order_release);
    run->request.slot = slot;
    run->request.census = result;
    return result;
}

static void child_died(struct arena_census *result)
{
    if (atomic_load_explicit(&result->state, memory_order_acquire) == ARENA_CENSUS_RUNNING) {
        failure_set(result, "the scan was ended by a signal");
        atomic_store_explicit(&process_cold.process->census_finished, result->number,
                              memory_order_release);
    }
}

/* Parks, forks, releases; at the end of the program also waits. */
static void census_make(struct census_run *run, const struct parked_thread *self)
{
    struct arena_census *result = result_new(run);
    if (result == NULL) {
        return;
    }
    run->begun_ns = now_ns();
    if (run->is_final && !live_map_has_any()) {
        /* Nothing to look for: no thread has to stop, no process to be made. */
        result->threads = 1;
        result_publish(result);
        result->pause_ns = now_ns() - run->begun_ns;
        return;
    }
    if (!parking_begin(&run->parking, run->is_final ? PARK_LIMIT_EXIT_NS : PARK_LIMIT_NS)) {
        failure_set(result, "another scan is under way");
        return;
    }
    parking_add_self(&run->parking, self);
    run->request.threads = run->parking.threads;
    run->request.thread_count = run->parking.count;
    result->threads = run->parking.standing + run->parking.late + 1;
    result->threads_unparked = run->parking.late;
    void *stack_top = (char *)run + SCAN_STACK_BYTES - 64;
    long child = bare_fork(0, stack_top, child_run, run);
    if (raw_failed(child) && run->is_final) {
        /* No process to be had: here, while everybody stands still. */
        scan_and_publish(run);
    }
    parking_end();
    result->pause_ns = now_ns() - run->begun_ns;
    if (raw_failed(child)) {
        if (!run->is_final) {
            failure_set(result, "no process could be made for the scan");
        }
    } else if (run->is_final) {
        child_wait((int32_t)child, true);
        child_died(result);
    } else {
        census.child = (int32_t)child;
    }
}

/* What is asked of a census. */
struct census_wish {
    uint32_t since_tick;
    uint32_t agreement;
    bool is_final;
};

static void census_begin(const struct parked_thread *self, const struct census_wish *wish)
{
    struct census_run *run = raw_map_lazy(SCAN_STACK_BYTES);
    if (run == NULL) {
        return;
    }
    run->is_final = wish->is_final;
    run->request.is_final = wish->is_final;
    run->request.since_tick = wish->since_tick;
    run->request.agreement = wish->agreement == 0 ? 1 : wish->agreement;
    run->request.arena = &process_cold.arena;
    run->request.stack_end = stack_table_end(process_cold.image) + 1;
    run->request.libc_function = census.libc_function;
    run->request.allocator_function = census.allocator_function;
    run->request.allocator_local = census.allocator_local;
    run->request.own_start = (uintptr_t)run;
    run->request.own_end = (uintptr_t)run + SCAN_STACK_BYTES;
    census_make(run, self);
    raw_syscall3(SYS_munmap, (long)run, (long)SCAN_STACK_BYTES, 0);
}

bool census_is_possible(void)
{
    return process_hot.is_tracking != 0 && process_hot.sample_bytes == 0
           && process_hot.process->pid == raw_pid()
           && process_cold.arena.header->config.leaks == LEAKS_FULL && census.forbidden == NULL;
}

/* Whether a census is wanted and possible; then nobody else begins one until census_leave(). */
static bool census_enter(bool is_final)
{
    uint32_t idle = 0;
    if (!census_is_possible()) {
        return false;
    }
    if (!atomic_compare_exchange_strong_explicit(&census.is_running, &idle, 1,
                                                 memory_order_acquire, memory_order_relaxed)) {
        return false;
    }
    if (census.child != 0) {
        if (is_final) { /* a newer one is about to be made */
            raw_syscall3(SYS_kill, census.child, SIGKILL, 0);
        }
        int status = child_wait(census.child, is_final);
        struct arena_process *process = process_hot.process;
        uint32_t number =
            atomic_load_explicit(&process->census_finished, memory_order_acquire) + 1;
        uint64_t offset = atomic_load_explicit(
            &process->censuses[number % ARENA_CENSUSES].census, memory_order_relaxed);
        struct arena_census *latest = arena_at(&process_cold.arena, offset, sizeof *latest);
        if (status == -1 && !is_final && latest != NULL && latest->number == number
            && atomic_load_explicit(&latest->state, memory_order_acquire)
                   == ARENA_CENSUS_RUNNING) {
            atomic_store_explicit(&census.is_running, 0, memory_order_release);
            return false; /* it still scans */
        }
        if (latest != NULL && latest->number == number) {
            child_died(latest);
        }
        if (status == -1 && !is_final) {
            child_wait(census.child, true); /* it has published, and is about to end */
        }
        census.child = 0;
    }
    return true;
}

static void census_leave(void)
{
    atomic_store_explicit(&census.is_running, 0, memory_order_release);
}

static void self_from_origin(struct parked_thread *self, const struct capture_origin *origin)
{
    self->pc = origin->pc;
    self->sp = origin->cfa;
    self->bp = origin->rbp;
    self->registers[0] = origin->rbp;
}

void census_at_exit(const struct capture_origin *origin, bool is_underscore_exit)
{
    if (process_hot.is_tracking == 0
        || (is_underscore_exit
            && (process_cold.arena.header->config.census_flags
                & ARENA_CENSUS_FLAG_AT_UNDERSCORE_EXIT)
                   == 0)
        || !census_enter(true)) {
        return;
    }
    struct parked_thread self = {.tid = 0};
    exit_frame_find(origin, census.libc_function, &self);
    census_begin(&self, &(struct census_wish){.is_final = true});
    census_leave();
}

uint32_t census_now(const struct capture_origin *origin, uint32_t since_tick)
{
    if (!census_enter(false)) {
        return 0;
    }
    struct arena_process *process = process_hot.process;
    uint32_t number = atomic_load_explicit(&process->census_finished, memory_order_relaxed) + 1;
    struct parked_thread self = {.tid = 0};
    self_from_origin(&self, origin);
    census_begin(&self, &(struct census_wish){.since_tick = since_tick});
    census_leave();
    return number;
}

/* In the handler of the parking signal: somebody outside asks, and says how many censuses
 * in a row must agree. */
static void census_requested(const void *ucontext, uint32_t agreement)
{
    if (!census_enter(false)) {
        return;
    }
    struct parked_thread self = {.tid = 0};
    parking_take(&self, ucontext);
    census_begin(&self, &(struct census_wish){.agreement = agreement});
    census_leave();
}

void census_set_allocator(uintptr_t libc_function, uintptr_t allocator_function)
{
    census.libc_function = libc_function;
    census.allocator_function = allocator_function;
}

void census_set_allocator_local(uintptr_t below_thread_pointer_bytes, size_t size_bytes)
{
    census.allocator_local =
        (struct census_local){.below_bytes = below_thread_pointer_bytes, .size_bytes = size_bytes};
}

void census_open(void)
{
    if (process_cold.arena.header->config.leaks == LEAKS_FULL && process_hot.sample_bytes == 0
        && parking_install(census_requested)) {
        atomic_store_explicit(&process_cold.process->census_signal, PARKING_SIGNAL,
                              memory_order_release);
    }
}

void census_reopen(void)
{
    if (process_hot.process != NULL
        && atomic_load_explicit(&process_hot.process->census_signal, memory_order_relaxed) != 0) {
        parking_install(NULL);
    }
}

void census_forbid(const char *why)
{
    census.forbidden = why;
    struct arena_process *process = process_cold.process;
    if (process != NULL) {
        atomic_store_explicit(&process->census_signal, 0, memory_order_relaxed);
        size_t i = 0;
        for (; why[i] != '\0' && i < sizeof process->census_forbidden - 1; i++) {
            process->census_forbidden[i] = why[i];
        }
    }
}
