#include "core/thread.h"

#include <pthread.h>
#include <sys/prctl.h>

#include "core/cpu_mark.h"
#include "core/cpu_timer.h"
#include "core/raw_syscall.h"
#include "core/sampler.h"
#include "core/totals.h"

/* How often a key's destructor puts itself off, to run after those of the program. */
#define DESTRUCTOR_ROUNDS 3u

/* Records in all; more threads than that at once are dropped and counted. */
#define THREAD_RECORDS_MAX 65536u

_Thread_local struct thread *thread_self __attribute__((tls_model("initial-exec")));

/* Set when the key's destructor has handed the record on: later events of this thread
 * borrow one for each. */
static _Thread_local uint32_t thread_has_ended __attribute__((tls_model("initial-exec")));
/* The record that an event of an ended thread borrowed, and how many hooks, one inside the
 * other (operator delete, free), use it now. */
static _Thread_local struct thread *thread_borrowed __attribute__((tls_model("initial-exec")));
static _Thread_local uint32_t thread_borrowed_depth __attribute__((tls_model("initial-exec")));
static _Thread_local uint32_t thread_destructor_rounds __attribute__((tls_model("initial-exec")));

static struct thread *thread_record[THREAD_RECORDS_MAX];
static _Atomic uint32_t thread_record_count;
_Atomic uint32_t thread_running_count;

/* Free records: index + 1 of the first in the low half, a counter against the ABA problem
 * in the high half. */
static _Atomic uint64_t thread_free_list;

static pthread_key_t thread_end_key;
static bool thread_end_key_exists;

static void free_list_push(struct thread *thread)
{
    uint64_t head = atomic_load_explicit(&thread_free_list, memory_order_relaxed);
    uint64_t fresh;
    do {
        uint32_t first = (uint32_t)head;
        thread->next_free = first == 0 ? NULL : thread_record[first - 1];
        fresh = ((head >> 32) + 1) << 32 | (thread->index + 1);
        /* Release: whoever takes the record sees it as its former owner left it. */
    } while (!atomic_compare_exchange_weak_explicit(&thread_free_list, &head, fresh,
                                                    memory_order_release, memory_order_relaxed));
}

static struct thread *free_list_pop(void)
{
    uint64_t head = atomic_load_explicit(&thread_free_list, memory_order_acquire);
    for (;;) {
        uint32_t first = (uint32_t)head;
        if (first == 0) {
            return NULL;
        }
        struct thread *thread = thread_record[first - 1];
        struct thread *next = thread->next_free;
        uint64_t fresh = ((head >> 32) + 1) << 32 | (next == NULL ? 0 : next->index + 1);
        if (atomic_compare_exchange_weak_explicit(&thread_free_list, &head, fresh,
                                                  memory_order_acquire, memory_order_acquire)) {
            return thread;
        }
    }
}

struct arena_thread *thread_table_new(struct arena_process *process)
{
    uint64_t offset = arena_extent_new(&process_cold.arena, sizeof(struct arena_thread));
    struct arena_thread *table =
        arena_at(&process_cold.arena, offset, sizeof(struct arena_thread));
    if (table == NULL) {
        return NULL;
    }
    uint64_t next = atomic_load_explicit(&process->first_thread, memory_order_relaxed);
    do {
        atomic_store_explicit(&table->next, next, memory_order_relaxed);
        /* Release: the table is complete before it can be found. */
    } while (!atomic_compare_exchange_weak_explicit(&process->first_thread, &next, offset,
                                                    memory_order_release, memory_order_relaxed));
    return table;
}

/* capture_thread wants a page boundary. */
#define THREAD_PAGES_BYTES ((sizeof(struct thread) + 4095) & ~(size_t)4095)

static struct thread *record_new(void)
{
    uint32_t index = atomic_fetch_add_explicit(&thread_record_count, 1, memory_order_relaxed);
    if (index >= THREAD_RECORDS_MAX) {
        atomic_fetch_sub_explicit(&thread_record_count, 1, memory_order_relaxed);
        return NULL;
    }
    struct thread *thread = raw_map_lazy(THREAD_PAGES_BYTES + capture_thread_bytes());
    if (thread == NULL) {
        return NULL;
    }
    thread->index = index;
    thread->capture = (struct capture_thread *)((char *)thread + THREAD_PAGES_BYTES);
    thread_record[index] = thread;
    return thread;
}

/* Threads that ended without running destructors (raw clone, exit inside a handler) are
 * found by their ids when no free record is left. */
static struct thread *record_scavenge(void)
{
    uint32_t count = atomic_load_explicit(&thread_record_count, memory_order_relaxed);
    int pid = raw_pid();
    for (uint32_t i = 0; i < count && i < THREAD_RECORDS_MAX; i++) {
        struct thread *thread = thread_record[i];
        if (thread == NULL || thread->table == NULL) {
            continue;
        }
        uint32_t in_use = ARENA_THREAD_IN_USE;
        if (atomic_load_explicit(&thread->table->state, memory_order_relaxed) != in_use
            || thread->tid == 0 || raw_syscall3(SYS_tgkill, pid, (long)thread->tid, 0) != -3) {
            continue;
        }
        /* ESRCH: dead. One scavenger wins. */
        if (atomic_compare_exchange_strong_explicit(&thread->table->state, &in_use,
                                                    ARENA_THREAD_FREE, memory_order_acquire,
                                                    memory_order_relaxed)) {
            cpu_timer_stop(thread);
            return thread;
        }
    }
    return NULL;
}

/* Takes a record and a table for the calling thread; NULL when none can be had. */
static struct thread *record_acquire(void)
{
    struct thread *thread = free_list_pop();
    uint32_t count = atomic_load_explicit(&thread_record_count, memory_order_relaxed);
    /* Looking for dead threads costs a system call each: only when the number of records
     * is about to double. */
    if (thread == NULL && count >= 64 && (count & (count - 1)) == 0) {
        thread = record_scavenge();
    }
    if (thread == NULL) {
        thread = record_new();
    }
    if (thread == NULL) {
        return NULL;
    }
    if (thread->table == NULL) {
        thread->table = thread_table_new(process_cold.process);
        if (thread->table == NULL) {
            free_list_push(thread);
            return NULL;
        }
    }
    thread->tid = (uint32_t)raw_tid();
    thread->table->tid = (int32_t)thread->tid;
    thread->last_allocated = 0;
    thread->releasing = 0;
    thread->process = process_cold.process;
    thread->gate = THREAD_REGULAR | (process_hot.sample_bytes != 0 ? THREAD_SAMPLED : 0);
    atomic_store_explicit(&thread->table->state, ARENA_THREAD_IN_USE, memory_order_relaxed);
    atomic_fetch_add_explicit(&thread_running_count, 1, memory_order_relaxed);
    thread->pauses = 0;
    thread->is_named = 0;
    thread->table->is_named = 0;
    if (process_hot.sample_bytes != 0) {
        sampler_start(thread);
    }
    return thread;
}

static void record_release(struct thread *thread)
{
    thread->gate = 0;
    totals_publish(thread);
    atomic_fetch_sub_explicit(&thread_running_count, 1, memory_order_relaxed);
    if (!thread->is_named) {
        raw_syscall3(SYS_prctl, PR_GET_NAME, (long)thread->table->name, 0);
    }
    thread->table->threads_served++;
    atomic_store_explicit(&thread->table->state, ARENA_THREAD_FREE, memory_order_relaxed);
    free_list_push(thread);
}

/* Runs at a thread's end, with the other keys' destructors: asks for further rounds, so
 * that what those release is still recorded in this thread's own record. */
static void thread_end(void *argument)
{
    if (thread_destructor_rounds < DESTRUCTOR_ROUNDS) {
        thread_destructor_rounds++;
        pthread_setspecific(thread_end_key, argument);
        return;
    }
    struct thread *thread = thread_self;
    if (thread != NULL) {
        cpu_timer_settle(thread);
        cpu_timer_stop(thread);
    }
    thread_has_ended = 1;
    thread_self = NULL;
    if (thread != NULL) {
        record_release(thread);
    }
}

void thread_start_tracking_ends(void)
{
    thread_end_key_exists = pthread_key_create(&thread_end_key, thread_end) == 0;
    if (thread_end_key_exists && thread_self != NULL) {
        pthread_setspecific(thread_end_key, thread_self);
    }
}

static struct thread *enter(void)
{
    if (process_hot.is_tracking == 0) {
        if (process_cold.is_refused) {
            return NULL;
        }
        if (!(process_cold.is_started ? process_forked() : process_start())) {
            return NULL;
        }
    }
    if (thread_self != NULL) {
        return thread_self;
    }
    if (thread_borrowed != NULL) {
        thread_borrowed_depth++;
        return thread_borrowed;
    }
    struct thread *thread = record_acquire();
    if (thread == NULL) {
        process_drop_event();
        return NULL;
    }
    if (atomic_load_explicit(&thread_running_count, memory_order_relaxed) > 1) {
        process_set_shared();
    }
    if (thread_has_ended) {
        thread->gate |= THREAD_TRANSIENT;
        thread_borrowed = thread;
        thread_borrowed_depth = 1;
        return thread;
    }
    thread_self = thread;
    atomic_fetch_add_explicit(&process_cold.process->threads_started, 1, memory_order_relaxed);
    if (thread_end_key_exists) {
        pthread_setspecific(thread_end_key, thread);
    }
    cpu_timer_start(thread);
    return thread;
}

struct thread *thread_enter_slow(void)
{
    /* A sample in here must not come in too. What it counts is charged by the next hook. */
    uintptr_t outer = cpu_mark.frame;
    CPU_MARK_ENTER();
    struct thread *thread = enter();
    cpu_mark.frame = outer;
    return thread;
}

void thread_leave_slow(struct thread *thread)
{
    if (--thread_borrowed_depth == 0) {
        thread_borrowed = NULL;
        record_release(thread);
    }
}

void thread_forked(void)
{
    thread_borrowed = NULL;
    uint32_t count = atomic_load_explicit(&thread_record_count, memory_order_relaxed);
    atomic_store_explicit(&thread_free_list, 0, memory_order_relaxed);
    for (uint32_t i = 0; i < count && i < THREAD_RECORDS_MAX; i++) {
        struct thread *thread = thread_record[i];
        if (thread == NULL) {
            continue;
        }
        thread->table = NULL;
        thread->cpu_timer = 0; /* the kernel's timers stay with the parent */
        thread->unpublished_bytes = 0;
        thread->unpublished_blocks = 0;
        for (uint32_t chunk = 0; chunk < ARENA_SITE_CHUNKS; chunk++) {
            if (thread->sites[chunk] != NULL) { /* reading leaves the page shared */
                thread->sites[chunk] = NULL;
            }
            if (thread->lifetimes[chunk] != NULL) {
                thread->lifetimes[chunk] = NULL;
            }
        }
        if (thread != thread_self) {
            free_list_push(thread);
        }
    }
    struct thread *self = thread_self;
    if (self != NULL) {
        self->table = thread_table_new(process_cold.process);
        if (self->table == NULL) {
            thread_self = NULL;
            return;
        }
        self->process = process_cold.process;
        self->tid = (uint32_t)raw_tid();
        self->table->tid = (int32_t)self->tid;
        self->batch_bytes = 0;
        atomic_store_explicit(&thread_running_count, 1, memory_order_relaxed);
        atomic_store_explicit(&self->table->state, ARENA_THREAD_IN_USE, memory_order_relaxed);
        atomic_store_explicit(&process_cold.process->threads_started, 1, memory_order_relaxed);
        cpu_timer_start(self);
    }
}

void thread_each(void (*visit)(struct thread *thread))
{
    uint32_t count = atomic_load_explicit(&thread_record_count, memory_order_relaxed);
    for (uint32_t i = 0; i < count && i < THREAD_RECORDS_MAX; i++) {
        if (thread_record[i] != NULL) {
            visit(thread_record[i]);
        }
    }
}

void thread_visit_own(void (*visit)(void *context, uintptr_t start, size_t bytes), void *context)
{
    uint32_t count = atomic_load_explicit(&thread_record_count, memory_order_relaxed);
    for (uint32_t i = 0; i < count && i < THREAD_RECORDS_MAX; i++) {
        if (thread_record[i] != NULL) {
            visit(context, (uintptr_t)thread_record[i],
                  THREAD_PAGES_BYTES + capture_thread_bytes());
            capture_thread_visit_own(thread_record[i]->capture, visit, context);
        }
    }
}

struct arena_site *thread_site_new(struct thread *thread, uint32_t stack)
{
    uint32_t chunk = stack / ARENA_SITES_PER_CHUNK;
    struct arena_site *sites =
        arena_chunk_get(&process_cold.arena, thread->table->site_chunk, chunk,
                        ARENA_SITES_PER_CHUNK * sizeof(struct arena_site));
    if (sites == NULL) {
        return NULL;
    }
    thread->sites[chunk] = sites;
    return &sites[stack % ARENA_SITES_PER_CHUNK];
}

struct arena_lifetimes *thread_lifetimes(struct thread *thread, uint32_t stack)
{
    uint32_t number = stack / ARENA_SITES_PER_CHUNK;
    struct arena_lifetimes *chunk = thread->lifetimes[number];
    if (__builtin_expect(chunk == NULL, 0)) {
        chunk = arena_chunk_get(&process_cold.arena, thread->table->lifetime_chunk, number,
                                ARENA_SITES_PER_CHUNK * sizeof(struct arena_lifetimes));
        if (chunk == NULL) {
            return NULL;
        }
        thread->lifetimes[number] = chunk;
    }
    return &chunk[stack % ARENA_SITES_PER_CHUNK];
}
