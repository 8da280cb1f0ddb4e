#include "symbolize/debug_server.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Source: elfutils' debuginfod.h; the library's ABI is stable as libdebuginfod.so.1. */
typedef struct debuginfod_client debuginfod_client;
typedef int progress_function(debuginfod_client *client, long a, long b);

struct debug_server {
    void *library;
    debuginfod_client *client;
    int (*find)(debuginfod_client *client, const unsigned char *build_id, int length, char **path);
    void (*end)(debuginfod_client *client);
    unsigned seconds_left;
    bool is_off;
};

/* The callback's only way to know when to stop; questions come one at a time. */
static _Thread_local time_t deadline_seconds;

static time_t monotonic_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static int stop_at_deadline(debuginfod_client *client, long a, long b)
{
    (void)client;
    (void)a;
    (void)b;
    return monotonic_seconds() >= deadline_seconds ? 1 : 0;
}

/* dlsym() gives an object pointer; POSIX lets it be a function's. */
static void *function_find(struct debug_server *server, const char *name)
{
    return dlsym(server->library, name);
}

static bool server_connect(struct debug_server *server)
{
    server->library = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);
    if (server->library == NULL) {
        return false;
    }
    debuginfod_client *(*begin)(void);
    void (*set_progress)(debuginfod_client *, progress_function *);
    *(void **)&begin = function_find(server, "debuginfod_begin");
    *(void **)&set_progress = function_find(server, "debuginfod_set_progressfn");
    *(void **)&server->find = function_find(server, "debuginfod_find_debuginfo");
    *(void **)&server->end = function_find(server, "debuginfod_end");
    if (begin == NULL || set_progress == NULL || server->find == NULL || server->end == NULL) {
        return false;
    }
    server->client = begin();
    if (server->client == NULL) {
        return false;
    }
    set_progress(server->client, stop_at_deadline);
    return true;
}

int debug_server_new(struct debug_server **server, unsigned seconds_max)
{
    *server = calloc(1, sizeof(**server));
    if (*server == NULL) {
        return -ENOMEM;
    }
    (*server)->seconds_left = seconds_max;
    return 0;
}

enum debug_server_result debug_server_find(struct debug_server **place, const uint8_t *build_id,
                                           size_t build_id_bytes, char **path)
{
    struct debug_server *server = *place;
    const char *urls = getenv("DEBUGINFOD_URLS");
    if (server == NULL || urls == NULL || urls[0] == '\0') {
        return DEBUG_SERVER_NOT_FOUND;
    }
    if (!server->is_off && server->client == NULL && !server_connect(server)) {
        server->is_off = true;
    }
    if (server->is_off || server->seconds_left == 0) {
        return DEBUG_SERVER_FAILED;
    }
    time_t start = monotonic_seconds();
    deadline_seconds = start + (time_t)server->seconds_left;
    int descriptor = server->find(server->client, build_id, (int)build_id_bytes, path);
    time_t spent = monotonic_seconds() - start;
    server->seconds_left -= spent < (time_t)server->seconds_left ? (unsigned)spent
                                                                 : server->seconds_left;
    if (descriptor >= 0) {
        close(descriptor);
        return DEBUG_SERVER_FOUND;
    }
    /* A question that was given up at the deadline comes back as "not found" too. */
    if (descriptor == -ENOENT && spent + 1 < deadline_seconds - start) {
        return DEBUG_SERVER_NOT_FOUND;
    }
    server->is_off = true;
    return DEBUG_SERVER_FAILED;
}

void debug_server_free(struct debug_server *server)
{
    if (server == NULL) {
        return;
    }
    if (server->client != NULL) {
        server->end(server->client);
    }
    /* The library stays: its own libraries (curl, TLS) do not survive being unloaded. */
    free(server);
}
