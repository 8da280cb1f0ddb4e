/*
 * growth/http_server.c - a small HTTP server that leaks on one URL only.
 *
 * GET /hello, /big and /session are answered; each /session leaves a record of itself behind,
 * that nobody will ever look at again. /quit ends the server. It prints its port first.
 *
 * usage: http_server
 *
 * Truth
 *   session_open(): growing; 2 allocations per /session, 128 + 40 bytes
 *   parse_request(), answer_big(): steady
 *   status: 0
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct session {
    struct session *next;
    char *name;
    char state[112];
};

static struct session *sessions;

static char *parse_request(const char *text)
{
    char *path = malloc(256);
    if (sscanf(text, "GET %255s", path) != 1) {
        strcpy(path, "/");
    }
    return path;
}

static void session_open(int number)
{
    struct session *session = malloc(sizeof *session);
    session->name = malloc(40);
    snprintf(session->name, 40, "session %d", number);
    session->next = sessions;
    sessions = session;
}

static void answer(int client, const char *text)
{
    char head[128];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                          strlen(text));
    if (write(client, head, (size_t)length) < 0 || write(client, text, strlen(text)) < 0) {
        perror("http_server");
    }
}

static void answer_big(int client)
{
    char *text = malloc(100000);
    memset(text, 'x', 99999);
    text[99999] = '\0';
    answer(client, text);
    free(text);
}

static int serve(int client)
{
    static int count;
    char text[2048];
    ssize_t length = read(client, text, sizeof text - 1);
    text[length < 0 ? 0 : length] = '\0';
    char *path = parse_request(text);
    int goes_on = strcmp(path, "/quit") != 0;
    if (strcmp(path, "/session") == 0) {
        session_open(++count);
        answer(client, "opened\n");
    } else if (strcmp(path, "/big") == 0) {
        answer_big(client);
    } else {
        answer(client, "hello\n");
    }
    free(path);
    close(client);
    return goes_on;
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t room = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0
        || listen(listener, 64) != 0
        || getsockname(listener, (struct sockaddr *)&address, &room) != 0) {
        perror("http_server");
        return 1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (int goes_on = 1; goes_on;) {
        int client = accept(listener, NULL, NULL);
        goes_on = client < 0 ? 0 : serve(client);
    }
    return 0;
}
