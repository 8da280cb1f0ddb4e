/*
 * symbolize/debug_server.h - debug files from the servers that DEBUGINFOD_URLS names.
 *
 * libdebuginfod is loaded when it is first needed, so that nothing depends on it. All
 * questions together may take a fixed time; after that, or after a failure to reach any
 * server, none is asked again: a report must not hang on a network.
 *
 * Context: analyzer, recorder.   Memory: freed by debug_server_free().
 * Threads: one at a time.
 */
#ifndef MEMTRACK_SYMBOLIZE_DEBUG_SERVER_H
#define MEMTRACK_SYMBOLIZE_DEBUG_SERVER_H

#include <stddef.h>
#include <stdint.h>

struct debug_server;

enum debug_server_result { DEBUG_SERVER_FOUND, DEBUG_SERVER_NOT_FOUND, DEBUG_SERVER_FAILED };

/* Sets the bound in seconds. *server: NULL at first. Returns 0 or -ENOMEM. */
int debug_server_new(struct debug_server **server, unsigned seconds_max);

/* *path: the file in debuginfod's own cache, the caller frees it. */
enum debug_server_result debug_server_find(struct debug_server **server, const uint8_t *build_id,
                                           size_t build_id_bytes, char **path);

void debug_server_free(struct debug_server *server);

#endif
