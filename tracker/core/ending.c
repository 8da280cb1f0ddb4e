#include "core/ending.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>

#include "core/cpu_mark.h"
#include "core/live_map.h"
#include "core/process.h"
#include "core/raw_syscall.h"

/* Reading smaps takes some 100 us, which shorter lives are not to be burdened with. */
#define ENDING_RESIDENT_AGE_NS UINT64_C(100000000)
/* glibc's figures take a walk through all free chunks, at most as many as there were ever blocks,
 * with a cache miss each: asked for only where that is nothing beside the program's life. */
#define ENDING_CHUNK_NS 50u
#define ENDING_WALK_SHARE 200u
#define ENDING_TEXT_BYTES 4096u

typedef void ending_feed(void *context, const char *text, size_t length);

/* Feeds a file of /proc. Returns whether all of it was read. */
static bool file_read(const char *path, ending_feed *feed, void *context)
{
    static char text[ENDING_TEXT_BYTES]; /* the stack may be a signal's, and small */
    long fd = raw_syscall6(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (raw_failed(fd)) {
        return false;
    }
    long length;
    while ((length = raw_syscall3(SYS_read, fd, (long)text, sizeof text)) > 0) {
        feed(context, text, (size_t)length);
    }
    raw_syscall3(SYS_close, fd, 0, 0);
    return length == 0;
}

static void smaps_feed(void *context, const char *text, size_t length)
{
    resident_feed(context, text, length);
}

static void note_resident(struct arena_process *process)
{
    struct arena_ending *ending = &process->ending;
    struct timespec now = {0};
    raw_syscall3(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    uint64_t age_ns = now_ns - process->started_monotonic_ns;
    if (age_ns < ENDING_RESIDENT_AGE_NS) {
        return;
    }
    uint64_t walk_ns =
        process_cold.read_allocator_walks
            ? ENDING_CHUNK_NS
                  * (uint64_t)atomic_load_explicit(&process->peak_blocks, memory_order_relaxed)
            : 0;
    /* An exit from a signal handler may have interrupted the allocator, locks and all. */
    if (process_cold.read_allocator != NULL && walk_ns <= age_ns / ENDING_WALK_SHARE
        && !cpu_mark_covers((uintptr_t)__builtin_frame_address(0))) {
        process_cold.read_allocator(&process->allocator_figures);
        ending->has_figures = 1;
    }
    atomic_store_explicit(&process->own_bytes, live_map_resident_bytes(), memory_order_relaxed);
    static struct resident_parser parser;
    resident_begin(&parser);
    if (file_read("/proc/self/smaps", smaps_feed, &parser) && parser.resident.rss_bytes > 0) {
        ending->resident = parser.resident;
        atomic_store_explicit(&ending->has_resident, 1, memory_order_release);
    }
}

/* The line "VmHWM:   1234 kB" of /proc/self/status, whatever piece it begins in. */
struct peak_parser {
    uint32_t matched; /* characters of the name; all of them: in its value */
    int64_t kilobytes;
    bool is_done;
};

static void status_feed(void *context, const char *text, size_t length)
{
    static const char name[] = "\nVmHWM:";
    struct peak_parser *parser = context;
    for (size_t i = 0; i < length && !parser->is_done; i++) {
        if (parser->matched < sizeof name - 1) {
            parser->matched = text[i] == name[parser->matched] ? parser->matched + 1
                              : text[i] == '\n'                ? 1
                                                               : 0;
        } else if (text[i] >= '0' && text[i] <= '9' && parser->kilobytes < INT64_MAX / 16384) {
            parser->kilobytes = parser->kilobytes * 10 + (text[i] - '0');
        } else if (text[i] == 'k') {
            parser->is_done = true;
        }
    }
}

static void note_usage(struct arena_process *process)
{
    struct arena_ending *ending = &process->ending;
    struct rusage usage = {0};
    struct peak_parser peak = {0};
    if (raw_failed(raw_syscall3(SYS_getrusage, RUSAGE_SELF, (long)&usage, 0))) {
        return;
    }
    ending->user_ns = usage.ru_utime.tv_sec * 1000000000 + usage.ru_utime.tv_usec * 1000;
    ending->system_ns = usage.ru_stime.tv_sec * 1000000000 + usage.ru_stime.tv_usec * 1000;
    if (file_read("/proc/self/status", status_feed, &peak) && peak.is_done) {
        ending->peak_rss_bytes = peak.kilobytes * 1024;
    }
    atomic_store_explicit(&ending->has_usage, 1, memory_order_release);
}

void ending_note(void)
{
    static _Atomic uint32_t is_noted;
    struct arena_process *process = process_hot.process;
    /* A vfork child runs in our memory, but is not us. */
    if (process_hot.is_tracking == 0 || process->pid != raw_pid()
        || atomic_exchange_explicit(&is_noted, 1, memory_order_relaxed) != 0) {
        return;
    }
    note_resident(process);
    if (process_hot.is_own_clock != 0) {
        note_usage(process); /* a recorder knows */
    }
}
