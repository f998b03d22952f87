/* A byte copier: one upstream connection per client connection, bytes passed on unread. It parses nothing, so it
 * is the least that a proxy in user space can cost: the limit that the other columns are measured against.
 *
 * copier LISTEN_PORT ORIGIN_PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 65536, BUFFER = 65536, EVENTS = 256 };

static int other[MAX_FD]; /* the socket that a socket's bytes go to */
static char buffer[BUFFER];

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static void close_pair(int fd) {
    int peer = other[fd];
    other[fd] = -1;
    if (peer >= 0) {
        other[peer] = -1;
        close(peer);
    }
    close(fd);
}

/* Messages are small here, so a full socket buffer ends the pair instead of being waited for. */
static void copy(int fd) {
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0 || send(other[fd], buffer, (size_t)got, MSG_NOSIGNAL) != got) close_pair(fd);
}

static void watch(int epoll, int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
}

static void accept_one(int epoll, int listener, int origin_port) {
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    int origin = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = loopback(origin_port);
    if (client < 0 || origin < 0 || client >= MAX_FD || origin >= MAX_FD ||
        connect(origin, (struct sockaddr *)&to, sizeof to) != 0) {
        if (client >= 0) close(client);
        if (origin >= 0) close(origin);
        return;
    }
    other[client] = origin;
    other[origin] = client;
    watch(epoll, client);
    watch(epoll, origin);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1, epoll = epoll_create1(0);
    struct sockaddr_in at = loopback(atoi(argv[1]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 1024) != 0) {
        perror("copier");
        return 1;
    }
    for (int i = 0; i < MAX_FD; i++) other[i] = -1;
    struct epoll_event first = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &first);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) accept_one(epoll, listener, atoi(argv[2]));
            else if (other[fd] >= 0) copy(fd);
        }
    }
}
