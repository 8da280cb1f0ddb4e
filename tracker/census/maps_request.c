#include "census/maps_request.h"

#include <errno.h>
#include <time.h>

#include "core/process.h"
#include "core/raw_syscall.h"

#define FUTEX_WAIT_SHARED 0
#define ANSWER_LIMIT_S 2

static struct arena_request *request_claim(void)
{
    for (size_t i = 0; i < ARENA_REQUESTS; i++) {
        struct arena_request *request = &process_cold.process->requests[i];
        uint32_t unused = 0;
        if (atomic_compare_exchange_strong_explicit(&request->state, &unused, 3,
                                                    memory_order_acquire, memory_order_relaxed)) {
            return request;
        }
    }
    return NULL;
}

static int answer_await(struct arena_request *request)
{
    struct timespec limit = {.tv_sec = ANSWER_LIMIT_S};
    uint32_t state;
    while ((state = atomic_load_explicit(&request->state, memory_order_acquire)) != 2) {
        if (raw_syscall6(SYS_futex, (long)&request->state, FUTEX_WAIT_SHARED, (long)state,
                         (long)&limit, 0, 0)
            == -ETIMEDOUT) {
            return -ETIMEDOUT;
        }
    }
    return 0;
}

int maps_request(const struct arena *arena, struct memory_map *map)
{
    struct arena_request *request = request_claim();
    if (request == NULL) {
        return -EBUSY;
    }
    request->kind = ARENA_REQUEST_MAPS;
    request->pid = raw_pid();
    request->text_bytes = 0;
    atomic_store_explicit(&request->state, 1, memory_order_release);
    process_wake_recorder();
    int error = answer_await(request);
    if (error == 0) {
        const char *text = arena_at(arena, request->text, request->text_bytes);
        error = text == NULL || request->text_bytes == 0
                    ? -ENOENT
                    : memory_map_parse(map, text, request->text_bytes);
    }
    atomic_store_explicit(&request->state, 0, memory_order_release);
    return error;
}
