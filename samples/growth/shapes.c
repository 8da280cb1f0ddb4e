/*
 * growth/shapes.c - memory that grows in every way that matters, and in some that do not.
 *
 * usage: shapes MILLISECONDS [SHAPE...]     (without a SHAPE: all of them, in one process)
 *
 * Truth (verdicts of `memtrack growth` after some seconds)
 *   steady_leak(): growing; 1000 bytes per step
 *   slow_leak(): growing; 100 bytes per step, among the megabytes of churn()
 *   churn(): steady
 *   bounded_cache(): bounded; fills 2 MB in the first 40 % of the time, then replaces
 *   sawtooth(): steady; a buffer list that fills and empties, 12 times
 *   late_leak(): growing; begins after 60 % of the time
 *   leak_that_stops(): bounded; stops after half of the time
 *   fragments(): steady (bounded, if a snapshot came before its first step); live bytes
 *       stay, their addresses scatter
 *   realloc_growth(): growing; a buffer that doubles when it is full
 *   thread_leak(): growing; four threads, each 500 bytes per step
 *   freed_at_exit(): freed-at-exit; a list that only grows until the end
 *   prints what it did when, whatever the machine's load: seconds of CLOCK_REALTIME at which
 *   late_leak() began, leak_that_stops() stopped and bounded_cache() was full; 0: never
 *   status: 0
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STEP_MICROSECONDS 4000

struct node {
    struct node *next;
    char content[];
};

static double part; /* of the time that has passed, 0..1 */
static unsigned step;
static double began;
static double stopped;
static double full;
static struct node *leaked;
static struct node *growing;

static double real_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct node *push(struct node **list, struct node *node)
{
    node->next = *list;
    *list = node;
    return node;
}

static void drop_all(struct node **list)
{
    while (*list != NULL) {
        struct node *next = (*list)->next;
        free(*list);
        *list = next;
    }
}

static void steady_leak(void)
{
    push(&leaked, malloc(1000));
}

static void slow_leak(void)
{
    push(&leaked, malloc(100));
}

static void churn(void)
{
    void *blocks[64];
    for (int i = 0; i < 64; i++) {
        blocks[i] = malloc(16384 + (step * 37 + (unsigned)i * 91) % 16384);
    }
    for (int i = 0; i < 64; i++) {
        free(blocks[i]);
    }
}

static void bounded_cache(void)
{
    static void *slots[500];
    size_t filled = (size_t)(part / 0.4 * 500);
    /* The next slot of the cache, or as many as are due. */
    for (size_t i = 0; i < 500; i++) {
        if (i == step % 500 || (i < filled && slots[i] == NULL)) {
            if (slots[i] == NULL && i >= filled) {
                continue;
            }
            full = slots[i] == NULL ? real_seconds() : full;
            free(slots[i]);
            slots[i] = malloc(4000);
        }
    }
}

static void sawtooth(void)
{
    static struct node *list;
    static int tooth;
    if ((int)(part * 12) != tooth) {
        tooth = (int)(part * 12);
        drop_all(&list);
    }
    push(&list, malloc(3000));
}

static void late_leak(void)
{
    if (part > 0.6) {
        began = began == 0 ? real_seconds() : began;
        push(&leaked, malloc(700));
    }
}

static void leak_that_stops(void)
{
    if (part < 0.5) {
        push(&leaked, malloc(900));
        stopped = real_seconds();
    }
}

static void fragments(void)
{
    static void *blocks[400];
    static unsigned random = 1;
    static int is_filled;
    for (unsigned i = 0; i < (is_filled ? 20 : 400); i++) {
        random = random * 1103515245 + 12345;
        unsigned at = is_filled ? random / 65536 % 400 : i;
        free(blocks[at]);
        blocks[at] = malloc(2000);
    }
    is_filled = 1;
}

static void realloc_growth(void)
{
    static char *buffer;
    static size_t used;
    static size_t room;
    used += 500;
    if (used > room) {
        room = room == 0 ? 1000 : room * 2;
        buffer = realloc(buffer, room);
    }
    memset(buffer + used - 500, 1, 500);
}

static void freed_at_exit(void)
{
    push(&growing, malloc(800));
}

static pthread_barrier_t barrier;
static int has_threads;
static int is_over;

static void *thread_leak(void *unused)
{
    static _Thread_local struct node *mine;
    for (;;) {
        pthread_barrier_wait(&barrier);
        if (is_over) {
            return unused;
        }
        push(&mine, malloc(500));
    }
}

static void all_threads(void)
{
    static pthread_t threads[4];
    if (!has_threads) {
        pthread_barrier_init(&barrier, NULL, 5);
        for (int i = 0; i < 4; i++) {
            pthread_create(&threads[i], NULL, thread_leak, NULL);
        }
        has_threads = 1;
    }
    pthread_barrier_wait(&barrier);
}

static const struct {
    const char *name;
    void (*run)(void);
} shapes[] = {
    {"steady_leak", steady_leak},     {"slow_leak", slow_leak},
    {"churn", churn},                 {"bounded_cache", bounded_cache},
    {"sawtooth", sawtooth},           {"late_leak", late_leak},
    {"leak_that_stops", leak_that_stops}, {"fragments", fragments},
    {"realloc_growth", realloc_growth},   {"freed_at_exit", freed_at_exit},
    {"thread_leak", all_threads},
};

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int is_wanted(const char *name, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return 1;
        }
    }
    return argc <= 2;
}

int main(int argc, char **argv)
{
    double seconds = (argc > 1 ? atof(argv[1]) : 3000) / 1000;
    double start = now_seconds();
    while ((part = (now_seconds() - start) / seconds) < 1) {
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            if (is_wanted(shapes[i].name, argc, argv)) {
                shapes[i].run();
            }
        }
        step++;
        usleep(STEP_MICROSECONDS);
    }
    printf("%.3f %.3f %.3f\n", began, stopped, full);
    drop_all(&growing);
    if (has_threads) {
        is_over = 1;
        pthread_barrier_wait(&barrier);
        usleep(20000);
    }
    return 0;
}
