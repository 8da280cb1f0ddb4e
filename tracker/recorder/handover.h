/*
 * recorder/handover.h - how a tracked program comes by the arena.
 *
 *   MEMTRACK_ARENA=<recorder's pid>:<its descriptor>:<key in hex>:@<abstract socket name>
 *
 * The shim opens /proc/<pid>/fd/<descriptor>. Where that fails (another user, another pid
 * namespace, the recorder went to the background), it connects to the socket
 * (SOCK_SEQPACKET), sends the key (8 bytes, native order) and receives the descriptor
 * by SCM_RIGHTS with one byte. Who does not know the key gets nothing.
 *
 * Context: recorder. Memory: fixed. Threads: one.
 */
#ifndef MEMTRACK_RECORDER_HANDOVER_H
#define MEMTRACK_RECORDER_HANDOVER_H

#include "recorder/arena_file.h"

#define HANDOVER_VARIABLE "MEMTRACK_ARENA"
#define HANDOVER_TEXT_BYTES 128
#define HANDOVER_CLIENTS_MAX 8

struct handover {
    int listen_fd;                       /* -1: no socket could be made */
    int client_fd[HANDOVER_CLIENTS_MAX]; /* connected, key not seen yet; -1: free */
    char text[HANDOVER_TEXT_BYTES];      /* the variable's value */
};

/* Makes the socket and the text. Without a socket (refused by a sandbox) the text has
 * none, and tracking still works for programs of the same user. */
void handover_open(struct handover *handover, const struct arena_file *file);
void handover_close(struct handover *handover);

/* Adds the descriptors to wait for to an epoll instance, with `data` for each. */
void handover_watch(const struct handover *handover, int epoll_fd, uint64_t data);

/* Serves whoever connected; never blocks. epoll_fd and data as for handover_watch. */
void handover_serve(struct handover *handover, const struct arena_file *file, int epoll_fd,
                    uint64_t data);

#endif
