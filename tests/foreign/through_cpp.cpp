// Every function of tcpcore.h, with addresses for arrays: the tests choose what is there.
#include <Python.h>

#include "tcpcore.h"

namespace {

template <typename T> T *at(unsigned long long address) { return reinterpret_cast<T *>(address); }

Segment *rows(unsigned long long address) { return at<Segment>(address); }

// The first argument: an Engine, or None for no engine at all. false with an exception set.
bool engine_in(PyObject *object, tcp_engine **engine)
{
    *engine = object == Py_None ? NULL : engine_of(object);
    return object == Py_None || *engine != NULL;
}

PyObject *number(int64_t value) { return PyLong_FromLongLong(value); }

PyObject *py_receive(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    unsigned long long segs = 0;
    Py_ssize_t n = 0;
    long long now = 0;
    unsigned long long out = 0;
    Py_ssize_t room = 0;
    if (!PyArg_ParseTuple(args, "OKnLKn", &object, &segs, &n, &now, &out, &room) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_receive(engine, rows(segs), n, now, rows(out), room));
}

PyObject *py_advance(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    long long now = 0;
    unsigned long long out = 0;
    Py_ssize_t room = 0;
    if (!PyArg_ParseTuple(args, "OLKn", &object, &now, &out, &room) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_advance(engine, now, rows(out), room));
}

PyObject *py_next_timer(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    if (!PyArg_ParseTuple(args, "O", &object) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_next_timer(engine));
}

PyObject *py_connect(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    unsigned long long opens = 0;
    Py_ssize_t n = 0;
    long long now = 0;
    unsigned long long conns = 0;
    unsigned long long out = 0;
    Py_ssize_t room = 0;
    if (!PyArg_ParseTuple(args, "OKnLKKn", &object, &opens, &n, &now, &conns, &out, &room) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_connect(engine, at<const ConnectRow>(opens), n, now, at<uint64_t>(conns), rows(out), room));
}

PyObject *py_accept(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    int listener = 0;
    unsigned long long conns = 0;
    Py_ssize_t limit = 0;
    if (!PyArg_ParseTuple(args, "OiKn", &object, &listener, &conns, &limit) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_accept(engine, listener, at<uint64_t>(conns), limit));
}

PyObject *py_send(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    unsigned long long conns = 0;
    unsigned long long nbytes = 0;
    Py_ssize_t n = 0;
    long long now = 0;
    unsigned long long out = 0;
    Py_ssize_t room = 0;
    if (!PyArg_ParseTuple(args, "OKKnLKn", &object, &conns, &nbytes, &n, &now, &out, &room) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_send(engine, at<const uint64_t>(conns), at<const uint32_t>(nbytes), n, now, rows(out), room));
}

PyObject *py_recv(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    unsigned long long conns = 0;
    unsigned long long nbytes = 0;
    Py_ssize_t n = 0;
    long long now = 0;
    unsigned long long taken = 0;
    unsigned long long out = 0;
    Py_ssize_t room = 0;
    if (!PyArg_ParseTuple(args, "OKKnLKKn", &object, &conns, &nbytes, &n, &now, &taken, &out, &room) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_recv(engine, at<const uint64_t>(conns), at<const uint32_t>(nbytes), n, now, at<uint32_t>(taken), rows(out), room));
}

PyObject *py_shutdown(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    unsigned long long conns = 0;
    Py_ssize_t n = 0;
    long long now = 0;
    unsigned long long out = 0;
    Py_ssize_t room = 0;
    if (!PyArg_ParseTuple(args, "OKnLKn", &object, &conns, &n, &now, &out, &room) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_shutdown(engine, at<const uint64_t>(conns), n, now, rows(out), room));
}

PyObject *py_close(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    unsigned long long conns = 0;
    Py_ssize_t n = 0;
    long long now = 0;
    unsigned long long out = 0;
    Py_ssize_t room = 0;
    if (!PyArg_ParseTuple(args, "OKnLKn", &object, &conns, &n, &now, &out, &room) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_close(engine, at<const uint64_t>(conns), n, now, rows(out), room));
}

PyObject *py_abort(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    unsigned long long conns = 0;
    Py_ssize_t n = 0;
    long long now = 0;
    unsigned long long out = 0;
    Py_ssize_t room = 0;
    if (!PyArg_ParseTuple(args, "OKnLKn", &object, &conns, &n, &now, &out, &room) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_abort(engine, at<const uint64_t>(conns), n, now, rows(out), room));
}

PyObject *py_unreachable(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    unsigned long long conns = 0;
    unsigned long long codes = 0;
    Py_ssize_t n = 0;
    long long now = 0;
    unsigned long long out = 0;
    Py_ssize_t room = 0;
    if (!PyArg_ParseTuple(args, "OKKnLKn", &object, &conns, &codes, &n, &now, &out, &room) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_unreachable(engine, at<const uint64_t>(conns), at<const uint32_t>(codes), n, now, rows(out), room));
}

PyObject *py_lookup(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    unsigned long long tuples = 0;
    Py_ssize_t n = 0;
    unsigned long long conns = 0;
    if (!PyArg_ParseTuple(args, "OKnK", &object, &tuples, &n, &conns) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_lookup(engine, at<const FourTuple>(tuples), n, at<uint64_t>(conns)));
}

PyObject *py_info(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    unsigned long long conns = 0;
    Py_ssize_t n = 0;
    unsigned long long infos = 0;
    if (!PyArg_ParseTuple(args, "OKnK", &object, &conns, &n, &infos) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_info(engine, at<const uint64_t>(conns), n, at<Info>(infos)));
}

PyObject *py_events(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    unsigned long long events = 0;
    Py_ssize_t room = 0;
    if (!PyArg_ParseTuple(args, "OKn", &object, &events, &room) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_events(engine, at<Event>(events), room));
}

PyObject *py_play(PyObject *, PyObject *args)
{
    PyObject *object;
    tcp_engine *engine;
    unsigned long long ops = 0;
    Py_ssize_t n = 0;
    long long until = 0;
    unsigned long long out = 0;
    unsigned long long at_out = 0;
    Py_ssize_t room = 0;
    if (!PyArg_ParseTuple(args, "OKnLKKn", &object, &ops, &n, &until, &out, &at_out, &room) || !engine_in(object, &engine)) {
        return NULL;
    }
    return number(engine_play(engine, at<Op>(ops), n, until, rows(out), at<int64_t>(at_out), room));
}

PyMethodDef methods[] = {
    {"receive", py_receive, METH_VARARGS, NULL},
    {"advance", py_advance, METH_VARARGS, NULL},
    {"next_timer", py_next_timer, METH_VARARGS, NULL},
    {"connect", py_connect, METH_VARARGS, NULL},
    {"accept", py_accept, METH_VARARGS, NULL},
    {"send", py_send, METH_VARARGS, NULL},
    {"recv", py_recv, METH_VARARGS, NULL},
    {"shutdown", py_shutdown, METH_VARARGS, NULL},
    {"close", py_close, METH_VARARGS, NULL},
    {"abort", py_abort, METH_VARARGS, NULL},
    {"unreachable", py_unreachable, METH_VARARGS, NULL},
    {"lookup", py_lookup, METH_VARARGS, NULL},
    {"info", py_info, METH_VARARGS, NULL},
    {"events", py_events, METH_VARARGS, NULL},
    {"play", py_play, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "through_cpp", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyObject *fill(PyObject *self)
{
    PyObject *codes = Py_BuildValue("{s:n,s:n,s:n,s:n}", "BUSY", TCPCORE_BUSY, "TIME_BACK", TCPCORE_TIME_BACK,
                                    "BAD_ARGUMENT", TCPCORE_BAD_ARGUMENT, "NO_MEMORY", TCPCORE_NO_MEMORY);
    PyObject *sizes = Py_BuildValue("{s:n,s:n,s:n,s:n,s:n,s:n}", "Segment", sizeof(Segment), "Event", sizeof(Event),
                                    "Info", sizeof(Info), "ConnectRow", sizeof(ConnectRow), "FourTuple",
                                    sizeof(FourTuple), "Op", sizeof(Op));
    PyObject *flags = Py_BuildValue("[iiiiiiii]", TCPCORE_FIN, TCPCORE_SYN, TCPCORE_RST, TCPCORE_PSH, TCPCORE_ACK,
                                    TCPCORE_URG, TCPCORE_ECE, TCPCORE_CWR);
    PyObject *options = Py_BuildValue("[iiii]", TCPCORE_OPT_MSS, TCPCORE_OPT_WSCALE, TCPCORE_OPT_SACK_OK,
                                      TCPCORE_OPT_TS);
    PyObject *states = Py_BuildValue("[iiiiiiiiiii]", TCPCORE_CLOSED, TCPCORE_LISTEN, TCPCORE_SYN_SENT,
                                     TCPCORE_SYN_RECEIVED, TCPCORE_ESTABLISHED, TCPCORE_FIN_WAIT_1,
                                     TCPCORE_FIN_WAIT_2, TCPCORE_CLOSE_WAIT, TCPCORE_CLOSING, TCPCORE_LAST_ACK,
                                     TCPCORE_TIME_WAIT);
    PyObject *events = Py_BuildValue("[iiiiiiiiii]", TCPCORE_EV_OPENED, TCPCORE_EV_ESTABLISHED, TCPCORE_EV_ACCEPTED,
                                     TCPCORE_EV_CLOSED, TCPCORE_EV_LOST, TCPCORE_EV_REFUSED,
                                     TCPCORE_EV_TIME_WAIT, TCPCORE_EV_READABLE, TCPCORE_EV_EOF,
                                     TCPCORE_EV_WRITABLE);
    if (PyModule_AddIntConstant(self, "ABI", TCPCORE_ABI) < 0 || PyModule_AddObject(self, "CODES", codes) < 0
            || PyModule_AddObject(self, "SIZES", sizes) < 0 || PyModule_AddObject(self, "FLAGS", flags) < 0
            || PyModule_AddObject(self, "OPTIONS", options) < 0 || PyModule_AddObject(self, "STATES", states) < 0
            || PyModule_AddObject(self, "EVENTS", events) < 0) {
        return NULL;
    }
    return self;
}

}  // namespace

PyMODINIT_FUNC PyInit_through_cpp(void)
{
    if (import_tcpcore() < 0) {
        return NULL;
    }
    PyObject *self = PyModule_Create(&module);
    return self == NULL ? NULL : fill(self);
}
