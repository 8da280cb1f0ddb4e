#include "recorder/waker.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAKER_STACK_BYTES (64u * 1024u)
/* A program that does nothing but wake us gets this much attention. */
#define WAKER_PAUSE_NS 500000

static void *waker_run(void *context)
{
    struct waker *waker = context;
    uint32_t seen = atomic_load_explicit(waker->word, memory_order_acquire);
    while (!atomic_load_explicit(&waker->is_stopping, memory_order_acquire)) {
        long result = syscall(SYS_futex, waker->word, FUTEX_WAIT, seen, NULL, NULL, 0);
        uint32_t now = atomic_load_explicit(waker->word, memory_order_acquire);
        if (now != seen) {
            uint64_t one = 1;
            seen = now;
            (void)!write(waker->event_fd, &one, sizeof one);
            nanosleep(&(struct timespec){.tv_nsec = WAKER_PAUSE_NS}, NULL);
        } else if (result != 0 && errno != EINTR && errno != EAGAIN) {
            break; /* futexes are forbidden here: the tick has to do */
        }
    }
    return NULL;
}

int waker_start(struct waker *waker, _Atomic uint32_t *word)
{
    waker->word = word;
    atomic_store_explicit(&waker->is_stopping, false, memory_order_relaxed);
    waker->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (waker->event_fd < 0) {
        return -errno;
    }
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, WAKER_STACK_BYTES);
    /* Signals are for the main thread. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&waker->thread, &attributes, waker_run, waker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (code != 0) {
        close(waker->event_fd);
        waker->event_fd = -1;
    }
    return -code;
}

void waker_stop(struct waker *waker)
{
    if (waker->event_fd < 0) {
        return;
    }
    atomic_store_explicit(&waker->is_stopping, true, memory_order_release);
    /* The word changes too: the thread may be about to wait. */
    atomic_fetch_add_explicit(waker->word, 1, memory_order_release);
    syscall(SYS_futex, waker->word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    pthread_join(waker->thread, NULL);
    close(waker->event_fd);
    waker->event_fd = -1;
}

void waker_clear(const struct waker *waker)
{
    uint64_t count;
    (void)!read(waker->event_fd, &count, sizeof count);
}
