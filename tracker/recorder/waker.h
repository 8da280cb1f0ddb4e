/*
 * recorder/waker.h - turns the arena's futex into a descriptor that epoll can wait for.
 *
 * The shim bumps arena_header.wake and wakes its futex when there is news: a process
 * began, or asks for a snapshot. A thread sleeps on that futex and passes each wake-up
 * on to an eventfd, so that the recorder looks at once and not at its next tick: a process
 * that lives for a millisecond only is met while the kernel still knows it.
 *
 * Context: recorder. Memory: one thread with a small stack. Threads: start and stop are
 * the recorder's; stop before a fork.
 */
#ifndef MEMTRACK_RECORDER_WAKER_H
#define MEMTRACK_RECORDER_WAKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct waker {
    int event_fd; /* readable when there is news; -1: not running */
    _Atomic uint32_t *word;
    _Atomic bool is_stopping;
    pthread_t thread;
};

/* Returns 0, or a negative errno: then news waits for the next tick. */
int waker_start(struct waker *waker, _Atomic uint32_t *word);
void waker_stop(struct waker *waker);

/* Takes the news away, so that event_fd is quiet until the next. */
void waker_clear(const struct waker *waker);

#endif
