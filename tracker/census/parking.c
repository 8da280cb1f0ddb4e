#include "census/parking.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <ucontext.h>

#include "core/process.h"
#include "core/raw_syscall.h"

#define FUTEX_WAIT_PRIVATE_OPERATION 128
#define FUTEX_WAKE_PRIVATE_OPERATION 129
#define SIGNAL_SET_BYTES 8
#define RAW_SA_RESTORER 0x04000000u
#define ARCH_GET_FS_CODE 0x1003
#define ROUNDS_MAX 16u
/* After so long without another thread coming, those that are missing are looked at. */
#define PATIENCE_NS UINT64_C(3000000)
/* After so long without another thread coming, nobody is waited for. */
#define QUIET_LIMIT_NS UINT64_C(50000000)

struct raw_sigaction {
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

struct raw_siginfo {
    int32_t signal;
    int32_t error;
    int32_t code;
    int32_t reserved;
    int32_t pid;
    uint32_t uid;
    uintptr_t value;
    char rest[128 - 32];
};
_Static_assert(sizeof(struct raw_siginfo) == 128, "the kernel's siginfo");

static struct parked_thread parked[PARKING_THREADS_MAX];
static _Atomic uint32_t parking_is_busy;
static _Atomic uint32_t parking_generation; /* odd: threads are to stand still */
static _Atomic uint32_t standing_count;
static void (*previous_handler)(int, siginfo_t *, void *);
static void (*request_handler)(const void *ucontext, uint32_t value);

__attribute__((naked)) static void parking_restorer(void)
{
    __asm__("mov %0, %%eax\n\tsyscall" : : "i"(SYS_rt_sigreturn));
}

static uint64_t now_ns(void)
{
    struct timespec now = {0};
    raw_syscall3(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uintptr_t parking_thread_pointer(void)
{
    uintptr_t fs = 0;
    raw_syscall3(SYS_arch_prctl, ARCH_GET_FS_CODE, (long)&fs, 0);
    return fs;
}

/*
 * The kernel's frame has the state in XSAVE's standard form: xmm0 to xmm15 at 160, which
 * components are in it at 512, their upper halves at 576, what AVX-512 adds behind that.
 * Source: Intel SDM 1, 13.4; Linux, arch/x86/include/uapi/asm/sigcontext.h.
 */
static void vectors_take(struct parked_thread *thread, const void *frame)
{
    enum { XMM = 160, XMM_END = 416, SOFTWARE = 464, COMPONENTS = 512, YMM = 576, ZMM = 832 };
    const uint32_t magic = 0x46505853;
    uintptr_t start = (uintptr_t)frame;
    for (size_t i = 0; i < PARKING_VECTORS; i++) {
        thread->vectors[i] = (struct parked_vectors){0, 0};
    }
    if (frame == NULL) {
        return;
    }
    const uint32_t *software = (const uint32_t *)(start + SOFTWARE);
    uint64_t components = 2; /* FXSAVE's: xmm alone */
    uint32_t bytes = COMPONENTS;
    if (software[0] == magic && software[1] >= ZMM) {
        components = *(const uint64_t *)(start + COMPONENTS);
        bytes = software[1];
    }
    if ((components & 2) != 0) {
        thread->vectors[0] = (struct parked_vectors){start + XMM, start + XMM_END};
    }
    if ((components & 4) != 0) {
        thread->vectors[1] = (struct parked_vectors){start + YMM, start + ZMM};
    }
    if ((components & 0xe0) != 0 && bytes > ZMM) {
        thread->vectors[2] = (struct parked_vectors){start + ZMM, start + bytes};
    }
}

void parking_take(struct parked_thread *thread, const void *ucontext)
{
    const greg_t *registers = ((const ucontext_t *)ucontext)->uc_mcontext.gregs;
    _Static_assert(REG_RSP < PARKING_REGISTERS && REG_R8 == 0 && REG_RSP == 15,
                   "the general registers come first");
    for (size_t i = 0; i < PARKING_REGISTERS; i++) {
        thread->registers[i] = (uintptr_t)registers[i];
    }
    thread->sp = (uintptr_t)registers[REG_RSP];
    thread->bp = (uintptr_t)registers[REG_RBP];
    thread->pc = (uintptr_t)registers[REG_RIP] + 1;
    thread->thread_pointer = parking_thread_pointer();
    vectors_take(thread, ((const ucontext_t *)ucontext)->uc_mcontext.fpregs);
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                               .tv_nsec = (long)(timeout_ns % 1000000000u)};
    raw_syscall6(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE_OPERATION, (long)value,
                 timeout_ns == 0 ? 0 : (long)&timeout, 0, 0);
}

static void futex_wake_all(_Atomic uint32_t *word)
{
    raw_syscall6(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE_OPERATION, INT32_MAX, 0, 0, 0);
}

static void stand_still(struct parked_thread *place, const void *ucontext)
{
    uint32_t generation = atomic_load_explicit(&parking_generation, memory_order_acquire);
    uint32_t called = PARKED_CALLED;
    parking_take(place, ucontext);
    /* Too late: the place may be somebody else's by now. */
    if ((generation & 1) == 0 || place->generation != generation
        || !atomic_compare_exchange_strong_explicit(&place->state, &called, PARKED_STANDING,
                                                    memory_order_acq_rel, memory_order_relaxed)) {
        return;
    }
    atomic_fetch_add_explicit(&standing_count, 1, memory_order_release);
    futex_wake_all(&standing_count);
    while (atomic_load_explicit(&parking_generation, memory_order_acquire) == generation) {
        futex_wait(&parking_generation, generation, 0);
    }
}

static void handle(int signal, siginfo_t *info, void *ucontext)
{
    uintptr_t value = (uintptr_t)info->si_value.sival_ptr;
    uintptr_t first = (uintptr_t)parked;
    if (info->si_code == SI_QUEUE && value >= first && value < first + sizeof parked
        && (value - first) % sizeof parked[0] == 0) {
        struct parked_thread *place = (struct parked_thread *)value;
        if (place->tid == raw_tid()) {
            stand_still(place, ucontext);
        }
    } else if (info->si_code == SI_QUEUE) {
        if (request_handler != NULL) {
            request_handler(ucontext, (uint32_t)value);
        }
    } else if (previous_handler != NULL) {
        previous_handler(signal, info, ucontext);
    }
}

bool parking_install(void (*on_request)(const void *ucontext, uint32_t value))
{
    struct raw_sigaction action = {.handler = handle,
                                   .flags = SA_RESTART | SA_ONSTACK | SA_SIGINFO | RAW_SA_RESTORER,
                                   .restorer = parking_restorer,
                                   .mask = ~UINT64_C(0)};
    struct raw_sigaction before = {0};
    if (on_request != NULL) {
        request_handler = on_request;
    }
    if (raw_failed(raw_syscall6(SYS_rt_sigaction, PARKING_SIGNAL, 0, (long)&before,
                                SIGNAL_SET_BYTES, 0, 0))) {
        return false;
    }
    if (before.handler == handle) {
        return true;
    }
    if ((uintptr_t)before.handler > 1 && (before.flags & SA_SIGINFO) != 0) { /* not DFL, IGN */
        previous_handler = before.handler;
    }
    return !raw_failed(raw_syscall6(SYS_rt_sigaction, PARKING_SIGNAL, (long)&action, 0,
                                    SIGNAL_SET_BYTES, 0, 0));
}

/* ---- which threads there are ---------------------------------------------- */

struct raw_dirent {
    uint64_t inode;
    int64_t offset;
    uint16_t record_bytes;
    uint8_t type;
    char name[];
};

static char *text_append(char *to, const char *text)
{
    while (*text != '\0') {
        *to++ = *text++;
    }
    *to = '\0';
    return to;
}

/* Returns the state letter in /proc/self/task/TID/stat, 'X' when there is none. */
static char thread_state(int32_t tid)
{
    char path[64];
    char digits[12];
    int count = 0;
    for (uint32_t rest = (uint32_t)tid; rest != 0 && count < 11; rest /= 10) {
        digits[count++] = (char)('0' + rest % 10);
    }
    char *end = text_append(path, "/proc/self/task/");
    while (count > 0) {
        *end++ = digits[--count];
    }
    text_append(end, "/stat");
    long fd = raw_syscall6(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (raw_failed(fd)) {
        return 'X';
    }
    char text[128];
    long length = raw_syscall3(SYS_read, fd, (long)text, sizeof text);
    raw_syscall3(SYS_close, fd, 0, 0);
    /* "tid (name) S": the name may hold parentheses, it has at most 15 characters. */
    for (long i = length - 3; i > 0; i--) {
        if (text[i] == ')') {
            return text[i + 2];
        }
    }
    return 'X';
}

static int32_t parse_tid(const char *name)
{
    int32_t tid = 0;
    for (; *name >= '0' && *name <= '9'; name++) {
        tid = tid * 10 + (*name - '0');
    }
    return tid;
}

static bool is_known(const struct parking *parking, int32_t tid)
{
    for (uint32_t i = 0; i < parking->count; i++) {
        if (parking->threads[i].tid == tid) {
            return true;
        }
    }
    return false;
}

static void thread_call(struct parking *parking, int32_t pid, int32_t tid)
{
    if (parking->count == PARKING_THREADS_MAX) {
        parking->late++;
        return;
    }
    struct parked_thread *place = &parked[parking->count];
    place->tid = tid;
    place->generation = atomic_load_explicit(&parking_generation, memory_order_relaxed);
    atomic_store_explicit(&place->state, PARKED_CALLED, memory_order_release);
    struct raw_siginfo info = {.signal = PARKING_SIGNAL,
                               .code = SI_QUEUE,
                               .pid = pid,
                               .value = (uintptr_t)place};
    long result = raw_syscall6(SYS_rt_tgsigqueueinfo, pid, tid, PARKING_SIGNAL, (long)&info, 0, 0);
    if (result == -ESRCH) {
        atomic_store_explicit(&place->state, PARKED_GONE, memory_order_relaxed);
    } else if (raw_failed(result)) {
        atomic_store_explicit(&place->state, PARKED_LATE, memory_order_relaxed);
    }
    parking->count++;
}

/* Calls the threads that are known to have allocated: all that can be had without /proc. */
static void threads_call_known(struct parking *parking)
{
    int32_t self = raw_tid();
    uint64_t offset =
        atomic_load_explicit(&process_cold.process->first_thread, memory_order_acquire);
    const struct arena_thread *table;
    while ((table = arena_at(&process_cold.arena, offset, sizeof *table)) != NULL) {
        int32_t tid = table->tid;
        if (atomic_load_explicit(&table->state, memory_order_relaxed) == ARENA_THREAD_IN_USE
            && tid > 0 && tid != self && !is_known(parking, tid)) {
            thread_call(parking, raw_pid(), tid);
        }
        offset = atomic_load_explicit(&table->next, memory_order_acquire);
    }
}

/* Calls the threads that were not called yet. Returns how many. */
static uint32_t threads_call(struct parking *parking)
{
    uint32_t before = parking->count;
    long fd = raw_syscall6(SYS_openat, AT_FDCWD, (long)"/proc/self/task",
                           O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
    if (raw_failed(fd)) {
        threads_call_known(parking);
        return parking->count - before;
    }
    _Alignas(8) char entries[2048];
    int32_t pid = raw_pid();
    int32_t self = raw_tid();
    long length;
    while ((length = raw_syscall3(SYS_getdents64, fd, (long)entries, sizeof entries)) > 0) {
        for (long at = 0; at < length;) {
            const struct raw_dirent *entry = (const struct raw_dirent *)(void *)(entries + at);
            int32_t tid = parse_tid(entry->name);
            if (tid != 0 && tid != self && !is_known(parking, tid)) {
                thread_call(parking, pid, tid);
            }
            at += entry->record_bytes;
        }
    }
    raw_syscall3(SYS_close, fd, 0, 0);
    return parking->count - before;
}

static uint32_t count_state(const struct parking *parking, enum parked_state state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < parking->count; i++) {
        count += atomic_load_explicit(&parking->threads[i].state, memory_order_acquire) == state;
    }
    return count;
}

static void note_dead(struct parking *parking)
{
    for (uint32_t i = 0; i < parking->count; i++) {
        struct parked_thread *place = &parking->threads[i];
        uint32_t called = PARKED_CALLED;
        if (atomic_load_explicit(&place->state, memory_order_acquire) != PARKED_CALLED) {
            continue;
        }
        char state = thread_state(place->tid);
        if (state == 'Z' || state == 'X') {
            atomic_compare_exchange_strong_explicit(&place->state, &called, PARKED_GONE,
                                                    memory_order_acq_rel, memory_order_relaxed);
        }
    }
}

/* Waits for those that were called. */
static void threads_await(struct parking *parking, uint64_t deadline_ns)
{
    uint64_t progress_ns = now_ns();
    bool has_looked = false;
    uint32_t seen = atomic_load_explicit(&standing_count, memory_order_acquire);
    while (count_state(parking, PARKED_CALLED) != 0) {
        uint32_t standing = atomic_load_explicit(&standing_count, memory_order_acquire);
        uint64_t now = now_ns();
        if (standing != seen) {
            seen = standing;
            progress_ns = now;
        }
        if (now >= deadline_ns || now - progress_ns > QUIET_LIMIT_NS) {
            return;
        }
        if (!has_looked && now - progress_ns > PATIENCE_NS) {
            note_dead(parking);
            has_looked = true;
            continue;
        }
        futex_wait(&standing_count, standing, PATIENCE_NS / 4);
    }
}

bool parking_begin(struct parking *parking, uint64_t limit_ns)
{
    uint32_t idle = 0;
    *parking = (struct parking){.threads = parked};
    if (!atomic_compare_exchange_strong_explicit(&parking_is_busy, &idle, 1, memory_order_acquire,
                                                 memory_order_relaxed)) {
        return false;
    }
    atomic_store_explicit(&standing_count, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&parking_generation, 1, memory_order_release);
    uint64_t deadline_ns = now_ns() + limit_ns;
    if (parking_install(NULL)) {
        /* Threads that still ran may have made new ones. */
        for (uint32_t round = 0; round < ROUNDS_MAX && threads_call(parking) != 0; round++) {
            threads_await(parking, deadline_ns);
        }
    }
    for (uint32_t i = 0; i < parking->count; i++) {
        uint32_t called = PARKED_CALLED;
        atomic_compare_exchange_strong_explicit(&parking->threads[i].state, &called, PARKED_LATE,
                                                memory_order_acq_rel, memory_order_relaxed);
    }
    parking->standing = count_state(parking, PARKED_STANDING);
    parking->late += count_state(parking, PARKED_LATE);
    return true;
}

void parking_add_self(struct parking *parking, const struct parked_thread *self)
{
    if (parking->count == PARKING_THREADS_MAX) { /* rather than another one */
        parking->count--;
        parking->late++;
    }
    struct parked_thread *place = &parking->threads[parking->count++];
    place->tid = raw_tid();
    place->thread_pointer = parking_thread_pointer();
    place->pc = self->pc;
    place->sp = self->sp;
    place->bp = self->bp;
    for (size_t i = 0; i < PARKING_REGISTERS; i++) {
        place->registers[i] = self->registers[i];
    }
    for (size_t i = 0; i < PARKING_VECTORS; i++) {
        place->vectors[i] = self->vectors[i];
    }
    atomic_store_explicit(&place->state, PARKED_STANDING, memory_order_release);
}

void parking_end(void)
{
    atomic_fetch_add_explicit(&parking_generation, 1, memory_order_release);
    futex_wake_all(&parking_generation);
    atomic_store_explicit(&parking_is_busy, 0, memory_order_release);
}
