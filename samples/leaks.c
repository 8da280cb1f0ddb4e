/*
 * leaks.c - where the only pointer to a block can hide, and where there is none.
 *
 * usage: leaks CASE; the blocks in question are those that subject() allocates.
 *
 * Truth
 *   global: reachable 1
 *   static_in_function: reachable 1
 *   none: definite 1
 *   freed_holder: definite 1
 *   stack: reachable 1
 *   dead_stack: definite 1
 *   register: reachable 1
 *   thread_register: reachable 1
 *   vector_register: reachable 2
 *   thread_stack: reachable 1
 *   thread_local: reachable 1
 *   thread_local_of_thread: reachable 1
 *   plugin_thread_local: reachable 1
 *   specific: reachable 1
 *   specific_of_thread: reachable 1
 *   many_specific: reachable 1
 *   coroutine_mapped: reachable 1
 *   coroutine_malloc: reachable 1
 *   plugin_global: reachable 1
 *   closed_plugin: definite 1
 *   mapping: reachable 1
 *   shared_mapping: reachable 1
 *   sealed_mapping: reachable 1
 *   unmapped: definite 1
 *   interior: possible 1
 *   interior_chain: possible 2
 *   behind: definite 1
 *   freed_block: definite 1
 *   guard: reachable 1
 *   cycle: definite 1, indirect 2
 *   cycle_backwards: definite 1, indirect 2
 *   self: definite 1
 *   empty: reachable 1, definite 1
 *   list: definite 1, indirect 999999
 *   constructor: reachable 1
 *   blocked_thread: reachable 1
 *   vfork_thread: reachable 1
 *   traced_thread: reachable 1
 *   traced_thread_local: reachable 1
 *   fork_child: definite 1
 *   main_ends: reachable 1
 *   thread_storm: definite 3
 *   large: definite 1
 *   gigabyte: definite 1
 *   large_held: reachable 1
 *   sparse: reachable 1
 *   protected: reachable 1
 *   quick: definite 1
 *   arena_of_thread: definite 1
 *   exit_in_child: definite 1
 *   tagged_above: reachable 1
 *   tagged_below: reachable 1
 *   compressed: reachable 2
 *   compressed_undeclared: definite 2
 *   tagged_in_block: reachable 2
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <memtrack/memtrack.h>

struct node {
    struct node *next;
    struct node *other;
    char rest[48];
};

static void *volatile global;
static _Thread_local void *volatile local;
static volatile int is_ready;

__attribute__((noinline)) static void *subject(size_t size)
{
    return malloc(size);
}

/* Overwrites what calls have left on the stack below its caller's frame. */
__attribute__((noinline)) static void wipe_stack(void)
{
    volatile char space[16384];
    memset((char *)space, 0, sizeof space);
    __asm__ volatile("" : : "r"(space) : "memory");
}

static void wipe_registers(void)
{
    __asm__ volatile("xor %%ebx, %%ebx\n\txor %%r12d, %%r12d\n\txor %%r13d, %%r13d\n\t"
                     "xor %%r14d, %%r14d\n\txor %%r15d, %%r15d"
                     :
                     :
                     : "rbx", "r12", "r13", "r14", "r15", "rax", "rcx", "rdx", "rsi", "rdi", "r8",
                       "r9", "r10", "r11", "cc");
}

static void wait_until_ready(void)
{
    while (!is_ready) {
        usleep(1000);
    }
}

static pthread_t start(void *(*function)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, NULL) != 0) {
        exit(1);
    }
    wait_until_ready();
    pthread_setname_np(thread, "kept here");
    return thread;
}

static void rest_for_ever(void)
{
    is_ready = 1;
    for (;;) {
        pause();
    }
}

/* ---- one thread ----------------------------------------------------------- */

static void case_global(void) { global = subject(64); }

static void case_static_in_function(void)
{
    static struct {
        char before[1000];
        void *pointer;
    } kept;
    kept.pointer = subject(64);
    __asm__ volatile("" : : "r"(&kept) : "memory");
}

__attribute__((noinline)) static void lose(void) { subject(64); }

static void case_none(void) { lose(); }

__attribute__((noinline)) static void hold_and_free(void)
{
    struct node *holder = malloc(sizeof *holder);
    holder->other = subject(64);
    free(holder);
}

static void case_freed_holder(void) { hold_and_free(); }

static void case_stack(void)
{
    void *volatile kept = subject(64);
    wipe_registers();
    exit(kept == NULL);
}

__attribute__((noinline)) static void keep_in_dead_frame(void)
{
    void *volatile kept[1000];
    for (int i = 0; i < 1000; i++) {
        kept[i] = NULL;
    }
    kept[500] = subject(64);
    __asm__ volatile("" : : "r"(kept) : "memory");
}

/* The pointer stays below the stack pointer: nobody wipes it. */
static void case_dead_stack(void)
{
    keep_in_dead_frame();
    wipe_registers();
}

static void case_register(void)
{
    register void *kept __asm__("r14") = subject(64);
    __asm__ volatile("" : "+r"(kept));
    wipe_stack();
    __asm__ volatile("" : "+r"(kept));
    exit(0);
    __asm__ volatile("" : "+r"(kept));
}

static void case_thread_local(void) { local = subject(64); }

static void case_interior(void) { global = (char *)subject(64) + 8; }

static void case_interior_chain(void)
{
    struct node *first = subject(sizeof *first);
    first->next = subject(sizeof *first);
    first->other = NULL;
    global = first->rest + 4;
}

static void case_behind(void) { global = (char *)subject(64) + 64; }

static void case_freed_block(void)
{
    void **holder = malloc(5000);
    holder[300] = subject(64);
    global = holder;
    free(holder);
}

static void make_cycle(int is_backwards)
{
    struct node *nodes[3];
    for (int i = 0; i < 3; i++) {
        nodes[i] = subject(sizeof(struct node));
        memset(nodes[i], 0, sizeof(struct node));
    }
    for (int i = 0; i < 3; i++) {
        nodes[i]->next = nodes[(i + (is_backwards ? 2 : 1)) % 3];
    }
    nodes[1]->other = nodes[1];
    memset(nodes, 0, sizeof nodes);
    __asm__ volatile("" : : "r"(nodes) : "memory");
}

static void case_cycle(void) { make_cycle(0); }
static void case_cycle_backwards(void) { make_cycle(1); }

__attribute__((noinline)) static void make_self(void)
{
    struct node *node = subject(sizeof *node);
    node->next = node;
    node->other = NULL;
}

static void case_self(void) { make_self(); }

static void case_empty(void)
{
    global = subject(0);
    (void)!subject(0);
}

__attribute__((noinline)) static void make_list(void)
{
    struct node *head = NULL;
    for (int i = 0; i < 1000000; i++) {
        struct node *node = subject(24);
        node->next = head;
        node->other = NULL;
        head = node;
    }
}

static void case_list(void) { make_list(); }

static void *constructed;
__attribute__((constructor(102))) static void construct(void)
{
    void **holder = malloc(64);
    holder[3] = NULL;
    constructed = holder;
}

static void case_constructor(void) { ((void **)constructed)[3] = subject(64); }

static void case_large(void)
{
    volatile char *block = subject((size_t)64 << 20);
    block[0] = 1;
}

/* So large that addresses in it are multiples of a GiB, as an allocator may keep them. */
static void case_gigabyte(void)
{
    volatile char *block = subject((size_t)1 << 30);
    block[0] = 1;
}

static void case_large_held(void)
{
    void **holder = malloc((size_t)200 << 20);
    holder[(100 << 20) / 8] = subject(64);
    global = holder;
}

/* 64 GiB of which two pages are in use. */
static void case_sparse(void)
{
    size_t bytes = (size_t)64 << 30;
    void **pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) {
        exit(77);
    }
    pages[bytes / 16] = subject(64);
}

static void case_protected(void)
{
    void *block = NULL;
    if (posix_memalign(&block, 4096, 65536) != 0) {
        exit(1);
    }
    global = block;
    ((void **)block)[0] = subject(64);
    mprotect((char *)block + 4096, 8192, PROT_NONE);
}

/* ---- mappings ------------------------------------------------------------- */

static void **map(int flags)
{
    void **pages = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        exit(1);
    }
    return pages;
}

static void case_mapping(void) { map(MAP_PRIVATE)[1000] = subject(64); }
static void case_shared_mapping(void) { map(MAP_SHARED)[1000] = subject(64); }

static void case_sealed_mapping(void)
{
    void **pages = map(MAP_PRIVATE);
    pages[1000] = subject(64);
    mprotect(pages, 1 << 16, PROT_READ);
}

static void case_unmapped(void)
{
    void **pages = map(MAP_PRIVATE);
    pages[1000] = subject(64);
    munmap(pages, 1 << 16);
}

static void case_guard(void)
{
    void **pages = map(MAP_PRIVATE);
    mprotect(pages, 8192, PROT_NONE);
    pages[1024] = subject(64);
}

/* ---- threads -------------------------------------------------------------- */

static void *thread_register(void *argument)
{
    (void)argument;
    register void *kept __asm__("r13") = subject(64);
    __asm__ volatile("" : "+r"(kept));
    wipe_stack();
    is_ready = 1;
    for (;;) { /* nothing is pushed, nothing is called */
        __asm__ volatile("pause" : "+r"(kept));
    }
    return NULL;
}
static void case_thread_register(void) { start(thread_register); }

/* In the lower half of one and the upper half of another. */
static void *vector_register(void *argument)
{
    (void)argument;
    void *first = subject(64);
    void *second = subject(64);
    __asm__ volatile("movq %0, %%xmm9\n\tmovq %1, %%xmm14\n\tpslldq $8, %%xmm14"
                     :
                     : "r"(first), "r"(second)
                     : "xmm9", "xmm14");
    first = NULL;
    second = NULL;
    __asm__ volatile("" : "+r"(first), "+r"(second));
    wipe_registers();
    wipe_stack();
    is_ready = 1;
    for (;;) {
        __asm__ volatile("pause" : : : "xmm9", "xmm14");
    }
    return NULL;
}
static void case_vector_register(void) { start(vector_register); }

static void *thread_stack(void *argument)
{
    (void)argument;
    void *volatile kept = subject(64);
    wipe_registers();
    rest_for_ever();
    return kept;
}
static void case_thread_stack(void) { start(thread_stack); }

static void *thread_local_of_thread(void *argument)
{
    (void)argument;
    local = subject(64);
    wipe_registers();
    wipe_stack();
    rest_for_ever();
    return NULL;
}
static void case_thread_local_of_thread(void) { start(thread_local_of_thread); }

static pthread_key_t key;

static void case_specific(void)
{
    pthread_key_create(&key, NULL);
    pthread_setspecific(key, subject(64));
}

static void *specific_of_thread(void *argument)
{
    (void)argument;
    pthread_setspecific(key, subject(64));
    wipe_registers();
    wipe_stack();
    rest_for_ever();
    return NULL;
}
static void case_specific_of_thread(void)
{
    pthread_key_create(&key, NULL);
    start(specific_of_thread);
}

/* Keys beyond the first 32 lie in blocks that the C library allocates. */
static void case_many_specific(void)
{
    for (int i = 0; i < 100; i++) {
        pthread_key_create(&key, NULL);
    }
    pthread_setspecific(key, subject(64));
}

static void *blocked_thread(void *argument)
{
    (void)argument;
    uint64_t all = ~UINT64_C(0);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
    void *volatile kept = subject(64);
    wipe_registers();
    rest_for_ever();
    return kept;
}
static void case_blocked_thread(void) { start(blocked_thread); }

/* Stands in vfork, in the kernel, while its child sleeps. */
static void *vfork_thread(void *argument)
{
    (void)argument;
    void *volatile kept = subject(64);
    wipe_registers();
    is_ready = 1;
    if (vfork() == 0) {
        execl("/bin/sleep", "sleep", "0", (char *)NULL);
        _exit(1);
    }
    rest_for_ever();
    return kept;
}
static void case_vfork_thread(void) { start(vfork_thread); }

/* Another process holds the thread, as a debugger does: it comes to no signal. */
static volatile int traced_tid;

static void trace(void)
{
    int ready[2];
    char byte = 0;
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    if (pipe(ready) != 0) {
        exit(1);
    }
    if (fork() == 0) {
        int tid = traced_tid;
        if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0 || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL)
            || waitpid(tid, NULL, __WALL) != tid) {
            _exit(1);
        }
        (void)!write(ready[1], &byte, 1);
        waitpid(tid, NULL, __WALL); /* until the program ends */
        _exit(0);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) {
        _exit(77);
    }
}

static void *traced_thread(void *argument)
{
    (void)argument;
    traced_tid = (int)syscall(SYS_gettid);
    void *volatile kept = subject(64);
    wipe_registers();
    rest_for_ever();
    return kept;
}
static void case_traced_thread(void)
{
    start(traced_thread);
    trace();
}

static void *open_plugin(void);
static void plugin_keep(void *plugin, const char *name, void *block);

static void *traced_thread_local(void *argument)
{
    (void)argument;
    traced_tid = (int)syscall(SYS_gettid);
    plugin_keep(open_plugin(), "keep_in_thread_local", subject(64));
    wipe_stack();
    wipe_registers();
    rest_for_ever();
    return NULL;
}
static void case_traced_thread_local(void)
{
    start(traced_thread_local);
    trace();
}

static void *ends_after_main(void *argument)
{
    void *volatile kept = subject(64);
    pthread_join(*(pthread_t *)argument, NULL);
    wipe_registers();
    exit(kept == NULL);
}
static void case_main_ends(void)
{
    static pthread_t self;
    pthread_t thread;
    self = pthread_self();
    pthread_create(&thread, NULL, ends_after_main, &self);
    pthread_exit(NULL);
}

static void *storm_thread(void *argument)
{
    return argument;
}
static void *storm(void *argument)
{
    (void)argument;
    is_ready = 1;
    for (;;) {
        pthread_t threads[8];
        for (int i = 0; i < 8; i++) {
            if (pthread_create(&threads[i], NULL, storm_thread, NULL) != 0) {
                return NULL;
            }
        }
        for (int i = 0; i < 8; i++) {
            pthread_join(threads[i], NULL);
        }
    }
}
static void case_thread_storm(void)
{
    start(storm);
    lose();
    lose();
    lose();
}

/* Blocks in the heap of another thread's arena, whose thread is gone. */
static void *lose_in_thread(void *argument)
{
    for (int i = 0; i < 1000; i++) {
        void **block = malloc(200);
        block[0] = block;
        free(block);
    }
    lose();
    return argument;
}
static void case_arena_of_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, lose_in_thread, NULL);
    pthread_join(thread, NULL);
}

/* ---- coroutines ----------------------------------------------------------- */

static ucontext_t outside;
static ucontext_t inside;

static void coroutine(void)
{
    void *volatile kept = subject(64);
    wipe_registers();
    swapcontext(&inside, &outside);
    free(kept);
}

static void run_coroutine(void *stack, size_t bytes)
{
    getcontext(&inside);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = bytes;
    inside.uc_link = &outside;
    makecontext(&inside, coroutine, 0);
    swapcontext(&outside, &inside);
}

static void case_coroutine_mapped(void) { run_coroutine(map(MAP_PRIVATE), 1 << 16); }
static void case_coroutine_malloc(void) { run_coroutine(malloc(1 << 16), 1 << 16); }

/* ---- libraries ------------------------------------------------------------ */

static void *open_plugin(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 32);
    if (length <= 0) {
        exit(1);
    }
    path[length] = '\0';
    strcpy(strrchr(path, '/'), "/leaks_plugin.so");
    void *plugin = dlopen(path, RTLD_NOW);
    if (plugin == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return plugin;
}

static void plugin_keep(void *plugin, const char *name, void *block)
{
    void (*keep)(void *);
    *(void **)&keep = dlsym(plugin, name);
    keep(block);
}

static void case_plugin_global(void) { plugin_keep(open_plugin(), "keep_in_global", subject(64)); }

static void case_plugin_thread_local(void)
{
    plugin_keep(open_plugin(), "keep_in_thread_local", subject(64));
}

static void case_closed_plugin(void)
{
    void *plugin = open_plugin();
    plugin_keep(plugin, "keep_in_global", subject(64));
    dlclose(plugin);
}

/* ---- ends ----------------------------------------------------------------- */

static void case_fork_child(void)
{
    pid_t child = fork();
    if (child == 0) {
        lose();
        wipe_stack();
        wipe_registers();
        exit(0);
    }
    waitpid(child, NULL, 0);
}

static void case_exit_in_child(void)
{
    pid_t child = fork();
    if (child == 0) {
        lose();
        lose();
        _exit(0);
    }
    waitpid(child, NULL, 0);
    lose();
}

static void case_quick(void)
{
    lose();
    wipe_stack();
    wipe_registers();
    quick_exit(0);
}

/* ---- pointers that do not look like any ------------------------------------ */

static uint64_t words[64];
static uint32_t numbers[64];

__attribute__((noinline)) static void keep_tagged(unsigned shift, uint64_t tag)
{
    words[20] = (uint64_t)(uintptr_t)subject(64) | tag << shift;
}

static void case_tagged_above(void)
{
    static const struct memtrack_pointers above = {.word_bytes = 8, .mask = 0x0000ffffffffffff};
    memtrack_add_tagged_region(words, sizeof words, &above);
    keep_tagged(48, 0xfff9);
}

static void case_tagged_below(void)
{
    static const struct memtrack_pointers below = {.word_bytes = 8, .mask = ~UINT64_C(7)};
    memtrack_add_tagged_region(words, sizeof words, &below);
    keep_tagged(0, 5);
}

/* Numbers of 16 bytes from a base on, as managed heaps have them. */
__attribute__((noinline)) static void keep_compressed(int is_declared)
{
    char *base = (char *)(((uintptr_t)malloc(16) & ~(uintptr_t)0xffffff) - (1 << 24));
    struct memtrack_pointers compressed = {.word_bytes = 4,
                                           .shift_left = 4,
                                           .mask = 0xffffffff,
                                           .base = (uint64_t)(uintptr_t)base};
    if (is_declared) {
        memtrack_add_tagged_region(numbers, sizeof numbers, &compressed);
    }
    for (int i = 0; i < 2; i++) {
        numbers[3 + i] = (uint32_t)(((char *)subject(64) - base) >> 4);
    }
}
static void case_compressed(void) { keep_compressed(1); }
static void case_compressed_undeclared(void) { keep_compressed(0); }

/* The region lies in a block: what it holds is as reachable as that. */
__attribute__((noinline)) static void keep_in_block(void)
{
    static const struct memtrack_pointers below = {.word_bytes = 8, .mask = ~UINT64_C(15)};
    uint64_t *holder = subject(512);
    memset(holder, 0, 512);
    memtrack_add_tagged_region(holder, 512, &below);
    holder[30] = (uint64_t)(uintptr_t)subject(64) | 9;
    global = holder;
}
static void case_tagged_in_block(void) { keep_in_block(); }

#define CASE(name) {#name, case_##name}
static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    CASE(global), CASE(static_in_function), CASE(none), CASE(freed_holder), CASE(stack),
    CASE(dead_stack), CASE(register), CASE(thread_register), CASE(thread_stack),
    CASE(thread_local), CASE(thread_local_of_thread), CASE(plugin_thread_local), CASE(specific),
    CASE(specific_of_thread), CASE(many_specific), CASE(coroutine_mapped), CASE(coroutine_malloc),
    CASE(plugin_global), CASE(closed_plugin), CASE(mapping), CASE(shared_mapping),
    CASE(sealed_mapping), CASE(unmapped), CASE(interior), CASE(interior_chain), CASE(behind),
    CASE(freed_block), CASE(guard), CASE(cycle), CASE(cycle_backwards), CASE(self), CASE(empty),
    CASE(list), CASE(constructor), CASE(blocked_thread), CASE(vfork_thread), CASE(fork_child),
    CASE(main_ends), CASE(thread_storm), CASE(large), CASE(gigabyte), CASE(large_held), CASE(sparse),
    CASE(protected), CASE(quick), CASE(arena_of_thread),
    CASE(vector_register), CASE(traced_thread), CASE(traced_thread_local), CASE(exit_in_child),
    CASE(tagged_above), CASE(tagged_below), CASE(compressed), CASE(compressed_undeclared),
    CASE(tagged_in_block),
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(cases[i].name, argv[1]) == 0) {
            cases[i].run();
            /* dead_stack: the frame that is gone lies where nothing is called any more. */
            if (cases[i].run != case_dead_stack) {
                wipe_stack();
            }
            wipe_registers();
            return 0;
        }
    }
    fprintf(stderr, "usage: leaks CASE\n");
    return 64;
}
