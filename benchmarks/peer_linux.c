/* The lifecycle of a pair in the Linux kernel: one thread, loopback, a network namespace of its own.
 *
 * connect, accept, close by the client, close by the server: seven segments, no data, six system calls
 * (two sockets are made). It prints CPU time per lifecycle in ns, system calls and soft interrupts included,
 * a line per sample. Exit status 3: no namespace could be made; the reason is on standard error.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 8080
#define LIVES 5000 /* per sample; the ports of one address would be enough for five times that */

static void need(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(what[0] == 'n' ? 3 : 1);
    }
}

static int64_t cpu_ns(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000LL
           + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000LL;
}

static void live(int listener, const struct sockaddr_in *server)
{
    int ours = socket(AF_INET, SOCK_STREAM, 0), theirs;
    need(ours >= 0, "socket");
    need(connect(ours, (const struct sockaddr *)server, sizeof *server) == 0, "connect");
    theirs = accept4(listener, NULL, NULL, 0);
    need(theirs >= 0, "accept");
    need(close(ours) == 0, "close");
    need(close(theirs) == 0, "close");
}

int main(int argc, char **argv)
{
    int samples = argc > 1 ? atoi(argv[1]) : 5, any, listener;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

    need(unshare(CLONE_NEWNET) == 0, "network namespace");
    any = socket(AF_INET, SOCK_DGRAM, 0);
    need(any >= 0 && ioctl(any, SIOCSIFFLAGS, &loopback) == 0, "network loopback");
    listener = socket(AF_INET, SOCK_STREAM, 0);
    need(bind(listener, (struct sockaddr *)&server, sizeof server) == 0, "bind");
    need(listen(listener, 1024) == 0, "listen");
    for (int sample = 0; sample <= samples; sample++) {
        int64_t began;
        server.sin_addr.s_addr = htonl(0x7f000101 + sample); /* ports of TIME_WAITs are not in the way */
        began = cpu_ns();
        for (int i = 0; i < LIVES; i++)
            live(listener, &server);
        if (sample) /* the first one warms up */
            printf("%.1f\n", (double)(cpu_ns() - began) / LIVES);
    }
    return 0;
}
