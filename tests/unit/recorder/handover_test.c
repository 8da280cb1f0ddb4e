/* Claims about recorder/handover.h: who knows the key gets the arena, nobody else. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "recorder/handover.h"

struct fixture {
    struct arena_file file;
    struct handover handover;
    int epoll_fd;
};

static struct fixture fixture;

static int fixture_open(void **state)
{
    (void)state;
    struct arena_config config = {0};
    if (arena_file_create(&config, &fixture.file, NULL) != 0) {
        return -1;
    }
    handover_open(&fixture.handover, &fixture.file);
    fixture.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    handover_watch(&fixture.handover, fixture.epoll_fd, 1);
    return 0;
}

static int fixture_close(void **state)
{
    (void)state;
    handover_close(&fixture.handover);
    arena_file_close(&fixture.file);
    return close(fixture.epoll_fd);
}

static int client_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = strchr(fixture.handover.text, '@');
    assert_non_null(name);
    size_t length = strlen(name);
    memcpy(address.sun_path, name, length);
    address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                     0);
    return fd;
}

static void serve(void)
{
    struct epoll_event event;
    while (epoll_wait(fixture.epoll_fd, &event, 1, 0) == 1) {
        handover_serve(&fixture.handover, &fixture.file, fixture.epoll_fd, 1);
    }
}

/* Returns the descriptor that came, or -1. */
static int client_receive(int fd)
{
    char byte;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    int received = -1;
    if (recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) == 1
        && CMSG_FIRSTHDR(&message) != NULL) {
        memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof received);
    }
    return received;
}

static void handover_text_names_pid_descriptor_and_key(void **state)
{
    (void)state;
    int pid;
    int fd;
    uint64_t key;
    assert_int_equal(sscanf(fixture.handover.text, "%d:%d:%" SCNx64 ":@", &pid, &fd, &key), 3);
    assert_int_equal(pid, getpid());
    assert_int_equal(fd, fixture.file.fd);
    assert_true(key == fixture.file.arena.header->key);
    assert_true(key != 0);
}

static void handover_gives_the_arena_to_who_knows_the_key(void **state)
{
    (void)state;
    int client = client_connect();
    serve(); /* the key may come later than the connection */
    assert_int_equal(write(client, &fixture.file.arena.header->key, 8), 8);
    serve();
    int received = client_receive(client);
    assert_true(received >= 0);
    struct stat theirs;
    struct stat ours;
    assert_int_equal(fstat(received, &theirs), 0);
    assert_int_equal(fstat(fixture.file.fd, &ours), 0);
    assert_int_equal(theirs.st_ino, ours.st_ino);
    close(received);
    close(client);
}

static void handover_gives_nothing_for_a_wrong_key(void **state)
{
    (void)state;
    uint64_t wrong = fixture.file.arena.header->key + 1;
    int client = client_connect();
    assert_int_equal(write(client, &wrong, sizeof wrong), sizeof wrong);
    serve();
    assert_int_equal(client_receive(client), -1);
    close(client);
    client = client_connect();
    assert_int_equal(write(client, &wrong, 3), 3);
    serve();
    assert_int_equal(client_receive(client), -1);
    close(client);
}

static void handover_serves_others_while_many_stay_silent(void **state)
{
    (void)state;
    int silent[3 * HANDOVER_CLIENTS_MAX];
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        silent[i] = client_connect();
        serve();
    }
    int client = client_connect();
    assert_int_equal(write(client, &fixture.file.arena.header->key, 8), 8);
    serve();
    int received = client_receive(client);
    assert_true(received >= 0);
    close(received);
    close(client);
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        close(silent[i]);
    }
}

static void arena_cannot_be_resized_by_who_maps_it(void **state)
{
    (void)state;
    assert_int_equal(ftruncate(fixture.file.fd, 4096), -1);
    assert_true(fixture.file.arena.header->magic == ARENA_MAGIC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handover_text_names_pid_descriptor_and_key),
        cmocka_unit_test(handover_gives_the_arena_to_who_knows_the_key),
        cmocka_unit_test(handover_gives_nothing_for_a_wrong_key),
        cmocka_unit_test(handover_serves_others_while_many_stay_silent),
        cmocka_unit_test(arena_cannot_be_resized_by_who_maps_it),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
