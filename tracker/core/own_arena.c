#include "core/own_arena.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "arena/clock.h"
#include "core/process.h"
#include "core/raw_syscall.h"

#define OWN_SIZE_BYTES (UINT64_C(1) << 35)
#define OWN_SIZE_MIN_BYTES (UINT64_C(16) << 20)
#define OWN_PATH_BYTES 4096u
#define OWN_NAMES_MAX 100u
#define OWN_CPU_HZ 99u
#define OWN_CPU_HZ_MAX 10000u
/* Less than a tick on any processor, and so often that a tick is hardly missed. */
#define OWN_TICK_CYCLES UINT64_C(2000000)
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static const char *own_variable(const char *name)
{
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        size_t i = 0;
        while (name[i] != '\0' && (*entry)[i] == name[i]) {
            i++;
        }
        if (name[i] == '\0' && (*entry)[i] == '=') {
            return *entry + i + 1;
        }
    }
    return NULL;
}

static uint64_t own_number(const char *text)
{
    uint64_t number = 0;
    for (; text != NULL && *text >= '0' && *text <= '9' && number < UINT64_MAX / 16; text++) {
        number = number * 10 + (uint64_t)(*text - '0');
    }
    return text != NULL && *text == '\0' ? number : 0;
}

static bool own_is(const char *text, const char *word)
{
    while (text != NULL && *text != '\0' && *text == *word) {
        text++;
        word++;
    }
    return text != NULL && *text == '\0' && *word == '\0';
}

/* CPU samples and the leak scan at the end need nobody outside: they are on, as under
 * `memtrack run`. What cannot be understood counts as not said. */
static void own_configure(struct arena_config *config)
{
    const char *hz = own_variable("MEMTRACK_CPU");
    const char *leaks = own_variable("MEMTRACK_LEAKS");
    uint64_t wanted_hz = own_number(hz);
    config->depth_max = 128;
    config->sample_bytes = own_number(own_variable("MEMTRACK_SAMPLE"));
    config->cpu_hz = own_is(hz, "0") || own_is(hz, "off") ? 0
                     : wanted_hz == 0                     ? OWN_CPU_HZ
                     : wanted_hz > OWN_CPU_HZ_MAX         ? OWN_CPU_HZ_MAX
                                                          : (uint32_t)wanted_hz;
    config->leaks = own_is(leaks, "off") ? 0 : own_is(leaks, "counts") ? 1 : 2;
}

/* Appends text to path[0..*used) as far as there is room. */
static void own_append(char *path, size_t *used, const char *text)
{
    while (*text != '\0' && *used + 1 < OWN_PATH_BYTES) {
        path[(*used)++] = *text++;
    }
    path[*used] = '\0';
}

static void own_append_number(char *path, size_t *used, uint64_t number)
{
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    own_append(path, used, digits + at);
}

/* Creates "/dir/memtrack.NAME.PID.arena"; where that exists, ".PID.2.arena" and so on: an
 * exec keeps the pid. */
static long own_create(const char *folder)
{
    char program[OWN_PATH_BYTES];
    char path[OWN_PATH_BYTES];
    long length = raw_syscall3(SYS_readlink, (long)"/proc/self/exe", (long)program,
                               sizeof program - 1);
    program[raw_failed(length) ? 0 : length] = '\0';
    const char *name = program;
    for (const char *at = program; *at != '\0'; at++) {
        name = *at == '/' ? at + 1 : name;
    }
    for (unsigned number = 1; number < OWN_NAMES_MAX; number++) {
        size_t used = 0;
        own_append(path, &used, folder);
        own_append(path, &used, "/memtrack.");
        own_append(path, &used, name[0] != '\0' ? name : "program");
        own_append(path, &used, ".");
        own_append_number(path, &used, (uint64_t)raw_pid());
        if (number > 1) {
            own_append(path, &used, ".");
            own_append_number(path, &used, number);
        }
        own_append(path, &used, ".arena");
        long fd = raw_syscall6(SYS_openat, AT_FDCWD, (long)path,
                               O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600, 0, 0);
        if (fd != -17 /* EEXIST */) {
            return fd;
        }
    }
    return -17;
}

static uint64_t own_clock_ns(clockid_t clock)
{
    struct timespec now = {0};
    raw_syscall3(SYS_clock_gettime, clock, (long)&now, 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Gives memory to a range, so that a write to it cannot fail. */
static bool own_back(void *start, uint64_t size_bytes)
{
    long result =
        raw_syscall3(SYS_madvise, (long)start, (long)size_bytes, MADV_POPULATE_WRITE);
    return !raw_failed(result) || result == -22 /* EINVAL: an old kernel */;
}

/* At most what the limits on files and address space allow: going beyond the former would
 * be answered by a signal. */
static uint64_t own_size_bytes(void)
{
    struct rlimit limit;
    uint64_t size = OWN_SIZE_BYTES;
    if (raw_syscall6(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit, 0, 0) == 0
        && limit.rlim_cur < size) {
        size = limit.rlim_cur;
    }
    if (raw_syscall6(SYS_prlimit64, 0, RLIMIT_AS, 0, (long)&limit, 0, 0) == 0
        && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur / 8 < size) {
        size = limit.rlim_cur / 8;
    }
    return size & ~(ARENA_EXTENT_BYTES - 1);
}

static void own_fill(struct arena_header *header, uint64_t size)
{
    header->version = ARENA_VERSION;
    header->header_bytes = sizeof *header;
    header->size_bytes = size;
    header->started_realtime_ns = own_clock_ns(CLOCK_REALTIME);
    header->started_monotonic_ns = own_clock_ns(CLOCK_MONOTONIC);
    header->recorder_pid = 0;
    header->tick_ns = CLOCK_TICK_NS;
    header->key = __rdtsc();
    own_configure(&header->config);
    uint64_t first = (sizeof *header + ARENA_EXTENT_BYTES - 1) & ~(ARENA_EXTENT_BYTES - 1);
    atomic_store_explicit(&header->used_bytes, first, memory_order_relaxed);
    header->magic = ARENA_MAGIC;
}

bool own_arena_open(struct arena *arena)
{
    const char *folder = own_variable("MEMTRACK_OUTPUT");
    if (folder == NULL || folder[0] == '\0') {
        return false;
    }
    long fd = own_create(folder);
    if (raw_failed(fd)) {
        return false;
    }
    long address = -1;
    uint64_t size = own_size_bytes();
    for (; size >= OWN_SIZE_MIN_BYTES; size = (size / 2) & ~(ARENA_EXTENT_BYTES - 1)) {
        if (raw_failed(raw_syscall3(SYS_ftruncate, fd, (long)size, 0))) {
            continue;
        }
        address = raw_syscall6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_NORESERVE, fd, 0);
        if (!raw_failed(address)) {
            break;
        }
    }
    raw_syscall3(SYS_close, fd, 0, 0);
    if (size < OWN_SIZE_MIN_BYTES || raw_failed(address)) {
        return false;
    }
    if (!own_back((void *)address, sizeof(struct arena_header))) {
        raw_syscall3(SYS_munmap, address, (long)size, 0);
        return false;
    }
    *arena = (struct arena){
        .header = (struct arena_header *)address, .mapped_bytes = size, .back = own_back};
    own_fill(arena->header, size);
    return true;
}

void own_arena_tick(void)
{
    static _Atomic uint64_t looked_at;
    uint64_t now = __rdtsc();
    if (now - atomic_load_explicit(&looked_at, memory_order_relaxed) < OWN_TICK_CYCLES) {
        return;
    }
    atomic_store_explicit(&looked_at, now, memory_order_relaxed);
    struct arena_header *header = process_cold.arena.header;
    uint64_t age_ns = own_clock_ns(CLOCK_MONOTONIC) - header->started_monotonic_ns;
    atomic_store_explicit(&header->clock_ticks, clock_ns_to_ticks(age_ns, header->tick_ns),
                          memory_order_relaxed);
}
