/* The lifecycle of a pair in lwIP: raw API, one thread, two interfaces joined in memory.
 *
 * Every packet is copied once, as through lwIP's own loop interface; IP and TCP checksums are
 * made and checked; no timestamps (this build has none). TIME_WAIT is cut short by tcp_abort, since the list
 * of them is walked for every segment. Arguments: samples, connections that stay open meanwhile.
 * Prints CPU time per lifecycle in ns, a line per sample; a lifecycle that is not seven segments is an error.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lwip/init.h"
#include "lwip/ip4.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#define PORT 80
#define QUEUE 64 /* packets on their way; a life has three at most */

static struct netif ends[2]; /* client, server */
static struct { struct pbuf *packet; struct netif *to; } queue[QUEUE];
static unsigned head, tail, carried;
static struct tcp_pcb *accepted;

static void need(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "lwip: %s\n", what);
        exit(1);
    }
}

static err_t send_packet(struct netif *from, struct pbuf *p, const ip4_addr_t *to)
{
    struct pbuf *copy = pbuf_alloc(PBUF_LINK, p->tot_len, PBUF_RAM);
    (void)to;
    need(copy != NULL && pbuf_copy(copy, p) == ERR_OK && tail - head < QUEUE, "no room for a packet");
    queue[tail % QUEUE].packet = copy;
    queue[tail++ % QUEUE].to = &ends[from == &ends[0]];
    return ERR_OK;
}

static void deliver(void)
{
    while (head != tail) {
        unsigned now = head++ % QUEUE;
        carried++;
        ip4_input(queue[now].packet, queue[now].to);
    }
}

static err_t start(struct netif *netif)
{
    netif->output = send_packet;
    netif->mtu = 1500;
    netif->name[0] = 'w';
    return ERR_OK;
}

static err_t on_data(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    (void)arg, (void)pcb, (void)err;
    need(p == NULL, "data came");
    return ERR_OK; /* the end of the peer's data: the application closes later */
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    (void)arg;
    need(err == ERR_OK, "accept");
    tcp_recv(pcb, on_data);
    accepted = pcb;
    return ERR_OK;
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    (void)arg, (void)pcb;
    return err;
}

static struct tcp_pcb *establish(void)
{
    struct tcp_pcb *pcb = tcp_new();
    need(pcb != NULL, "tcp_new");
    tcp_bind_netif(pcb, &ends[0]);
    tcp_recv(pcb, on_data);
    accepted = NULL;
    need(tcp_connect(pcb, netif_ip_addr4(&ends[1]), PORT, on_connected) == ERR_OK, "tcp_connect");
    deliver();
    need(accepted != NULL && pcb->state == ESTABLISHED, "no connection");
    return pcb;
}

static void live(void)
{
    struct tcp_pcb *ours = establish();
    need(tcp_close(ours) == ERR_OK, "tcp_close");
    deliver();
    need(tcp_close(accepted) == ERR_OK, "tcp_close");
    deliver();
    need(ours->state == TIME_WAIT, "no TIME_WAIT");
    tcp_abort(ours);
}

int main(int argc, char **argv)
{
    int samples = argc > 1 ? atoi(argv[1]) : 5, open = argc > 2 ? atoi(argv[2]) : 0;
    int lives = open ? 2000 : 50000;
    ip4_addr_t address, mask, gateway;
    struct tcp_pcb *listener;

    lwip_init();
    IP4_ADDR(&mask, 255, 255, 255, 0);
    ip4_addr_set_zero(&gateway);
    for (int end = 0; end < 2; end++) {
        IP4_ADDR(&address, 10, 0, end, 1);
        need(netif_add(&ends[end], &address, &mask, &gateway, NULL, start, ip4_input) != NULL, "netif_add");
        netif_set_up(&ends[end]);
        netif_set_link_up(&ends[end]);
    }
    listener = tcp_new();
    need(tcp_bind(listener, netif_ip_addr4(&ends[1]), PORT) == ERR_OK, "tcp_bind");
    tcp_bind_netif(listener, &ends[1]);
    listener = tcp_listen_with_backlog(listener, 255);
    tcp_accept(listener, on_accept);
    for (int i = 0; i < open; i++)
        establish();
    for (int sample = 0; sample <= samples; sample++) {
        struct timespec began, ended;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
        carried = 0;
        for (int i = 0; i < lives; i++)
            live();
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
        need(carried == 7u * lives, "a life is not seven segments");
        if (sample) /* the first one warms up */
            printf("%.1f\n", ((ended.tv_sec - began.tv_sec) * 1e9 + (ended.tv_nsec - began.tv_nsec)) / lives);
    }
    return 0;
}
