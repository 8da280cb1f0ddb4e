/*
 * census/parking.h - makes the other threads stand still, without privileges.
 *
 * Each gets signal 33 (glibc's own SIGSETXID, which programs can neither block by
 * sigprocmask nor use), told from glibc's by its si_code. Its handler leaves the thread's
 * registers here and waits until released. A thread that does not come in time (it blocks
 * all signals by system call, waits in vfork or in the kernel) stays unparked: its
 * registers are not known, its whole stack counts.
 *
 * Context: inside the tracked program, async-signal-safe.
 * Memory:  static, PARKING_THREADS_MAX places; further threads stay unparked.
 * Threads: one parks at a time (parking_begin); handlers only write their own place.
 */
#ifndef MEMTRACK_CENSUS_PARKING_H
#define MEMTRACK_CENSUS_PARKING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARKING_SIGNAL 33
#define PARKING_THREADS_MAX 4096u
#define PARKING_REGISTERS 16u
#define PARKING_VECTORS 3u /* SSE's, what AVX adds, what AVX-512 adds */

/* A thread that stands still. */
struct parked_thread {
    _Atomic uint32_t state; /* enum parked_state */
    int32_t tid;
    uint32_t generation;
    uintptr_t thread_pointer; /* fs */
    uintptr_t pc; /* as in struct unwind_state */
    uintptr_t sp;
    uintptr_t bp;
    uintptr_t registers[PARKING_REGISTERS]; /* all that the ABI has, sp included */
    /* Where its vector registers lie: in the frame of its handler, while it stands still. */
    struct parked_vectors {
        uintptr_t start;
        uintptr_t end;
    } vectors[PARKING_VECTORS];
};

enum parked_state { PARKED_FREE, PARKED_CALLED, PARKED_STANDING, PARKED_GONE, PARKED_LATE };

struct parking {
    struct parked_thread *threads; /* [0..count) */
    uint32_t count;
    uint32_t standing;
    uint32_t late; /* did not come; those beyond the table too */
};

/* Installs the handler, if it is not there. Called again after glibc may have set its own.
 * `on_request` is called, in the handler, for requests from outside, with the signal's value;
 * may be NULL. Returns whether it is installed. */
bool parking_install(void (*on_request)(const void *ucontext, uint32_t value));

/* Calls all other threads and waits until they stand still, at most limit_ns. False: somebody
 * else is parking. */
bool parking_begin(struct parking *parking, uint64_t limit_ns);

/* Adds the calling thread, which stands where `self` says. */
void parking_add_self(struct parking *parking, const struct parked_thread *self);

/* Lets them go. */
void parking_end(void);

/* Takes the registers of a handler's ucontext. */
void parking_take(struct parked_thread *thread, const void *ucontext);

/* Returns fs. */
uintptr_t parking_thread_pointer(void);

#endif
