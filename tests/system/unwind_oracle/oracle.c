/*
 * unwind_oracle/oracle.c - a library to preload: captures the stack of every allocation
 * of a real program and compares it, frame by frame, with libunwind's.
 *
 * It has a small malloc hook of its own (over glibc's __libc_* names), its own private
 * arena, and opens libunwind privately, because libunwind.so exports _Unwind_* and
 * backtrace.
 *
 * ORACLE_OUT=FILE   one line of results per process is appended there
 * ORACLE_MODE=check compares each ORACLE_EVERY-th capture with a walk by unw_step, and each
 *                   ORACLE_UNCACHED-th of these with one that bypasses libunwind's cache
 *                   (libunwind cannot change that while several threads walk: with threads
 *                   1, all, or 0, none)
 * ORACLE_MODE=time  times captures and unw_backtrace in turns of ORACLE_BLOCK events
 * ORACLE_MODE=off   hooks only
 * ORACLE_SHOW_GUESSES=1  examples of approximate captures that differ are written, too
 * ORACLE_TELL_CLOSE=0  the capture is not told of dlclose
 *
 * A capture that is flagged approximate is compared up to the guess and counted apart.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

#define UNW_LOCAL_ONLY
#include <libunwind.h>

#include "arena/arena.h"
#include "core/capture.h"
#include "core/capture_thread.h"
#include "core/stack_table.h"

#define EXPORT __attribute__((visibility("default")))
#define ARENA_BYTES (UINT64_C(8) << 30)
#define DEPTH 128
#define EXAMPLES_MAX 5

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

enum mode { MODE_OFF, MODE_CHECK, MODE_TIME };

/* How a capture found its answer. */
enum ours_kind { OURS_MEMO, OURS_WALKED, OURS_NEW_STACK, OURS_KINDS };

#define PREEMPTED_CYCLES 200000u

struct timing {
    uint64_t calls;
    uint64_t cycles;
};

/* A thread's figures; summed into `total` at the end. */
struct figures {
    uint64_t captures;
    uint64_t frames;
    uint64_t walked;
    uint64_t memo_hits;
    uint64_t checked;
    uint64_t checked_uncached;
    uint64_t mismatches;
    uint64_t approximate;
    uint64_t approximate_differ;
    uint64_t no_id;
    uint64_t nested;
    uint64_t errno_changed;
    uint64_t preempted; /* not timed: another program ran meanwhile */
    struct timing ours[OURS_KINDS];
    struct timing theirs;
};

struct oracle_thread {
    struct figures figures;
    bool is_inside;
    struct oracle_thread *next;
    struct capture_thread *capture;
};

static struct {
    enum mode mode;
    uint64_t every;
    uint64_t uncached_every;
    uint64_t block;
    bool is_ready;
    bool tells_close;
    bool shows_guesses;
    struct arena arena;
    struct arena_image *image;
    struct arena_process *process;
    struct oracle_thread *_Atomic threads;
    _Atomic uint32_t examples;
    uint64_t timer_cycles;
    char out[256];
    int (*getcontext)(unw_context_t *);
    int (*init_local)(unw_cursor_t *, unw_context_t *);
    int (*step)(unw_cursor_t *);
    int (*get_reg)(unw_cursor_t *, int, unw_word_t *);
    int (*is_signal_frame)(unw_cursor_t *);
    int (*set_caching_policy)(unw_addr_space_t, unw_caching_policy_t);
    int (*backtrace)(void **, int);
    unw_addr_space_t *local_addr_space;
} oracle;

static __thread struct oracle_thread *self __attribute__((tls_model("initial-exec")));

static void out_write(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void out_write(const char *format, ...)
{
    char text[8192];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    int fd = open(oracle.out, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0) {
        ssize_t ignored = write(fd, text, (size_t)length);
        (void)ignored;
        close(fd);
    }
}

static struct oracle_thread *thread_new(void)
{
    size_t bytes = 4096 + capture_thread_bytes();
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    struct oracle_thread *thread = (void *)memory;
    thread->capture = (void *)(memory + 4096);
    thread->next = oracle.threads;
    while (!atomic_compare_exchange_weak(&oracle.threads, &thread->next, thread)) {
    }
    return thread;
}

/* Walks by unw_step. pc as memtrack stores them: an interrupted instruction plus 1. */
static uint32_t libunwind_walk(const struct capture_origin *origin, uint64_t *pc, bool *is_found)
{
    unw_context_t context;
    unw_cursor_t cursor;
    unw_word_t ip = 0;
    unw_word_t sp = 0;
    uint32_t count = 0;

    *is_found = false;
    oracle.getcontext(&context);
    oracle.init_local(&cursor, &context);
    for (;;) {
        oracle.get_reg(&cursor, UNW_REG_IP, &ip);
        oracle.get_reg(&cursor, UNW_REG_SP, &sp);
        if (ip == origin->pc && sp == origin->cfa) {
            *is_found = true;
        }
        if (ip == 0 || count == DEPTH) {
            return count;
        }
        if (*is_found) {
            pc[count++] = ip + (oracle.is_signal_frame(&cursor) > 0);
        }
        if (oracle.step(&cursor) <= 0) {
            return count;
        }
    }
}

static void example_write(const uint64_t *ours, uint32_t ours_count, const uint64_t *theirs,
                          uint32_t theirs_count, uint32_t flags, bool is_found)
{
    if (atomic_fetch_add(&oracle.examples, 1) >= EXAMPLES_MAX) {
        return;
    }
    out_write("mismatch: flags %u, ours %u frames, theirs %u, origin %s\n", flags, ours_count,
              theirs_count, is_found ? "found" : "not found");
    for (uint32_t i = 0; i < ours_count || i < theirs_count; i++) {
        uint64_t a = i < ours_count ? ours[i] : 0;
        uint64_t b = i < theirs_count ? theirs[i] : 0;
        Dl_info info = {0};
        dladdr((void *)(a != 0 ? a : b), &info);
        out_write("  %2u %#14lx %#14lx %s %s+%#lx %s\n", i, a, b, a == b ? " " : "<>",
                  info.dli_fname ? info.dli_fname : "?",
                  (a != 0 ? a : b) - (uintptr_t)info.dli_fbase,
                  info.dli_sname ? info.dli_sname : "");
    }
}

static void check(struct oracle_thread *thread, const struct capture_origin *origin, uint32_t id,
                  bool is_uncached)
{
    uint64_t ours[DEPTH];
    uint64_t theirs[DEPTH];
    uint32_t flags = 0;
    bool is_found;
    uint32_t ours_count =
        stack_table_read(&oracle.arena, oracle.image, id, ours, DEPTH, &flags, NULL);
    bool is_switched = is_uncached && oracle.uncached_every > 1;
    if (is_switched) {
        oracle.set_caching_policy(*oracle.local_addr_space, UNW_CACHE_NONE);
    }
    uint32_t theirs_count = libunwind_walk(origin, theirs, &is_found);
    if (is_switched) {
        oracle.set_caching_policy(*oracle.local_addr_space, UNW_CACHE_GLOBAL);
    }
    thread->figures.checked_uncached += is_uncached;
    thread->figures.checked++;
    bool is_equal = ours_count == theirs_count && is_found
                    && memcmp(ours, theirs, ours_count * sizeof *ours) == 0;
    if ((flags & ARENA_STACK_APPROXIMATE) != 0) {
        thread->figures.approximate++;
        thread->figures.approximate_differ += !is_equal;
        if (!is_equal && oracle.shows_guesses) {
            example_write(ours, ours_count, theirs, theirs_count, flags, is_found);
        }
    } else if (!is_equal) {
        thread->figures.mismatches++;
        example_write(ours, ours_count, theirs, theirs_count, flags, is_found);
    }
}

static inline uint64_t cycles(void)
{
    unsigned ignored;
    _mm_lfence();
    uint64_t now = __rdtscp(&ignored);
    _mm_lfence();
    return now;
}

static void timing_add(struct figures *figures, struct timing *timing, uint64_t taken)
{
    if (taken > PREEMPTED_CYCLES) {
        figures->preempted++;
        return;
    }
    timing->calls++;
    timing->cycles += taken - (taken < oracle.timer_cycles ? taken : oracle.timer_cycles);
}

static void time_one(struct oracle_thread *thread, const struct capture_origin *origin)
{
    struct figures *figures = &thread->figures;
    if ((figures->captures / oracle.block) % 2 == 0) {
        struct kept_stack *stack = &thread->capture->stack;
        uint32_t stacks = stack_table_end(oracle.image);
        uint32_t walks = thread->capture->walks;
        uint64_t start = cycles();
        uint32_t id = capture_stack(thread->capture, origin);
        uint64_t taken = cycles() - start;
        enum ours_kind kind = thread->capture->walks == walks           ? OURS_MEMO
                              : stacks == stack_table_end(oracle.image) ? OURS_WALKED
                                                                        : OURS_NEW_STACK;
        timing_add(figures, &figures->ours[kind], taken);
        figures->walked += kind == OURS_MEMO ? 0 : stack->walked_count;
        figures->no_id += id == 0;
    } else {
        void *pc[DEPTH];
        if (thread->is_inside) {
            return; /* libunwind allocates its thread-local storage on first use */
        }
        thread->is_inside = true;
        uint64_t start = cycles();
        int count = oracle.backtrace(pc, DEPTH);
        thread->is_inside = false;
        timing_add(figures, &figures->theirs, cycles() - start);
        figures->frames += (uint64_t)count;
    }
}

__attribute__((noinline)) static void event(const struct capture_origin *origin)
{
    int saved_errno = errno;
    if (self == NULL) {
        self = thread_new();
    }
    if (self == NULL) {
        return;
    }
    struct oracle_thread *thread = self;
    thread->figures.captures++;
    if (oracle.mode == MODE_TIME) {
        time_one(thread, origin);
    } else {
        bool is_nested = thread->capture->busy_cfa != 0;
        uint32_t walks = thread->capture->walks;
        uint32_t id = capture_stack(thread->capture, origin);
        thread->figures.nested += is_nested;
        thread->figures.errno_changed += errno != saved_errno;
        thread->figures.no_id += id == 0;
        if (thread->capture->walks != walks) {
            thread->figures.walked += thread->capture->stack.walked_count;
        } else if (!is_nested) {
            thread->figures.memo_hits++;
        }
        uint64_t number = thread->figures.captures;
        if (number % oracle.every == 0 && !thread->is_inside) {
            thread->is_inside = true;
            check(thread, origin, id,
                  oracle.uncached_every != 0 && number / oracle.every % oracle.uncached_every == 0);
            thread->is_inside = false;
        }
    }
    errno = saved_errno;
}

#define EVENT()                                                                                    \
    do {                                                                                           \
        if (oracle.is_ready) {                                                                     \
            struct capture_origin at;                                                              \
            CAPTURE_ORIGIN_HERE(at);                                                               \
            event(&at);                                                                            \
        }                                                                                          \
    } while (0)

EXPORT void *malloc(size_t size)
{
    void *block = __libc_malloc(size);
    EVENT();
    return block;
}

EXPORT void *calloc(size_t count, size_t size)
{
    void *block = __libc_calloc(count, size);
    EVENT();
    return block;
}

EXPORT void *realloc(void *old, size_t size)
{
    void *block = __libc_realloc(old, size);
    EVENT();
    return block;
}

EXPORT void free(void *block)
{
    __libc_free(block);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
    void *block = __libc_memalign(alignment, size);
    EVENT();
    return block;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    void *block = __libc_memalign(alignment, size);
    EVENT();
    return block;
}

EXPORT int posix_memalign(void **result, size_t alignment, size_t size)
{
    void *block = __libc_memalign(alignment, size);
    EVENT();
    *result = block;
    return block == NULL && size != 0 ? ENOMEM : 0;
}

/* glibc has no other name for it. Source: malloc/malloc.c, struct malloc_chunk. */
EXPORT size_t malloc_usable_size(void *block)
{
    if (block == NULL) {
        return 0;
    }
    size_t head = ((size_t *)block)[-1];
    return (head & ~(size_t)7) - ((head & 2) != 0 ? 16 : 8);
}

EXPORT int dlclose(void *handle)
{
    static int (*real_dlclose)(void *);
    if (real_dlclose == NULL) {
        *(void **)&real_dlclose = dlsym(RTLD_NEXT, "dlclose");
    }
    int result = real_dlclose(handle);
    if (oracle.is_ready && oracle.tells_close) {
        capture_modules_changed();
    }
    return result;
}

/* For programs that test the oracle's subject: a capture without an allocation, which a
 * signal handler may ask for too. */
EXPORT void unwind_oracle_capture(void);
EXPORT void unwind_oracle_capture(void)
{
    EVENT();
}

/* After a longjmp out of a handler that may have interrupted a check. */
EXPORT void unwind_oracle_reset(void);
EXPORT void unwind_oracle_reset(void)
{
    if (self != NULL) {
        self->is_inside = false;
    }
}

static uint64_t option_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void libunwind_open(void)
{
    void *library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "oracle: libunwind.so.8: %s\n", dlerror());
        abort();
    }
    *(void **)&oracle.getcontext = dlsym(library, "_Ux86_64_getcontext");
    *(void **)&oracle.init_local = dlsym(library, "_ULx86_64_init_local");
    *(void **)&oracle.step = dlsym(library, "_ULx86_64_step");
    *(void **)&oracle.get_reg = dlsym(library, "_ULx86_64_get_reg");
    *(void **)&oracle.is_signal_frame = dlsym(library, "_ULx86_64_is_signal_frame");
    *(void **)&oracle.set_caching_policy = dlsym(library, "_ULx86_64_set_caching_policy");
    *(void **)&oracle.backtrace = dlsym(library, "unw_backtrace");
    *(void **)&oracle.local_addr_space = dlsym(library, "_ULx86_64_local_addr_space");
}

static void arena_make(void)
{
    struct arena_header *header = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
                                       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (header == MAP_FAILED) {
        abort();
    }
    header->magic = ARENA_MAGIC;
    header->version = ARENA_VERSION;
    header->header_bytes = sizeof *header;
    header->size_bytes = ARENA_BYTES;
    header->config.depth_max = DEPTH;
    header->used_bytes = (sizeof *header + ARENA_EXTENT_BYTES - 1) & ~(ARENA_EXTENT_BYTES - 1);
    oracle.arena = (struct arena){.header = header, .mapped_bytes = ARENA_BYTES};
    uint64_t image = arena_extent_new(&oracle.arena, sizeof(struct arena_image));
    uint64_t process = arena_extent_new(&oracle.arena, sizeof(struct arena_process));
    oracle.image = arena_at(&oracle.arena, image, sizeof(struct arena_image));
    oracle.process = arena_at(&oracle.arena, process, sizeof(struct arena_process));
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* The median of what timing nothing takes. */
static uint64_t timer_cost(void)
{
    enum { COUNT = 2001 };
    uint64_t taken[COUNT];
    for (int i = 0; i < COUNT; i++) {
        uint64_t start = cycles();
        taken[i] = cycles() - start;
    }
    qsort(taken, COUNT, sizeof *taken, compare_numbers);
    return taken[COUNT / 2];
}

__attribute__((constructor)) static void oracle_start(void)
{
    const char *mode = getenv("ORACLE_MODE");
    const char *out = getenv("ORACLE_OUT");
    if (mode == NULL || out == NULL || strcmp(mode, "off") == 0) {
        return;
    }
    snprintf(oracle.out, sizeof oracle.out, "%s", out);
    oracle.mode = strcmp(mode, "time") == 0 ? MODE_TIME : MODE_CHECK;
    oracle.every = option_number("ORACLE_EVERY", 1);
    oracle.uncached_every = option_number("ORACLE_UNCACHED", 100000);
    oracle.block = option_number("ORACLE_BLOCK", 4096);
    oracle.tells_close = option_number("ORACLE_TELL_CLOSE", 1) != 0;
    oracle.shows_guesses = option_number("ORACLE_SHOW_GUESSES", 0) != 0;
    libunwind_open();
    if (oracle.uncached_every == 1) {
        oracle.set_caching_policy(*oracle.local_addr_space, UNW_CACHE_NONE);
    }
    arena_make();
    if (capture_start(&oracle.arena, oracle.image, oracle.process) != 0) {
        abort();
    }
    oracle.timer_cycles = timer_cost();
    oracle.is_ready = true;
}

static double ghz(void)
{
    struct timespec before;
    struct timespec after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    uint64_t start = cycles();
    do {
        clock_gettime(CLOCK_MONOTONIC, &after);
    } while ((after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec
             < 20000000L);
    uint64_t taken = cycles() - start;
    return (double)taken
           / (double)((after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec
                      - before.tv_nsec);
}

static double timing_ns(const struct timing *timing, double rate)
{
    return timing->calls == 0 ? 0 : (double)timing->cycles / (double)timing->calls / rate;
}

static void times_write(const struct figures *total, const char *name)
{
    double rate = ghz();
    struct timing ours = {0};
    for (int i = 0; i < OURS_KINDS; i++) {
        ours.calls += total->ours[i].calls;
        ours.cycles += total->ours[i].cycles;
    }
    double ours_ns = timing_ns(&ours, rate);
    double theirs_ns = timing_ns(&total->theirs, rate);
    double share = ours.calls == 0 ? 0 : 100.0 / (double)ours.calls;
    /* Below the hook's caller libunwind sees three frames of this library. */
    double depth =
        total->theirs.calls == 0 ? 0 : (double)total->frames / (double)total->theirs.calls - 3;
    out_write(
        "time %s captures %lu depth %.1f ours %.1f ns unw_backtrace %.1f ns ratio %.3f | memo "
        "%.1f%% %.1f ns, walked %.1f%% %.1f ns, new %.2f%% %.0f ns | new frames %.2f stacks "
        "%u no_id %lu preempted %lu\n",
        name, total->captures, depth, ours_ns, theirs_ns, theirs_ns == 0 ? 0 : ours_ns / theirs_ns,
        (double)total->ours[0].calls * share, timing_ns(&total->ours[0], rate),
        (double)total->ours[1].calls * share, timing_ns(&total->ours[1], rate),
        (double)total->ours[2].calls * share, timing_ns(&total->ours[2], rate),
        ours.calls == 0 ? 0 : (double)total->walked / (double)ours.calls,
        stack_table_end(oracle.image), total->no_id, total->preempted);
}

__attribute__((destructor)) static void oracle_end(void)
{
    if (!oracle.is_ready) {
        return;
    }
    oracle.is_ready = false;
    struct figures total = {0};
    for (struct oracle_thread *thread = oracle.threads; thread != NULL; thread = thread->next) {
        const uint64_t *from = (const uint64_t *)&thread->figures;
        uint64_t *to = (uint64_t *)&total;
        for (size_t i = 0; i < sizeof total / sizeof *to; i++) {
            to[i] += from[i];
        }
    }
    char name[64] = "?";
    int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t length = read(fd, name, sizeof name - 1);
        name[length > 1 ? length - 1 : 0] = '\0';
        close(fd);
    }
    if (oracle.mode == MODE_TIME) {
        times_write(&total, name);
        return;
    }
    out_write(
        "check %s captures %lu checked %lu uncached %lu mismatches %lu approximate %lu"
        " differing %lu no_id %lu nested %lu errno %lu memo_hits %lu new_frames %.2f stacks %u\n",
        name, total.captures, total.checked, total.checked_uncached, total.mismatches,
        total.approximate, total.approximate_differ, total.no_id, total.nested, total.errno_changed,
        total.memo_hits, total.captures == 0 ? 0 : (double)total.walked / (double)total.captures,
        stack_table_end(oracle.image));
}
