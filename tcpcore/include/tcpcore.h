/* The tcpcore engine for C and C++: structs, constants, and the functions behind import_tcpcore().
 *
 * Every source file that includes this calls import_tcpcore() once, with the GIL: 0, or -1 with ImportError
 * set. Then the functions work in that file; all but engine_of() without the GIL. The manual is
 * docs/embedding-c.md. The structs are those of tcpcore/c_api.pxd, which says what the fields mean; a test
 * compares the two.
 *
 * TCPCORE_LONG_NAMES defined before: the structs have their tcpcore_ names only.
 */
#ifndef TCPCORE_H
#define TCPCORE_H

#include <Python.h>
#include <stddef.h>
#include <stdint.h>

#define TCPCORE_ABI 1

/* What a function returns instead of a number of rows: -(rows needed), or one of these. Nothing was done. */
#define TCPCORE_BUSY (-((Py_ssize_t)1 << 60) - 1)
#define TCPCORE_TIME_BACK (-((Py_ssize_t)1 << 60) - 2)
#define TCPCORE_BAD_ARGUMENT (-((Py_ssize_t)1 << 60) - 3)
#define TCPCORE_NO_MEMORY (-((Py_ssize_t)1 << 60) - 4)

typedef struct tcp_engine tcp_engine;

typedef struct tcpcore_segment {
    uint32_t src, dst;
    uint16_t sport, dport;
    uint32_t seq, ack;
    uint16_t wnd;                 /* as on the wire, unscaled */
    uint16_t payload_len;
    uint8_t flags;                /* TCPCORE_FIN | ... */
    uint8_t opts;                 /* TCPCORE_OPT_MSS | ...: which options are present */
    uint8_t wscale;
    uint8_t _pad0;
    uint16_t mss;
    uint16_t _pad1;
    uint32_t tsval, tsecr;
} tcpcore_segment;

typedef struct tcpcore_event {
    uint64_t conn;                /* handle */
    int64_t at;                   /* ns */
    uint32_t listener;            /* listener id, 0 for active opens */
    uint8_t kind;                 /* TCPCORE_EV_... */
    uint8_t cause;                /* tcpcore.Cause, 0 where nothing went wrong */
    uint8_t state;                /* TCPCORE_CLOSED ... after the event */
    uint8_t _pad0;
} tcpcore_event;

typedef struct tcpcore_info {
    uint8_t state;                /* TCPCORE_CLOSED ... */
    uint8_t retries;
    uint16_t error;               /* errno as SO_ERROR would give it */
    uint32_t listener;            /* listener id, 0 for active opens */
    uint32_t snd_una, snd_nxt, rcv_nxt;
    uint32_t unread;              /* bytes */
    int64_t deadline;             /* ns, 0 while no timer runs */
} tcpcore_info;

/* One row of engine_play(): what happens, and when. */
typedef struct tcpcore_op {
    int64_t at;                   /* ns */
    uint64_t conn;                /* handle; TCPCORE_OP_ACCEPT: listener id */
    uint64_t result;              /* out: a handle, a number of bytes, TCPCORE_NOT_REACHED or TCPCORE_REFUSED */
    tcpcore_segment seg;          /* SEGMENT: what arrives; CONNECT: dst, dport, src, sport */
    uint32_t arg;                 /* SEND, RECV: bytes */
    uint8_t kind;                 /* TCPCORE_OP_... */
    uint8_t _pad0;
    uint16_t _pad1;
} tcpcore_op;

#define TCPCORE_NOT_REACHED UINT64_MAX
#define TCPCORE_REFUSED (UINT64_MAX - 1)

/* a code of engine_unreachable: ICMP time exceeded in transit, 256 * type + code */
#define TCPCORE_TIME_EXCEEDED (256 * 11)

typedef struct tcpcore_connect_row {
    uint32_t dst;
    uint32_t src;                 /* 0: Config.local_addr */
    uint16_t dport;
    uint16_t sport;               /* 0: choose an ephemeral port */
    uint32_t isn;                 /* used if has_isn */
    uint32_t rcv_buf;             /* bytes; 0: the knob's */
    uint8_t has_isn;
    uint8_t keepalive;            /* 1: probe the peer after a silence of tcp_keepalive_time */
    uint16_t _pad1;
} tcpcore_connect_row;

typedef struct tcpcore_four_tuple {
    uint32_t raddr, laddr;
    uint16_t rport, lport;
} tcpcore_four_tuple;

#ifndef TCPCORE_LONG_NAMES
typedef tcpcore_segment Segment;
typedef tcpcore_event Event;
typedef tcpcore_info Info;
typedef tcpcore_op Op;
typedef tcpcore_connect_row ConnectRow;
typedef tcpcore_four_tuple FourTuple;
#endif

enum { /* RFC 9293 3.1, the control bits */
    TCPCORE_FIN = 1, TCPCORE_SYN = 2, TCPCORE_RST = 4, TCPCORE_PSH = 8,
    TCPCORE_ACK = 16, TCPCORE_URG = 32, TCPCORE_ECE = 64, TCPCORE_CWR = 128
};

enum {
    TCPCORE_OPT_MSS = 1, TCPCORE_OPT_WSCALE = 2, TCPCORE_OPT_SACK_OK = 4, TCPCORE_OPT_TS = 8
};

enum { /* RFC 9293 3.3.2 */
    TCPCORE_CLOSED = 0, TCPCORE_LISTEN = 1, TCPCORE_SYN_SENT = 2, TCPCORE_SYN_RECEIVED = 3,
    TCPCORE_ESTABLISHED = 4, TCPCORE_FIN_WAIT_1 = 5, TCPCORE_FIN_WAIT_2 = 6, TCPCORE_CLOSE_WAIT = 7,
    TCPCORE_CLOSING = 8, TCPCORE_LAST_ACK = 9, TCPCORE_TIME_WAIT = 10
};

enum {
    TCPCORE_EV_OPENED = 1, TCPCORE_EV_ESTABLISHED = 2, TCPCORE_EV_ACCEPTED = 3, TCPCORE_EV_CLOSED = 4,
    TCPCORE_EV_LOST = 5, TCPCORE_EV_REFUSED = 6, TCPCORE_EV_TIME_WAIT = 7, TCPCORE_EV_READABLE = 8,
    TCPCORE_EV_EOF = 9, TCPCORE_EV_WRITABLE = 10
};

enum { /* tcpcore_op.kind */
    TCPCORE_OP_SEGMENT = 1, TCPCORE_OP_CONNECT = 2, TCPCORE_OP_ACCEPT = 3, TCPCORE_OP_SEND = 4,
    TCPCORE_OP_RECV = 5, TCPCORE_OP_SHUTDOWN = 6, TCPCORE_OP_CLOSE = 7, TCPCORE_OP_ABORT = 8
};

/* The table in the capsule "tcpcore._C_API". Functions are added at its end; anything else changes the ABI. */
typedef struct tcpcore_api {
    int abi;
    size_t size;                  /* of this struct, in bytes */
    tcp_engine *(*engine_of)(PyObject *engine);
    Py_ssize_t (*engine_receive)(tcp_engine *, const tcpcore_segment *segs, Py_ssize_t n, int64_t now,
                                 tcpcore_segment *out, Py_ssize_t room);
    Py_ssize_t (*engine_advance)(tcp_engine *, int64_t now, tcpcore_segment *out, Py_ssize_t room);
    int64_t (*engine_next_timer)(const tcp_engine *);
    Py_ssize_t (*engine_connect)(tcp_engine *, const tcpcore_connect_row *opens, Py_ssize_t n, int64_t now,
                                 uint64_t *conns, tcpcore_segment *out, Py_ssize_t room);
    Py_ssize_t (*engine_accept)(tcp_engine *, int listener, uint64_t *conns, Py_ssize_t limit);
    Py_ssize_t (*engine_send)(tcp_engine *, const uint64_t *conns, const uint32_t *nbytes, Py_ssize_t n,
                              int64_t now, tcpcore_segment *out, Py_ssize_t room);
    Py_ssize_t (*engine_recv)(tcp_engine *, const uint64_t *conns, const uint32_t *nbytes, Py_ssize_t n,
                              int64_t now, uint32_t *taken, tcpcore_segment *out, Py_ssize_t room);
    Py_ssize_t (*engine_shutdown)(tcp_engine *, const uint64_t *conns, Py_ssize_t n, int64_t now,
                                  tcpcore_segment *out, Py_ssize_t room);
    Py_ssize_t (*engine_close)(tcp_engine *, const uint64_t *conns, Py_ssize_t n, int64_t now,
                               tcpcore_segment *out, Py_ssize_t room);
    Py_ssize_t (*engine_abort)(tcp_engine *, const uint64_t *conns, Py_ssize_t n, int64_t now,
                               tcpcore_segment *out, Py_ssize_t room);
    Py_ssize_t (*engine_lookup)(tcp_engine *, const tcpcore_four_tuple *tuples, Py_ssize_t n,
                                uint64_t *conns);
    Py_ssize_t (*engine_info)(tcp_engine *, const uint64_t *conns, Py_ssize_t n, tcpcore_info *infos);
    Py_ssize_t (*engine_events)(tcp_engine *, tcpcore_event *events, Py_ssize_t room);
    Py_ssize_t (*engine_play)(tcp_engine *, tcpcore_op *ops, Py_ssize_t n, int64_t until,
                              tcpcore_segment *out, int64_t *at_out, Py_ssize_t room);
    Py_ssize_t (*engine_unreachable)(tcp_engine *, const uint64_t *conns, const uint32_t *codes, Py_ssize_t n,
                                     int64_t now, tcpcore_segment *out, Py_ssize_t room);
} tcpcore_api;

static const tcpcore_api *tcpcore_functions = NULL;

/* Find the functions. 0, or -1 with ImportError set, also where this file was compiled for another ABI. */
static inline int import_tcpcore(void)
{
    PyObject *module = PyImport_ImportModule("tcpcore");     /* its own error, if it cannot be imported */
    const tcpcore_api *table;
    if (module == NULL) {
        return -1;
    }
    Py_DECREF(module);
    table = (const tcpcore_api *)PyCapsule_Import("tcpcore._C_API", 0);
    if (table == NULL) {
        PyErr_SetString(PyExc_ImportError, "the installed tcpcore has no functions for C: install a newer one");
        return -1;
    }
    if (table->abi != TCPCORE_ABI) {
        PyErr_Format(PyExc_ImportError,
                     "this module was compiled for ABI %d of tcpcore, the installed one has ABI %d: "
                     "compile the module again", TCPCORE_ABI, table->abi);
        return -1;
    }
    if (table->size < sizeof(tcpcore_api)) {
        PyErr_SetString(PyExc_ImportError, "this module was compiled for a newer tcpcore than the installed "
                                           "one, which lacks functions: install a newer tcpcore");
        return -1;
    }
    tcpcore_functions = table;
    return 0;
}

/* The engine behind a tcpcore.Engine, borrowed: it lives as long as that object does. NULL with TypeError set
 * for anything else. Needs the GIL. */
static inline tcp_engine *engine_of(PyObject *engine)
{
    return tcpcore_functions->engine_of(engine);
}

static inline Py_ssize_t engine_receive(tcp_engine *engine, const tcpcore_segment *segs, Py_ssize_t n,
                                        int64_t now, tcpcore_segment *out, Py_ssize_t room)
{
    return tcpcore_functions->engine_receive(engine, segs, n, now, out, room);
}

static inline Py_ssize_t engine_advance(tcp_engine *engine, int64_t now, tcpcore_segment *out,
                                        Py_ssize_t room)
{
    return tcpcore_functions->engine_advance(engine, now, out, room);
}

static inline int64_t engine_next_timer(const tcp_engine *engine)
{
    return tcpcore_functions->engine_next_timer(engine);
}

static inline Py_ssize_t engine_connect(tcp_engine *engine, const tcpcore_connect_row *opens, Py_ssize_t n,
                                        int64_t now, uint64_t *conns, tcpcore_segment *out, Py_ssize_t room)
{
    return tcpcore_functions->engine_connect(engine, opens, n, now, conns, out, room);
}

static inline Py_ssize_t engine_accept(tcp_engine *engine, int listener, uint64_t *conns, Py_ssize_t limit)
{
    return tcpcore_functions->engine_accept(engine, listener, conns, limit);
}

static inline Py_ssize_t engine_send(tcp_engine *engine, const uint64_t *conns, const uint32_t *nbytes,
                                     Py_ssize_t n, int64_t now, tcpcore_segment *out, Py_ssize_t room)
{
    return tcpcore_functions->engine_send(engine, conns, nbytes, n, now, out, room);
}

static inline Py_ssize_t engine_recv(tcp_engine *engine, const uint64_t *conns, const uint32_t *nbytes,
                                     Py_ssize_t n, int64_t now, uint32_t *taken, tcpcore_segment *out,
                                     Py_ssize_t room)
{
    return tcpcore_functions->engine_recv(engine, conns, nbytes, n, now, taken, out, room);
}

static inline Py_ssize_t engine_shutdown(tcp_engine *engine, const uint64_t *conns, Py_ssize_t n, int64_t now,
                                         tcpcore_segment *out, Py_ssize_t room)
{
    return tcpcore_functions->engine_shutdown(engine, conns, n, now, out, room);
}

static inline Py_ssize_t engine_close(tcp_engine *engine, const uint64_t *conns, Py_ssize_t n, int64_t now,
                                      tcpcore_segment *out, Py_ssize_t room)
{
    return tcpcore_functions->engine_close(engine, conns, n, now, out, room);
}

static inline Py_ssize_t engine_abort(tcp_engine *engine, const uint64_t *conns, Py_ssize_t n, int64_t now,
                                      tcpcore_segment *out, Py_ssize_t room)
{
    return tcpcore_functions->engine_abort(engine, conns, n, now, out, room);
}

static inline Py_ssize_t engine_unreachable(tcp_engine *engine, const uint64_t *conns, const uint32_t *codes,
                                            Py_ssize_t n, int64_t now, tcpcore_segment *out, Py_ssize_t room)
{
    return tcpcore_functions->engine_unreachable(engine, conns, codes, n, now, out, room);
}

static inline Py_ssize_t engine_lookup(tcp_engine *engine, const tcpcore_four_tuple *tuples, Py_ssize_t n,
                                       uint64_t *conns)
{
    return tcpcore_functions->engine_lookup(engine, tuples, n, conns);
}

static inline Py_ssize_t engine_info(tcp_engine *engine, const uint64_t *conns, Py_ssize_t n,
                                     tcpcore_info *infos)
{
    return tcpcore_functions->engine_info(engine, conns, n, infos);
}

static inline Py_ssize_t engine_events(tcp_engine *engine, tcpcore_event *events, Py_ssize_t room)
{
    return tcpcore_functions->engine_events(engine, events, room);
}

static inline Py_ssize_t engine_play(tcp_engine *engine, tcpcore_op *ops, Py_ssize_t n, int64_t until,
                                     tcpcore_segment *out, int64_t *at_out, Py_ssize_t room)
{
    return tcpcore_functions->engine_play(engine, ops, n, until, out, at_out, room);
}

#endif
