"""A load balancer and three backends in SimPy: each request is two connections, relayed by a process."""

import random

import simpy

from tcpcore.adapters import simpy_network

MS = 1_000_000
BACKENDS = ["10.0.1.1", "10.0.1.2", "10.0.1.3"]


def client(host, balancer, seen, env):
    """One request of 300 bytes; how long until the whole answer was there."""
    began = env.now
    conn = yield host.connect(balancer, 80)
    conn.send(300)
    while (yield conn.recv()):
        pass
    conn.close()
    seen.append(env.now - began)


def backend(env, listener, busy):
    """5 ms of work for each request on this machine, one after the other."""
    while True:
        conn = yield listener.accept()
        env.process(answer(env, conn, busy))


def answer(env, conn, busy):
    yield conn.recv()
    with busy.request() as turn:
        yield turn
        yield env.timeout(5 * MS)
    conn.send(20_000)
    conn.close()


def balancer(env, host, listener):
    """Each connection goes to the next backend."""
    turn = 0
    while True:
        conn = yield listener.accept()
        env.process(relay(host, conn, BACKENDS[turn % len(BACKENDS)]))
        turn += 1


def relay(host, front, addr):
    back = yield host.connect(addr, 8080)
    back.send((yield front.recv()))
    while got := (yield back.recv()):
        front.send(got)
    back.close()
    front.close()


def simulate(requests, per_second):
    """The network, and the ms that each request took."""
    env, seen = simpy.Environment(), []
    net = simpy_network(env, delay=1 * MS)
    for addr in BACKENDS:
        env.process(backend(env, net.host(addr).listen(8080), simpy.Resource(env, 8)))
    middle = net.host("10.0.0.1")
    env.process(balancer(env, middle, middle.listen(80)))
    browsers, draw = net.host("10.0.2.1"), random.Random(1)

    def arrivals():
        for _ in range(requests):
            yield env.timeout(round(draw.expovariate(per_second) * 1000) * MS)
            env.process(client(browsers, "10.0.0.1", seen, env))

    env.process(arrivals())
    env.run()
    return net, sorted(took / MS for took in seen)


if __name__ == "__main__":
    _, took = simulate(2000, 1000)
    print(len(took), "answers, the middle one after", took[1000], "ms")
