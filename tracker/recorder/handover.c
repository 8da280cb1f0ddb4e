#include "recorder/handover.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Returns a listening socket with a random abstract name, written to name; or -1. */
static int socket_listen(char *name, size_t name_bytes)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        return -1;
    }
    snprintf(name, name_bytes, "@memtrack-%016" PRIx64, random);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    memcpy(address.sun_path, name, length);
    address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (bind(fd, (struct sockaddr *)&address, bytes) != 0
        || listen(fd, HANDOVER_CLIENTS_MAX) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void handover_open(struct handover *handover, const struct arena_file *file)
{
    char name[40];
    handover->listen_fd = socket_listen(name, sizeof name);
    for (int i = 0; i < HANDOVER_CLIENTS_MAX; i++) {
        handover->client_fd[i] = -1;
    }
    snprintf(handover->text, sizeof handover->text, "%d:%d:%016" PRIx64 "%s%s",
             (int)file->arena.header->recorder_pid, file->fd, file->arena.header->key,
             handover->listen_fd < 0 ? "" : ":", handover->listen_fd < 0 ? "" : name);
}

void handover_close(struct handover *handover)
{
    for (int i = 0; i < HANDOVER_CLIENTS_MAX; i++) {
        if (handover->client_fd[i] >= 0) {
            close(handover->client_fd[i]);
            handover->client_fd[i] = -1;
        }
    }
    if (handover->listen_fd >= 0) {
        close(handover->listen_fd);
        handover->listen_fd = -1;
    }
}

void handover_watch(const struct handover *handover, int epoll_fd, uint64_t data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};
    if (handover->listen_fd >= 0) {
        (void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, handover->listen_fd, &event);
    }
}

static void descriptor_send(int client_fd, int fd)
{
    char byte = 0;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    (void)sendmsg(client_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void client_accept(struct handover *handover, int epoll_fd, uint64_t data)
{
    int fd = accept4(handover->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    /* A full table means that somebody connects and stays silent: the eldest goes. */
    if (handover->client_fd[HANDOVER_CLIENTS_MAX - 1] >= 0) {
        close(handover->client_fd[HANDOVER_CLIENTS_MAX - 1]);
    }
    memmove(handover->client_fd + 1, handover->client_fd,
            (HANDOVER_CLIENTS_MAX - 1) * sizeof handover->client_fd[0]);
    handover->client_fd[0] = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};
    (void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

void handover_serve(struct handover *handover, const struct arena_file *file, int epoll_fd,
                    uint64_t data)
{
    if (handover->listen_fd < 0) {
        return;
    }
    client_accept(handover, epoll_fd, data);
    for (int i = 0; i < HANDOVER_CLIENTS_MAX; i++) {
        int fd = handover->client_fd[i];
        uint64_t key = 0;
        if (fd < 0) {
            continue;
        }
        ssize_t got = recv(fd, &key, sizeof key, MSG_DONTWAIT);
        if (got < 0) {
            continue;
        }
        if (got == (ssize_t)sizeof key && key == file->arena.header->key) {
            descriptor_send(fd, file->fd);
        }
        close(fd);
        handover->client_fd[i] = -1;
    }
}
