/*
 * unwind_oracle/edges.c - the places where unwinders go wrong, one per name.
 *
 * usage: unwind_edges NAME [COUNT]   run with libunwind_oracle.so preloaded. Captures are
 * asked for by unwind_oracle_capture(), so that signal handlers may, and by malloc.
 * Ends with status 0 when it came through; what the captures were worth is the oracle's
 * to say.
 */
#include <alloca.h>
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

extern void unwind_oracle_capture(void) __attribute__((weak));
extern void unwind_oracle_reset(void) __attribute__((weak));
extern int edges_lazy_call(int) __attribute__((weak));

static volatile int sink;
static volatile bool use_malloc;

NOINLINE static void capture(void)
{
    if (unwind_oracle_capture != NULL) {
        unwind_oracle_capture();
    }
    if (use_malloc) {
        free(malloc(16));
    }
    sink++;
}

/* Recursion whose frames differ in size and in what they do with rbp. */
NOINLINE static int walk_plain(int depth, unsigned seed);

NOINLINE static int walk_alloca(int depth, unsigned seed)
{
    volatile char *room = alloca(8 + seed % 200);
    room[0] = (char)depth;
    capture();
    return walk_plain(depth - 1, seed * 1103515245u + 12345u) + room[0];
}

NOINLINE static int walk_aligned(int depth, unsigned seed, int a, int b, int c, int d, int on_stack)
{
    _Alignas(64) volatile char line[64];
    volatile char *room = alloca(16 + seed % 64);
    line[0] = (char)(a + b + c + d);
    room[0] = (char)on_stack;
    capture();
    return walk_plain(depth - 1, seed * 1103515245u + 12345u) + line[0] + room[0];
}

NOINLINE static int walk_big(int depth, unsigned seed)
{
    volatile char room[150 * 1024]; /* more than a packed rule can say */
    room[0] = (char)depth;
    capture();
    return walk_plain(depth - 3, seed * 1103515245u + 12345u) + room[0];
}

NOINLINE static int walk_plain(int depth, unsigned seed)
{
    capture();
    if (depth <= 0) {
        return 0;
    }
    switch (seed >> 28) {
    case 0:
    case 1:
        return walk_alloca(depth, seed) + 1;
    case 2:
    case 3:
        return walk_aligned(depth, seed, 1, 2, 3, 4, 5) + 1;
    case 4:
        return walk_big(depth, seed) + 1;
    default:
        return walk_plain(depth - 1, seed * 1103515245u + 12345u) + 1;
    }
}

static void frames_of_all_kinds(int count)
{
    for (int i = 0; i < count; i++) {
        walk_plain(i % 30, (unsigned)i * 2654435761u);
    }
}

static void deeper_than_kept(int count)
{
    for (int i = 0; i < count; i++) {
        walk_plain(100 + i * 37 % 300, (unsigned)i * 2654435761u & 0x0fffffffu);
    }
}

/* Up and down around the greatest depth kept, where stacks become cut and whole again. */
NOINLINE static int swing(int depth, int low, int high, int times)
{
    capture();
    if (depth < high) {
        sink += swing(depth + 1, low, high, times);
        capture();
        if (depth > low && times > 0) {
            sink += swing(depth + 1, low, depth + 1 + times % 5, times - 1);
        }
    }
    capture();
    return depth;
}

static void around_the_limit(int count)
{
    for (int i = 0; i < count; i++) {
        swing(0, 110, 118 + i % 20, 3);
    }
}

/* ---- coroutines ------------------------------------------------------------ */

static ucontext_t scheduler;
static ucontext_t routine;
static volatile unsigned routine_seed;

static void routine_body(void)
{
    walk_plain((int)(routine_seed % 12), routine_seed);
    swapcontext(&routine, &scheduler);
    walk_plain((int)(routine_seed % 7), routine_seed * 7u);
}

/* Each coroutine gets a stack whose neighbours are unmapped, and loses it afterwards;
 * the next one mostly gets the same addresses. */
static void unmapped_stacks(int count)
{
    for (volatile int i = 0; i < count; i++) {
        size_t bytes = 1024u * 1024u;
        size_t guard = 65536;
        char *area = mmap(NULL, bytes + 2 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(area + guard, bytes, PROT_READ | PROT_WRITE);
        routine_seed = (unsigned)i * 2654435761u;
        getcontext(&routine);
        routine.uc_stack.ss_sp = area + guard;
        routine.uc_stack.ss_size = bytes;
        routine.uc_link = &scheduler;
        makecontext(&routine, routine_body, 0);
        swapcontext(&scheduler, &routine);
        capture();
        if (i % 3 != 0) {
            swapcontext(&scheduler, &routine);
        }
        munmap(area, bytes + 2 * guard);
        capture();
        walk_plain(i % 9, (unsigned)i);
    }
}

/* ---- signals ----------------------------------------------------------------- */

static void handler_captures(int number)
{
    (void)number;
    capture();
    walk_plain(3, 99);
}

static void handler_set(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void handler_raises(int number)
{
    (void)number;
    capture();
    raise(SIGUSR2);
}

NOINLINE static void raise_at_depth(int depth, int number)
{
    volatile char room[40];
    room[0] = (char)depth;
    if (depth == 0) {
        raise(number);
    } else {
        raise_at_depth(depth - 1, number);
    }
    capture();
    sink += room[0];
}

static void altstack_install(void)
{
    stack_t stack = {.ss_sp = malloc(262144), .ss_size = 262144};
    sigaltstack(&stack, NULL);
}

static void signal_frames(int count)
{
    altstack_install();
    handler_set(SIGUSR2, handler_captures, 0);
    for (int i = 0; i < count; i++) {
        handler_set(SIGUSR1, i % 2 ? handler_raises : handler_captures, i % 3 ? 0 : SA_ONSTACK);
        raise_at_depth(i % 10, SIGUSR1);
    }
}

static sigjmp_buf jump;

static void handler_jumps(int number)
{
    (void)number;
    capture();
    if (sink % 3 == 0) {
        siglongjmp(jump, 1);
    }
}

/* A timer interrupts captures at every instruction; its handler captures and often
 * jumps away for good. */
static void jump_out_of_captures(int count)
{
    altstack_install();
    handler_set(SIGPROF, handler_jumps, SA_ONSTACK);
    struct itimerval interval = {.it_interval = {0, 1000}, .it_value = {0, 1000}};
    setitimer(ITIMER_PROF, &interval, NULL);
    for (volatile int i = 0; i < count; i++) {
        if (sigsetjmp(jump, 1) != 0 && unwind_oracle_reset != NULL) {
            unwind_oracle_reset();
        }
        walk_plain(i % 25, (unsigned)i * 2654435761u);
    }
    memset(&interval, 0, sizeof interval);
    setitimer(ITIMER_PROF, &interval, NULL);
}

/* Threads of a program's own making, switched by a timer in the middle of captures. */
static ucontext_t preempted[4];
static volatile int preempted_now;

static void handler_switches(int number)
{
    (void)number;
    int from = preempted_now;
    capture();
    preempted_now = (from + 1) % 4;
    swapcontext(&preempted[from], &preempted[preempted_now]);
}

static volatile int preempted_count;

static void preempted_body(void)
{
    for (unsigned i = 0;; i++) {
        walk_plain((int)(i % 11), i * 2654435761u & 0x3fffffffu);
        preempted_count--;
    }
}

static void preempted_coroutines(int count)
{
    preempted_count = count;
    for (int i = 1; i < 4; i++) {
        getcontext(&preempted[i]);
        preempted[i].uc_stack.ss_sp = malloc(1 << 20);
        preempted[i].uc_stack.ss_size = 1 << 20;
        makecontext(&preempted[i], preempted_body, 0);
    }
    handler_set(SIGPROF, handler_switches, 0);
    struct itimerval interval = {.it_interval = {0, 1000}, .it_value = {0, 1000}};
    setitimer(ITIMER_PROF, &interval, NULL);
    for (unsigned i = 0; preempted_count > 0; i++) {
        walk_plain((int)(i % 13), i * 40503u & 0x3fffffffu);
        preempted_count--;
    }
    handler_set(SIGPROF, SIG_IGN, 0);
}

static void handler_overflow(int number)
{
    (void)number;
    capture();
    siglongjmp(jump, 1);
}

NOINLINE static int overflow(int depth)
{
    volatile char room[2000];
    room[0] = (char)depth;
    if (depth % 64 == 0) {
        capture();
    }
    return depth < 0 ? 0 : overflow(depth + 1) + room[0];
}

static void stack_overflow(int count)
{
    altstack_install();
    handler_set(SIGSEGV, handler_overflow, SA_ONSTACK);
    for (volatile int i = 0; i < count; i++) {
        if (sigsetjmp(jump, 1) == 0) {
            overflow(1);
        }
        if (unwind_oracle_reset != NULL) {
            unwind_oracle_reset();
        }
        capture();
    }
}

/* ---- calls that do not return --------------------------------------------------- */

static jmp_buf plain_jump;

__attribute__((noreturn)) NOINLINE static void leaves(int value)
{
    capture();
    longjmp(plain_jump, value);
}

/* The call is the function's last instruction: its return address is the next function's. */
NOINLINE static void ends_with_a_call(int value)
{
    volatile char room[24];
    room[0] = (char)value;
    leaves(value + (room[0] & 0));
}

static void noreturn_at_the_end(int count)
{
    for (volatile int i = 0; i < count; i++) {
        if (setjmp(plain_jump) == 0) {
            ends_with_a_call(1 + i);
        }
        capture();
    }
}

/* ---- modules ------------------------------------------------------------------------ */

static char *sibling(const char *name, char *buffer, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", buffer, size - 64);
    buffer[length < 0 ? 0 : length] = '\0';
    strcpy(strrchr(buffer, '/') + 1, name);
    return buffer;
}

/* Two libraries of the same size and layout, whose frames are not. */
static void replaced_modules(int count)
{
    char path[4096];
    for (int i = 0; i < count; i++) {
        void *library = dlopen(
            sibling(i % 2 ? "libedges_one.so" : "libedges_two.so", path, sizeof path), RTLD_NOW);
        if (library == NULL) {
            fprintf(stderr, "edges: %s\n", dlerror());
            exit(2);
        }
        void (*call)(void (*)(void), int);
        *(void **)&call = dlsym(library, "edges_plugin");
        for (int turn = 0; turn < 3; turn++) {
            call(capture, i % 5);
        }
        dlclose(library);
        capture();
    }
}

/* An IFUNC that is resolved at its first call: ld.so's trampoline has its CFA in rbx. */
static void lazy_binding(int count)
{
    char path[4096];
    use_malloc = true;
    for (int i = 0; i < count; i++) {
        void *library = dlopen(sibling("libedges_lazy.so", path, sizeof path), RTLD_LAZY);
        if (library == NULL) {
            fprintf(stderr, "edges: %s\n", dlerror());
            exit(2);
        }
        int (*call)(int);
        *(void **)&call = dlsym(library, "edges_lazy_call");
        sink += call(i);
        dlclose(library);
    }
}

/* ---- generated code -------------------------------------------------------------------- */

/* With a frame pointer:  push rbp; mov rbp, rsp; call rdi; pop rbp; ret
 * without:               push rbx; sub rsp, 32; call rdi; add rsp, 32; pop rbx; ret
 * with rbp as a number:  push rbp; mov rbp, rdi (or 1); call rdi; pop rbp; ret */
static const unsigned char code_frame[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
static const unsigned char code_plain[] = {0x53, 0x48, 0x83, 0xec, 0x20, 0xff, 0xd7,
                                           0x48, 0x83, 0xc4, 0x20, 0x5b, 0xc3};
static const unsigned char code_number[] = {0x55, 0x48, 0x89, 0xfd, 0xff, 0xd7, 0x5d, 0xc3};

static void generated_code(int count)
{
    unsigned char *code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(code, code_frame, sizeof code_frame);
    memcpy(code + 64, code_plain, sizeof code_plain);
    memcpy(code + 128, code_number, sizeof code_number);
    for (int i = 0; i < count; i++) {
        void (*call)(void (*)(void)) = (void (*)(void (*)(void)))(uintptr_t)(code + i % 3 * 64);
        call(capture);
    }
}

/* ---- threads ---------------------------------------------------------------------------- */

static pthread_key_t key;

static void key_destructor(void *value)
{
    capture();
    free(value);
}

static void *thread_body(void *argument)
{
    pthread_setspecific(key, malloc(10));
    walk_plain((int)((uintptr_t)argument % 15),
               (unsigned)(uintptr_t)argument * 2654435761u & 0x3fffffffu);
    return NULL;
}

static void many_threads(int count)
{
    pthread_key_create(&key, key_destructor);
    use_malloc = true;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 20);
    for (int done = 0; done < count;) {
        pthread_t threads[300];
        int n = 0;
        while (
            n < 300 && done + n < count
            && pthread_create(&threads[n], &attributes, thread_body, (void *)(uintptr_t)(done + n))
                   == 0) {
            n++;
        }
        if (n == 0) {
            exit(3);
        }
        for (int i = 0; i < n; i++) {
            pthread_join(threads[i], NULL);
        }
        done += n;
    }
}

static const struct {
    const char *name;
    void (*run)(int count);
    int count;
} edges[] = {
    {"frames_of_all_kinds", frames_of_all_kinds, 300},
    {"deeper_than_kept", deeper_than_kept, 12},
    {"around_the_limit", around_the_limit, 10},
    {"unmapped_stacks", unmapped_stacks, 200},
    {"signal_frames", signal_frames, 200},
    {"jump_out_of_captures", jump_out_of_captures, 20000},
    {"preempted_coroutines", preempted_coroutines, 200000},
    {"stack_overflow", stack_overflow, 3},
    {"noreturn_at_the_end", noreturn_at_the_end, 500},
    {"replaced_modules", replaced_modules, 40},
    {"lazy_binding", lazy_binding, 10},
    {"generated_code", generated_code, 300},
    {"many_threads", many_threads, 1200},
};

int main(int argument_count, char **arguments)
{
    for (size_t i = 0; argument_count > 1 && i < sizeof edges / sizeof *edges; i++) {
        if (strcmp(edges[i].name, arguments[1]) == 0) {
            edges[i].run(argument_count > 2 ? atoi(arguments[2]) : edges[i].count);
            return 0;
        }
    }
    fprintf(stderr, "usage: unwind_edges NAME [COUNT]\n");
    return 2;
}
