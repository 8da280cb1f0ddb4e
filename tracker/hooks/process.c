/*
 * The process's beginning and end, and its threads' beginning.
 */
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <threads.h>
#include <unistd.h>

#include "census/census.h"
#include "core/announced.h"
#include "core/cpu_timer.h"
#include "core/ending.h"
#include "core/raw_syscall.h"
#include "core/thread_start.h"
#include "hooks/hook.h"

#define LOCAL_DISTANCE_MAX_BYTES (UINT64_C(1) << 20) /* static thread-local data are less */

/* exit() and return from main come here last: this was registered before anything that
 * the program registers. */
static void at_exit(int status, void *argument)
{
    (void)argument;
    struct capture_origin origin;
    CAPTURE_ORIGIN_HERE(origin);
    ending_note();
    census_at_exit(&origin, false);
    process_exiting(status);
}

/* Returns whether a library with this name is loaded. Not by dlsym: when that finds
 * nothing it allocates its error message, as if the program had. */
static bool is_loaded(const char *name)
{
    for (const struct link_map *map = _r_debug.r_map; map != NULL; map = map->l_next) {
        if (map->l_name != NULL && strstr(map->l_name, name) != NULL) {
            return true;
        }
    }
    return false;
}

typedef int mallctl_function(const char *, void *, size_t *, void *, size_t);
static mallctl_function *jemalloc_control;

static void jemalloc_read(const char *name, _Atomic uint64_t *figure)
{
    size_t value = 0;
    size_t length = sizeof value;
    if (jemalloc_control(name, &value, &length, NULL, 0) == 0) {
        atomic_store_explicit(figure, value, memory_order_relaxed);
    }
}

/* Source: jemalloc(3), "MALLCTL NAMESPACE", stats.*. */
static void read_jemalloc(struct arena_allocator_figures *figures)
{
    uint64_t epoch = 1;
    jemalloc_control("epoch", NULL, NULL, &epoch, sizeof epoch); /* refreshes the figures */
    jemalloc_read("stats.allocated", &figures->allocated_bytes);
    jemalloc_read("stats.active", &figures->active_bytes);
    jemalloc_read("stats.resident", &figures->resident_bytes);
    jemalloc_read("stats.retained", &figures->retained_bytes);
    jemalloc_read("stats.metadata", &figures->metadata_bytes);
}

/* glibc's counterparts. Source: mallinfo(3). */
static void read_glibc(struct arena_allocator_figures *figures)
{
    struct mallinfo2 info = mallinfo2();
    atomic_store_explicit(&figures->allocated_bytes, info.uordblks + info.hblkhd,
                          memory_order_relaxed);
    atomic_store_explicit(&figures->active_bytes, info.arena + info.hblkhd, memory_order_relaxed);
    atomic_store_explicit(&figures->retained_bytes, info.fordblks, memory_order_relaxed);
}

static void note_allocator(void)
{
    char name[64] = "";
    char *end = name;
    const char *parts[2] = {"glibc ", gnu_get_libc_version()};
    if (is_loaded("libjemalloc")) {
        *(void **)&jemalloc_control = dlsym(RTLD_NEXT, "mallctl");
        const char *version = "";
        size_t length = sizeof version;
        if (jemalloc_control != NULL) {
            jemalloc_control("version", &version, &length, NULL, 0);
            process_cold.read_allocator = read_jemalloc;
        }
        parts[0] = "jemalloc ";
        parts[1] = version;
    } else if (is_loaded("libtcmalloc")) {
        parts[0] = "tcmalloc";
        parts[1] = "";
    } else if (is_loaded("libmimalloc")) {
        parts[0] = "mimalloc";
        parts[1] = "";
    } else {
        process_cold.read_allocator = read_glibc;
        process_cold.read_allocator_walks = true;
    }
    for (size_t i = 0; i < 2; i++) {
        for (const char *text = parts[i]; *text != '\0' && end < name + sizeof name - 1; text++) {
            *end++ = *text;
        }
    }
    *end = '\0';
    process_set_allocator(name);
}

/* Where the allocator's library has its thread-local data, if at a fixed distance from the thread
 * pointer, as libraries have that are loaded with the program. */
static void find_allocator_local(void)
{
    Dl_info info;
    Dl_info libc;
    struct link_map *map = NULL;
    void *data = NULL;
    if (dladdr1((void *)(uintptr_t)real.malloc, &info, (void **)&map, RTLD_DL_LINKMAP) == 0
        || map == NULL || dladdr((void *)(uintptr_t)gnu_get_libc_version, &libc) == 0
        || info.dli_fbase == libc.dli_fbase || dlinfo(map, RTLD_DI_TLS_DATA, &data) != 0
        || data == NULL) {
        return;
    }
    const Elf64_Ehdr *header = info.dli_fbase;
    const Elf64_Phdr *segments =
        (const Elf64_Phdr *)(const void *)((const char *)info.dli_fbase + header->e_phoff);
    uintptr_t thread_pointer = (uintptr_t)__builtin_thread_pointer();
    for (unsigned i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_TLS && (uintptr_t)data < thread_pointer
            && thread_pointer - (uintptr_t)data < LOCAL_DISTANCE_MAX_BYTES) {
            census_set_allocator_local(thread_pointer - (uintptr_t)data, segments[i].p_memsz);
        }
    }
}

__attribute__((constructor(101))) static void start(int argument_count, char **arguments)
{
    if (!real_ready()) {
        return;
    }
    CPU_MARK_ENTER(); /* until all is set up */
    struct thread *thread = thread_enter();
    if (process_cold.is_refused || process_cold.process == NULL) {
        return;
    }
    process_set_arguments(argument_count, arguments);
    note_allocator();
    if ((uintptr_t)dlsym(RTLD_DEFAULT, "malloc") != (uintptr_t)malloc) {
        /* The executable has its own: none of our names is called. */
        atomic_store_explicit(&process_cold.process->untracked_reason, ARENA_UNTRACKED_OWN_MALLOC,
                              memory_order_relaxed);
    }
    thread_start_tracking_ends();
    on_exit(at_exit, NULL);
    census_set_allocator((uintptr_t)gnu_get_libc_version, (uintptr_t)real.malloc);
    find_allocator_local();
    /* Blocks in it are the program's, and hold its pointers. */
    announced_root_add((uintptr_t)boot_arena, BOOT_ARENA_BYTES);
    census_open();
    if (cpu_timer_is_on()) {
        pthread_atfork(NULL, NULL, cpu_timer_forked);
    }
    struct capture_origin origin;
    CAPTURE_ORIGIN_HERE(origin);
    cpu_mark_leave(thread, 0, &origin);
    if (thread != NULL) {
        thread_leave(thread);
    }
}

HOOK_EXPORT void _exit(int status)
{
    struct capture_origin origin;
    CAPTURE_ORIGIN_HERE(origin);
    ending_note();
    census_at_exit(&origin, true);
    process_exiting(status);
    for (;;) {
        raw_syscall3(SYS_exit_group, status, 0, 0);
    }
}

HOOK_EXPORT void _Exit(int status)
{
    _exit(status);
}

HOOK_EXPORT void quick_exit(int status)
{
    static void (*next)(int);
    struct capture_origin origin;
    CAPTURE_ORIGIN_HERE(origin);
    ending_note();
    census_at_exit(&origin, false);
    process_exiting(status);
    if (next == NULL) {
        *(void **)&next = real_find("quick_exit");
    }
    if (next != NULL) {
        next(status);
    }
    _exit(status);
}

/* ---- threads -------------------------------------------------------------- */

/* Before there is a second thread, totals become shared. With CPU samples the thread takes
 * its record, and with that its timer, before the program's function runs. */
HOOK_EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                               void *(*start_routine)(void *), void *argument)
{
    static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (next == NULL) {
        *(void **)&next = real_find("pthread_create");
    }
    if (process_hot.is_tracking == 0) {
        return next(thread, attributes, start_routine, argument);
    }
    process_set_shared();
    struct thread_start *start = cpu_timer_is_on() ? real.malloc(sizeof *start) : NULL;
    if (start == NULL) {
        int error = next(thread, attributes, start_routine, argument);
        census_reopen(); /* the first one sets glibc's handlers */
        return error;
    }
    *start =
        (struct thread_start){.routine = start_routine, .argument = argument, .release = real.free};
    int error = next(thread, attributes, thread_start_run, start);
    census_reopen();
    if (error != 0) {
        real.free(start);
    }
    return error;
}

HOOK_EXPORT int thrd_create(thrd_t *thread, thrd_start_t start_routine, void *argument)
{
    static int (*next)(thrd_t *, thrd_start_t, void *);
    if (next == NULL) {
        *(void **)&next = real_find("thrd_create");
    }
    if (process_hot.is_tracking == 0) {
        return next(thread, start_routine, argument);
    }
    process_set_shared();
    struct thread_start *start = cpu_timer_is_on() ? real.malloc(sizeof *start) : NULL;
    if (start == NULL) {
        return next(thread, start_routine, argument);
    }
    *start = (struct thread_start){
        .c11_routine = start_routine, .argument = argument, .release = real.free};
    int result = next(thread, thread_start_run_c11, start);
    if (result != thrd_success) {
        real.free(start);
    }
    return result;
}

/* glibc sets its handler for cancellations when the first is asked for: on ours. */
HOOK_EXPORT int pthread_cancel(pthread_t thread)
{
    static int (*next)(pthread_t);
    if (next == NULL) {
        *(void **)&next = real_find("pthread_cancel");
    }
    int error = next(thread);
    cpu_timer_reinstall();
    return error;
}

/* ---- seccomp -------------------------------------------------------------- */

/* What a filter may end the program for is not done from now on. */
static void confinement_begins(void)
{
    cpu_timer_end();
    census_forbid("the program confined itself with seccomp");
    live_map_confine();
}

HOOK_EXPORT int prctl(int option, ...)
{
    static int (*next)(int, ...);
    if (next == NULL) {
        *(void **)&next = real_find("prctl");
    }
    if (option == PR_SET_SECCOMP) {
        confinement_begins();
    }
    va_list list;
    va_start(list, option);
    unsigned long arguments[4]; /* as many as the kernel takes; unused ones are not looked at */
    for (size_t i = 0; i < 4; i++) {
        arguments[i] = va_arg(list, unsigned long);
    }
    va_end(list);
    return next(option, arguments[0], arguments[1], arguments[2], arguments[3]);
}

static void *syscall_next __attribute__((used));

static void __attribute__((used)) syscall_prepare(long number, long operation)
{
    if (syscall_next == NULL) {
        syscall_next = real_find("syscall");
    }
    if (number == SYS_seccomp && operation != SECCOMP_GET_ACTION_AVAIL
        && operation != SECCOMP_GET_NOTIF_SIZES) {
        confinement_begins();
    }
}

/* Naked: programs make clones and vforks by it, which a frame of ours would break. */
HOOK_EXPORT __attribute__((naked)) long syscall(long number __attribute__((unused)), ...)
{
    __asm__("cmp %0, %%rdi\n\t"
            "je 1f\n\t"
            "mov syscall_next(%%rip), %%rax\n\t"
            "test %%rax, %%rax\n\t"
            "jne 2f\n\t"
            "1: push %%rdi\n\t"
            "push %%rsi\n\t"
            "push %%rdx\n\t"
            "push %%rcx\n\t"
            "push %%r8\n\t"
            "push %%r9\n\t"
            "sub $8, %%rsp\n\t"
            "call syscall_prepare\n\t"
            "add $8, %%rsp\n\t"
            "pop %%r9\n\t"
            "pop %%r8\n\t"
            "pop %%rcx\n\t"
            "pop %%rdx\n\t"
            "pop %%rsi\n\t"
            "pop %%rdi\n\t"
            "mov syscall_next(%%rip), %%rax\n\t"
            "2: jmp *%%rax"
            :
            : "i"(SYS_seccomp));
}

/* dlopen is not hooked: it finds libraries by who calls it. */
HOOK_EXPORT int dlclose(void *library)
{
    static int (*next)(void *);
    if (next == NULL) {
        *(void **)&next = real_find("dlclose");
    }
    int result = next(library);
    if (result == 0 && process_hot.is_tracking != 0) {
        capture_modules_changed();
    }
    return result;
}
