/*
 * leaks_lsan.c - what LeakSanitizer documents of roots, threads and ends of programs, as far
 * as leaks.c has it not. Built with -fsanitize=leak it is LeakSanitizer's to judge.
 *
 * usage: leaks_lsan CASE; the blocks in question are those that subject() allocates.
 *
 * Truth
 *   initialized_global: reachable 1
 *   uninitialized_global: reachable 1
 *   sealed_global: reachable 1
 *   registers_of_thread: reachable 5
 *   unaligned: definite 1
 *   root_region: reachable 1
 *   ignored: reachable 1
 *   argument_of_thread: reachable 1
 *   argument_left_behind: definite 3
 *   detached_threads: definite 20
 *   specific_destructor: definite 1
 *   specific_of_ended_thread: definite 1
 *   large_chain: definite 1, indirect 3
 *   array_of_pointers: reachable 100
 *   overwritten: definite 99, reachable 1
 *   realloc_moves: reachable 1
 *   signal_handler: reachable 1
 *   alternate_stack: reachable 1
 *   fork_with_threads: definite 2
 *   many_cycles: definite 1000, indirect 2000
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memtrack/memtrack.h>

#if defined(__has_feature)
#if __has_feature(leak_sanitizer)
#include <sanitizer/lsan_interface.h>
#define memtrack_add_root(start, bytes) __lsan_register_root_region(start, bytes)
#define memtrack_ignore(block) __lsan_ignore_object(block)
#endif
#endif

struct node {
    struct node *next;
    struct node *other;
    char rest[48];
};

static sem_t is_ready;

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

static void rest_for_ever(void)
{
    sem_post(&is_ready);
    for (;;) {
        pause();
    }
}

/* Starts a thread and waits until it says that it is ready. */
static void start(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, argument) != 0) {
        exit(1);
    }
    sem_wait(&is_ready);
}

/* ---- globals -------------------------------------------------------------- */

static void *volatile initialized = (void *)&is_ready;
static void case_initialized_global(void) { initialized = subject(64); }

static void *volatile uninitialized;
static void case_uninitialized_global(void) { uninitialized = subject(64); }

/* A page of .bss that the program makes read-only once it is filled. */
static struct {
    void *volatile pointers[512];
} sealed __attribute__((aligned(4096)));
static void case_sealed_global(void)
{
    sealed.pointers[100] = subject(64);
    mprotect(&sealed, sizeof sealed, PROT_READ);
}

static void *volatile table[200];

static void case_array_of_pointers(void)
{
    for (int i = 0; i < 100; i++) {
        table[2 * i] = subject(64);
    }
}

__attribute__((noinline)) static void overwrite(void)
{
    for (volatile int i = 0; i < 100; i++) {
        uninitialized = subject(64);
    }
}
static void case_overwritten(void) { overwrite(); }

static char unaligned_place[64] __attribute__((aligned(16)));
__attribute__((noinline)) static void keep_unaligned(void)
{
    void *block = subject(64);
    memcpy(unaligned_place + 3, &block, sizeof block);
}
static void case_unaligned(void) { keep_unaligned(); }

static void case_root_region(void)
{
    void **region = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memtrack_add_root(region, 8192);
    region[700] = subject(64);
}

__attribute__((noinline)) static void ignore(void)
{
    void **holder = calloc(1, 64);
    holder[1] = subject(64);
    memtrack_ignore(holder);
}
static void case_ignored(void) { ignore(); }

__attribute__((noinline)) static void *subject_again(void *block, size_t size)
{
    return realloc(block, size);
}
static void case_realloc_moves(void)
{
    void *block = malloc(100);
    void *volatile other = malloc(100);
    uninitialized = subject_again(block, 100000);
    free(other);
}

/* ---- threads -------------------------------------------------------------- */

static void *registers_of_thread(void *argument)
{
    (void)argument;
    register void *r1 __asm__("rbx") = subject(64);
    register void *r2 __asm__("r12") = subject(64);
    register void *r3 __asm__("r13") = subject(64);
    register void *r4 __asm__("r14") = subject(64);
    register void *r5 __asm__("r15") = subject(64);
    __asm__ volatile("" : "+r"(r1), "+r"(r2), "+r"(r3), "+r"(r4), "+r"(r5));
    wipe_stack();
    sem_post(&is_ready);
    for (;;) {
        __asm__ volatile("pause" : "+r"(r1), "+r"(r2), "+r"(r3), "+r"(r4), "+r"(r5));
    }
    return NULL;
}
static void case_registers_of_thread(void) { start(registers_of_thread, NULL); }

static void *keep_argument(void *volatile argument)
{
    (void)argument;
    rest_for_ever();
    return NULL;
}
static void case_argument_of_thread(void) { start(keep_argument, subject(64)); }

static void *leave_argument(void *argument)
{
    (void)argument;
    return NULL;
}
__attribute__((noinline)) static void leave_arguments(void)
{
    for (volatile int i = 0; i < 3; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, leave_argument, subject(64));
        pthread_join(thread, NULL);
        memset(&thread, 0, sizeof thread);
    }
}
static void case_argument_left_behind(void) { leave_arguments(); }

static void *lose_and_end(void *argument)
{
    (void)argument;
    (void)!subject(64);
    sem_post(&is_ready);
    return NULL;
}
static void case_detached_threads(void)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (volatile int i = 0; i < 20; i++) {
        pthread_t thread;
        pthread_create(&thread, &attributes, lose_and_end, NULL);
        sem_wait(&is_ready);
    }
    usleep(20000); /* that they may be gone; those that are not lost theirs too */
}

static pthread_key_t key;
static void release(void *block) { free(block); }
static void *with_destructor(void *argument)
{
    (void)argument;
    void **holder = subject(64);
    pthread_setspecific(key, holder);
    (void)!subject(64);
    return NULL;
}
__attribute__((noinline)) static void run_to_end(void *(*function)(void *))
{
    pthread_t thread;
    pthread_create(&thread, NULL, function, NULL);
    pthread_join(thread, NULL);
}
static void case_specific_destructor(void)
{
    pthread_key_create(&key, release);
    run_to_end(with_destructor);
}

static void *without_destructor(void *argument)
{
    (void)argument;
    pthread_setspecific(key, subject(64));
    return NULL;
}
static void case_specific_of_ended_thread(void)
{
    pthread_key_create(&key, NULL);
    run_to_end(without_destructor);
}

static void case_fork_with_threads(void)
{
    start(keep_argument, NULL);
    pid_t child = fork();
    if (child == 0) {
        (void)!subject(64);
        (void)!subject(64);
        wipe_stack();
        wipe_registers();
        exit(0);
    }
    waitpid(child, NULL, 0);
}

/* ---- signals -------------------------------------------------------------- */

/* The program ends inside a handler: what it interrupted still holds its blocks. */
static void end_here(int signal)
{
    (void)signal;
    exit(0);
}
static void case_signal_handler(void)
{
    void *volatile kept = subject(64);
    signal(SIGUSR1, end_here);
    wipe_registers();
    raise(SIGUSR1);
    exit(kept == NULL);
}

/* The same on a stack of the handler's own. */
static void case_alternate_stack(void)
{
    stack_t stack = {.ss_size = 1 << 17};
    stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                       0);
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_handler = end_here, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    void *volatile kept = subject(64);
    wipe_registers();
    raise(SIGUSR1);
    exit(kept == NULL);
}

/* ---- shapes --------------------------------------------------------------- */

__attribute__((noinline)) static void make_large_chain(void)
{
    struct node *last = NULL;
    for (volatile int i = 0; i < 4; i++) {
        struct node *node = subject((size_t)1 << 20);
        memset(node, 0, sizeof *node);
        node->next = last;
        last = node;
    }
    last = NULL;
    __asm__ volatile("" : : "r"(&last) : "memory");
}
static void case_large_chain(void) { make_large_chain(); }

__attribute__((noinline)) static void make_many_cycles(void)
{
    for (volatile int i = 0; i < 1000; i++) {
        struct node *nodes[3];
        for (int j = 0; j < 3; j++) {
            nodes[j] = subject(sizeof(struct node));
            memset(nodes[j], 0, sizeof(struct node));
        }
        for (int j = 0; j < 3; j++) {
            nodes[j]->next = nodes[(j + 1) % 3];
        }
        memset(nodes, 0, sizeof nodes);
        __asm__ volatile("" : : "r"(nodes) : "memory");
    }
}
static void case_many_cycles(void) { make_many_cycles(); }

#define CASE(name) {#name, case_##name}
static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    CASE(initialized_global), CASE(uninitialized_global), CASE(sealed_global),
    CASE(array_of_pointers), CASE(overwritten), CASE(unaligned), CASE(root_region), CASE(ignored),
    CASE(realloc_moves), CASE(registers_of_thread), CASE(argument_of_thread),
    CASE(argument_left_behind), CASE(detached_threads), CASE(specific_destructor),
    CASE(specific_of_ended_thread), CASE(fork_with_threads), CASE(signal_handler),
    CASE(alternate_stack), CASE(large_chain), CASE(many_cycles),
};

int main(int argc, char **argv)
{
    sem_init(&is_ready, 0, 0);
    for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(cases[i].name, argv[1]) == 0) {
            cases[i].run();
            wipe_stack();
            wipe_registers();
            return 0;
        }
    }
    fprintf(stderr, "usage: leaks_lsan CASE\n");
    return 64;
}
