#include "core/process.h"

#include "arena/clock.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/capture.h"
#include "core/cpu_timer.h"
#include "core/live_map.h"
#include "core/own_arena.h"
#include "core/raw_syscall.h"
#include "core/sampler.h"
#include "core/thread.h"
#include "core/totals.h"

#define ARENA_VARIABLE "MEMTRACK_ARENA="
#define MAPPED_BYTES_MIN (UINT64_C(8) << 20)
/* Left free above what is in use when the program limits its address space. */
#define SHRINK_MARGIN_BYTES (UINT64_C(32) << 20)

union process_hot_page process_hot_page __attribute__((aligned(PROCESS_PAGE_BYTES)));
struct process_cold process_cold;

/* What MEMTRACK_ARENA says: "<recorder's pid>:<its descriptor>:<key, hex>[:<socket path>]". */
struct arena_address {
    uint64_t recorder_pid;
    uint64_t descriptor;
    uint64_t key;
    const char *socket_path; /* NULL or NUL-terminated */
};

static const char *parse_number(const char *text, unsigned base, uint64_t *number)
{
    *number = 0;
    const char *start = text;
    for (;; text++) {
        unsigned digit;
        if (*text >= '0' && *text <= '9') {
            digit = (unsigned)(*text - '0');
        } else if (*text >= 'a' && *text <= 'f') {
            digit = (unsigned)(*text - 'a') + 10;
        } else {
            break;
        }
        if (digit >= base) {
            break;
        }
        *number = *number * base + digit;
    }
    return text == start ? NULL : text;
}

static bool address_parse(const char *text, struct arena_address *address)
{
    text = parse_number(text, 10, &address->recorder_pid);
    if (text == NULL || *text++ != ':') {
        return false;
    }
    text = parse_number(text, 10, &address->descriptor);
    if (text == NULL || *text++ != ':') {
        return false;
    }
    text = parse_number(text, 16, &address->key);
    if (text == NULL || (*text != ':' && *text != '\0')) {
        return false;
    }
    address->socket_path = *text == ':' ? text + 1 : NULL;
    return true;
}

/* Returns what follows `name` ("NAME=") in the environment, or NULL. */
static const char *environment_find(const char *name)
{
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        const char *text = *entry;
        size_t i = 0;
        while (name[i] != '\0' && text[i] == name[i]) {
            i++;
        }
        if (name[i] == '\0') {
            return text + i;
        }
    }
    return NULL;
}

static bool address_find(struct arena_address *address)
{
    const char *text = environment_find(ARENA_VARIABLE);
    return text != NULL && address_parse(text, address);
}

/* Valgrind puts an allocator of its own before ours, and would take our scan of the stacks
 * for reads of what was never written: the program is its to watch. */
static bool is_under_valgrind(void)
{
    static const char mark[] = "vgpreload_";
    const char *text = environment_find("LD_PRELOAD=");
    for (; text != NULL && *text != '\0'; text++) {
        size_t i = 0;
        while (mark[i] != '\0' && text[i] == mark[i]) {
            i++;
        }
        if (mark[i] == '\0') {
            return true;
        }
    }
    return false;
}

static char *append_text(char *to, const char *text)
{
    while (*text != '\0') {
        *to++ = *text++;
    }
    *to = '\0';
    return to;
}

static char *append_number(char *to, uint64_t number)
{
    char digits[24];
    int count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    while (count > 0) {
        *to++ = digits[--count];
    }
    *to = '\0';
    return to;
}

/* Through the recorder's descriptor table: works for the same user in the same pid
 * namespace, whatever this program has closed. */
static long open_by_proc(const struct arena_address *address)
{
    char path[80];
    char *end = append_text(path, "/proc/");
    end = append_number(end, address->recorder_pid);
    end = append_text(end, "/fd/");
    append_number(end, address->descriptor);
    return raw_syscall6(SYS_openat, AT_FDCWD, (long)path, O_RDWR | O_CLOEXEC, 0, 0, 0);
}

/* Asks the recorder over its socket: another user, another pid namespace. A path that
 * begins with '@' names a socket in the abstract namespace. */
static long open_by_socket(const struct arena_address *address)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t length = 0;
    const char *path = address->socket_path;
    while (path != NULL && path[length] != '\0' && length < sizeof name.sun_path - 1) {
        name.sun_path[length] = length == 0 && path[0] == '@' ? '\0' : path[length];
        length++;
    }
    if (length == 0) {
        return -1;
    }
    long fd = raw_syscall3(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (raw_failed(fd)) {
        return fd;
    }
    long result = raw_syscall3(SYS_connect, fd, (long)&name,
                               (long)(offsetof(struct sockaddr_un, sun_path) + length));
    if (!raw_failed(result)) {
        result = raw_syscall3(SYS_write, fd, (long)&address->key, sizeof address->key);
    }
    if (!raw_failed(result)) {
        char byte;
        union {
            struct cmsghdr header;
            char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec part = {.iov_base = &byte, .iov_len = 1};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof control};
        result = raw_syscall3(SYS_recvmsg, fd, (long)&message, MSG_CMSG_CLOEXEC);
        if (!raw_failed(result)) {
            result = message.msg_controllen >= CMSG_LEN(sizeof(int))
                             && control.header.cmsg_level == SOL_SOCKET
                             && control.header.cmsg_type == SCM_RIGHTS
                         ? *(int *)(void *)CMSG_DATA(&control.header)
                         : -1;
        }
    }
    raw_syscall3(SYS_close, fd, 0, 0);
    return result;
}

/* How much of the arena may be mapped: where address space is limited, an eighth of it. */
static uint64_t mapping_share(uint64_t limit_bytes, uint64_t arena_bytes)
{
    if (limit_bytes != RLIM_INFINITY && limit_bytes / 8 < arena_bytes) {
        arena_bytes = (limit_bytes / 8) & ~(ARENA_EXTENT_BYTES - 1);
    }
    return arena_bytes < MAPPED_BYTES_MIN ? MAPPED_BYTES_MIN : arena_bytes;
}

static uint64_t mapping_limit(uint64_t arena_bytes)
{
    struct rlimit limit;
    if (raw_syscall6(SYS_prlimit64, 0, RLIMIT_AS, 0, (long)&limit, 0, 0) != 0) {
        limit.rlim_cur = RLIM_INFINITY;
    }
    return mapping_share(limit.rlim_cur, arena_bytes);
}

void process_limit_address_space(uint64_t limit_bytes)
{
    struct arena *arena = &process_cold.arena;
    uint64_t mapped = arena->mapped_bytes;
    if (!process_cold.is_started || mapped == 0) {
        return;
    }
    /* The margin is also for extents that other threads are taking now by the old bound. */
    uint64_t needed = atomic_load_explicit(&arena->header->used_bytes, memory_order_acquire)
                      + SHRINK_MARGIN_BYTES;
    uint64_t kept = mapping_share(limit_bytes, mapped);
    kept = kept < needed ? needed : kept;
    if (kept >= mapped) {
        return;
    }
    arena->mapped_bytes = kept;
    capture_limit_arena(kept);
    atomic_thread_fence(memory_order_seq_cst);
    raw_syscall3(SYS_munmap, (long)arena->header + (long)kept, (long)(mapped - kept), 0);
}

static bool arena_map(long fd, uint64_t key)
{
    long size = raw_syscall3(SYS_lseek, fd, 0, SEEK_END);
    if (raw_failed(size) || (size_t)size < sizeof(struct arena_header)) {
        return false;
    }
    uint64_t bytes = mapping_limit((uint64_t)size);
    if (bytes > (uint64_t)size) {
        bytes = (uint64_t)size;
    }
    for (; bytes >= sizeof(struct arena_header); bytes = (bytes / 2) & ~(ARENA_EXTENT_BYTES - 1)) {
        long address = raw_syscall6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_NORESERVE, fd, 0);
        if (raw_failed(address)) {
            continue;
        }
        struct arena_header *header = (struct arena_header *)address;
        if (header->magic != ARENA_MAGIC || header->version != ARENA_VERSION
            || header->key != key) {
            raw_syscall3(SYS_munmap, address, (long)bytes, 0);
            return false;
        }
        process_cold.arena.header = header;
        process_cold.arena.mapped_bytes = bytes;
        return true;
    }
    return false;
}

static bool arena_open(void)
{
    struct arena_address address;
    if (!address_find(&address)) {
        return own_arena_open(&process_cold.arena);
    }
    long fd = open_by_proc(&address);
    bool is_open = !raw_failed(fd) && arena_map(fd, address.key);
    if (!raw_failed(fd)) {
        raw_syscall3(SYS_close, fd, 0, 0);
    }
    if (!is_open) {
        fd = open_by_socket(&address);
        is_open = !raw_failed(fd) && arena_map(fd, address.key);
        if (!raw_failed(fd)) {
            raw_syscall3(SYS_close, fd, 0, 0);
        }
    }
    return is_open;
}

static uint64_t monotonic_ns(void)
{
    struct timespec now = {0};
    raw_syscall3(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct arena_image *image_new(uint32_t *index)
{
    struct arena *arena = &process_cold.arena;
    uint64_t offset = arena_extent_new(arena, sizeof(struct arena_image));
    struct arena_image *image = arena_at(arena, offset, sizeof *image);
    if (image == NULL) {
        return NULL;
    }
    *index = atomic_fetch_add_explicit(&arena->header->image_count, 1, memory_order_relaxed);
    if (*index >= ARENA_IMAGES_MAX) {
        return NULL;
    }
    atomic_store_explicit(&arena->header->image_offset[*index], offset, memory_order_release);
    return image;
}

/* Makes this process's record; published by process_publish() when it is complete. */
static struct arena_process *process_new(uint32_t start, uint64_t *offset)
{
    struct arena *arena = &process_cold.arena;
    *offset = arena_extent_new(arena, sizeof(struct arena_process));
    struct arena_process *process = arena_at(arena, *offset, sizeof *process);
    if (process == NULL) {
        return NULL;
    }
    uint32_t index =
        atomic_fetch_add_explicit(&arena->header->process_count, 1, memory_order_relaxed);
    if (index >= ARENA_PROCESSES_MAX) {
        return NULL;
    }
    process->index = index;
    process->start = start;
    process->image = process_cold.image_index;
    process->pid = raw_pid();
    process->parent_pid = (int32_t)raw_syscall3(SYS_getppid, 0, 0, 0);
    process->started_monotonic_ns = monotonic_ns();
    raw_syscall3(SYS_readlink, (long)"/proc/self/exe", (long)process->executable,
                 ARENA_TEXT_BYTES - 1);
    raw_syscall3(SYS_readlink, (long)"/proc/self/cwd", (long)process->working_directory,
                 ARENA_TEXT_BYTES - 1);
    return process;
}

/* Fills the page that a fork wipes, and lets the recorder see the process. */
static void process_publish(struct arena_process *process, uint64_t offset)
{
    struct arena_header *header = process_cold.arena.header;
    process_cold.process = process;
    process_hot.process = process;
    process_hot.is_own_clock = process_cold.arena.back != NULL;
    process_hot.sample_bytes = header->config.sample_bytes;
    atomic_store_explicit(&process_hot.tick_offset, process_cold.mark_count, memory_order_relaxed);
    process_hot.is_tracking = 1;
    atomic_store_explicit(&header->process_offset[process->index], offset, memory_order_release);
    process_wake_recorder();
}

void process_wake_recorder(void)
{
    struct arena_header *header = process_cold.arena.header;
    atomic_fetch_add_explicit(&header->wake, 1, memory_order_release);
    raw_syscall6(SYS_futex, (long)&header->wake, 1 /* FUTEX_WAKE, shared */, 1, 0, 0, 0);
}

/* --follow: the first process of the run is index 0; what it execs or forks comes later. */
static bool is_excluded(const struct arena_header *header, bool is_fork)
{
    if (atomic_load_explicit(&header->process_count, memory_order_relaxed) == 0) {
        return false;
    }
    return header->config.follow == ARENA_FOLLOW_NONE
           || (header->config.follow == ARENA_FOLLOW_FORK && !is_fork);
}

bool process_start(void)
{
    static _Atomic uint32_t is_starting;
    if (atomic_exchange_explicit(&is_starting, 1, memory_order_acquire) != 0) {
        return false; /* an event of our own start-up */
    }
    process_cold.is_refused = true;
    if (is_under_valgrind() || !arena_open() || is_excluded(process_cold.arena.header, false)) {
        return false;
    }
    uint64_t offset = 0;
    struct arena_process *process = NULL;
    process_cold.image = image_new(&process_cold.image_index);
    if (process_cold.image != NULL) {
        process = process_new(ARENA_START_EXEC, &offset);
    }
    if (process == NULL
        || capture_start(&process_cold.arena, process_cold.image, process) != 0) {
        return false;
    }
    /* Without it (a kernel before 4.14) children would write into our counters. */
    if (raw_failed(raw_syscall3(SYS_madvise, (long)&process_hot_page, PROCESS_PAGE_BYTES,
                                MADV_WIPEONFORK))) {
        return false;
    }
    process_cold.process = process;
    if (process_cold.arena.header->config.sample_bytes != 0) {
        live_map_begin_marks();
    }
    cpu_timer_open(process_cold.arena.header);
    process_publish(process, offset);
    process_cold.is_started = true;
    process_cold.is_refused = false;
    return true;
}

struct inheritance {
    struct arena_thread *table;
    int64_t bytes;
    int64_t blocks;
};

static void inherit_block(void *context, uintptr_t address, const struct live_block *block)
{
    (void)address;
    struct inheritance *inheritance = context;
    struct arena_site *sites =
        arena_chunk_get(&process_cold.arena, inheritance->table->site_chunk,
                        block->stack / ARENA_SITES_PER_CHUNK,
                        ARENA_SITES_PER_CHUNK * sizeof(struct arena_site));
    if (sites == NULL) {
        return;
    }
    struct arena_site *site = &sites[block->stack % ARENA_SITES_PER_CHUNK];
    uint64_t sample_bytes = process_cold.arena.header->config.sample_bytes;
    struct sampler_weight weight = {.blocks = 1, .bytes = (int64_t)block->size_bytes};
    if (sample_bytes != 0) {
        weight = sampler_weigh(block->size_bytes, sample_bytes);
    }
    site->allocations += (uint64_t)weight.blocks;
    site->allocated_bytes += (uint64_t)weight.bytes;
    inheritance->bytes += weight.bytes;
    inheritance->blocks += weight.blocks;
    struct arena_sample_site *samples =
        sample_bytes == 0
            ? NULL
            : arena_chunk_get(&process_cold.arena, inheritance->table->sample_chunk,
                              block->stack / ARENA_SITES_PER_CHUNK,
                              ARENA_SITES_PER_CHUNK * sizeof(struct arena_sample_site));
    if (samples != NULL) {
        struct arena_sample_site *sample = &samples[block->stack % ARENA_SITES_PER_CHUNK];
        sample->allocated_count_variance += weight.count_variance;
        sample->allocated_bytes_variance += weight.bytes_variance;
    }
}

/* What a forked child may be forbidden to ask the kernel for, its parent's record knows. */
static void complete_from_parent(struct arena_process *process, const struct arena_process *parent)
{
    const struct arena_header *header = process_cold.arena.header;
    if (process->parent_pid <= 0) {
        process->parent_pid = parent->pid;
    }
    if (process->started_monotonic_ns == 0) {
        uint32_t ticks = atomic_load_explicit(&header->clock_ticks, memory_order_relaxed);
        uint64_t now_ns = header->started_monotonic_ns + clock_ticks_to_ns(ticks, header->tick_ns);
        process->started_monotonic_ns = now_ns > parent->started_monotonic_ns
                                            ? now_ns
                                            : parent->started_monotonic_ns + 1;
    }
    if (process->executable[0] == '\0') {
        __builtin_memcpy(process->executable, parent->executable, sizeof process->executable);
    }
    if (process->working_directory[0] == '\0') {
        __builtin_memcpy(process->working_directory, parent->working_directory,
                         sizeof process->working_directory);
    }
}

bool process_forked(void)
{
    struct arena_process *parent = process_cold.process;
    uint64_t offset = 0;
    process_cold.is_refused = true;
    if (is_excluded(process_cold.arena.header, true)) {
        return false;
    }
    struct arena_process *process = process_new(ARENA_START_FORK, &offset);
    if (process == NULL) {
        return false;
    }
    process->parent_process = parent->index + 1;
    complete_from_parent(process, parent);
    process->argument_bytes = parent->argument_bytes;
    process->arguments_cut = parent->arguments_cut;
    __builtin_memcpy(process->arguments, parent->arguments, parent->argument_bytes);
    __builtin_memcpy(process->allocator, parent->allocator, sizeof process->allocator);
    process_cold.process = process;
    process_hot.process = process;
    process_hot.is_own_clock = process_cold.arena.back != NULL;

    struct inheritance inheritance = {.table = thread_table_new(process)};
    if (inheritance.table == NULL) {
        return false;
    }
    inheritance.table->is_inherited = 1;
    live_map_visit(inherit_block, &inheritance);
    thread_forked();
    capture_forked(process);
    totals_begin(process, inheritance.bytes, inheritance.blocks);
    process_publish(process, offset);
    process_cold.is_refused = false;
    return true;
}

void process_set_arguments(int argument_count, char *const *arguments)
{
    struct arena_process *process = process_cold.process;
    if (process == NULL) {
        return;
    }
    uint32_t used = 0;
    for (int i = 0; i < argument_count && arguments[i] != NULL; i++) {
        for (const char *text = arguments[i];; text++) {
            if (used == ARENA_ARGUMENTS_BYTES) {
                process->arguments_cut = 1;
                process->arguments[ARENA_ARGUMENTS_BYTES - 1] = '\0';
                process->argument_bytes = used;
                return;
            }
            process->arguments[used++] = *text;
            if (*text == '\0') {
                break;
            }
        }
    }
    process->argument_bytes = used;
}

void process_set_allocator(const char *name)
{
    struct arena_process *process = process_cold.process;
    if (process == NULL) {
        return;
    }
    for (size_t i = 0; i + 1 < sizeof process->allocator && name[i] != '\0'; i++) {
        process->allocator[i] = name[i];
    }
}

void process_answer_allocator(void)
{
    struct arena_allocator_figures *figures = &process_cold.process->allocator_figures;
    uint32_t requested = atomic_load_explicit(&figures->requested, memory_order_acquire);
    static _Atomic uint32_t is_answering; /* reading may allocate, and end up here again */
    if (requested == atomic_load_explicit(&figures->answered, memory_order_relaxed)
        || process_cold.read_allocator == NULL
        || atomic_exchange_explicit(&is_answering, 1, memory_order_acquire) != 0) {
        return;
    }
    process_cold.read_allocator(figures);
    atomic_store_explicit(&process_cold.process->own_bytes, live_map_resident_bytes(),
                          memory_order_relaxed);
    atomic_store_explicit(&figures->answered, requested, memory_order_release);
    atomic_store_explicit(&is_answering, 0, memory_order_release);
}

void process_exiting(int status)
{
    struct arena_process *process = process_hot.process;
    /* A vfork child runs in our memory, but is not us. */
    if (process_hot.is_tracking == 0 || process->pid != raw_pid()) {
        return;
    }
    struct thread *thread = thread_self;
    if (thread != NULL) {
        totals_publish(thread);
        cpu_timer_settle(thread);
    }
    process->exit_status = status & 0xff;
    atomic_store_explicit(&process->own_bytes, live_map_resident_bytes(), memory_order_relaxed);
    atomic_store_explicit(&process->exited, 1, memory_order_release);
}

void process_set_shared(void)
{
    struct arena_process *process = process_hot.process;
    if (atomic_load_explicit(&process_hot.is_shared, memory_order_relaxed) != 0) {
        return;
    }
    if (process != NULL) {
        totals_note_present(process); /* threads do not look back for it */
        atomic_store_explicit(&process->is_multi_threaded, 1, memory_order_relaxed);
    }
    /* Relaxed: a thread that is created later sees it by the creation's ordering. */
    atomic_store_explicit(&process_hot.is_shared, 1, memory_order_relaxed);
}

void process_drop_event(void)
{
    atomic_store_explicit(&process_cold.has_dropped, true, memory_order_relaxed);
    if (process_cold.process != NULL) {
        atomic_fetch_add_explicit(&process_cold.process->dropped_events, 1, memory_order_relaxed);
    }
}
