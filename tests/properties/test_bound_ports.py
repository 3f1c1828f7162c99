"""Which ports a search gives while others are named, listened on and left by listeners.

An engine or a group against the reference. Which of the free ports it is, is asked in tests/components.
"""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tcpcore import Config, Engine, EngineGroup, Flag, segments
from tests.reference.ports import ReferenceHost

LOW, HIGH = 40000, 40003
LOCALS, PEERS = ["10.9.0.1", "10.9.0.77"], ["10.9.0.2", "10.9.0.3", "10.9.0.4"]
hosts, peers = st.sampled_from(LOCALS), st.sampled_from(PEERS)
ports = st.integers(LOW - 1, HIGH)


class BoundPorts(RuleBasedStateMachine):
    @initialize(kind=st.sampled_from([Engine, lambda config: EngineGroup(3, config)]), seed=st.integers(0, 9))
    def start(self, kind, seed):
        self.eng = kind(Config.linux(capacity=90, local_addr=LOCALS[0], ip_local_port_range=(LOW, HIGH),
                                     seed=seed, tcp_timestamps=0, tcp_max_syn_backlog=30))
        self.model = ReferenceHost(LOW, HIGH)
        self.conns = {}
        self.listeners = {}

    @rule(src=hosts, dst=peers)
    def search(self, src, dst):
        free = self.model.free(src, dst, 80)
        conns, rows = self.eng.connect(dst, 80, 0, src=src)
        assert conns.all() == bool(free)
        if free:
            port = int(rows["sport"][0])
            assert port in free
            self.model.connections[src, port, dst, 80] = True
            self.conns[src, port, dst, 80] = conns

    @rule(src=hosts, dst=peers, port=ports)
    def name(self, src, dst, port):
        if isinstance(self.eng, EngineGroup) and any(
                chosen and key[:2] == (src, port) for key, chosen in self.model.connections.items()):
            return                              # R10.54: others are bound with it if their member is the same
        conns, _ = self.eng.connect(dst, 80, 0, src=src, sport=port)
        key = src, port, dst, 80
        assert conns.all() == (key not in self.model.connections)
        if conns.all():
            self.model.name(*key)
            self.conns[key] = conns

    @rule(port=ports)
    def listen(self, port):
        if port not in self.listeners:
            self.listeners[port] = self.eng.listen(0, port, auto_accept=True)
            self.model.listen(port)

    @precondition(lambda self: self.listeners)
    @rule(data=st.data())
    def unlisten(self, data):
        port = data.draw(st.sampled_from(sorted(self.listeners)))
        self.eng.unlisten(self.listeners.pop(port), 0)
        self.model.unlisten(port)

    @precondition(lambda self: self.listeners)
    @rule(data=st.data(), src=hosts, dst=peers)
    def accept(self, data, src, dst):
        port = data.draw(st.sampled_from(sorted(self.listeners)))
        key = src, port, dst, 90
        if key not in self.model.connections:
            syn = {"src": dst, "dst": src, "sport": 90, "dport": port, "wnd": 1000}
            synack = self.eng.receive(segments(1, **syn, seq=100, flags=Flag.SYN), 0)
            self.eng.receive(segments(1, **syn, seq=101, ack=synack["seq"] + np.uint32(1), flags=Flag.ACK), 0)
            self.model.connections[key] = False
            self.conns[key] = self.eng.lookup(dst, 90, src, port)

    @precondition(lambda self: self.conns)
    @rule(data=st.data())
    def abort(self, data):
        key = data.draw(st.sampled_from(sorted(self.conns)))
        self.eng.abort(self.conns.pop(key), 0)
        del self.model.connections[key]

    @rule()
    def restore(self):
        if isinstance(self.eng, Engine):
            self.eng = Engine.restore(self.eng.snapshot())

    @invariant()
    def sound(self):
        assert self.eng.check() == []


TestBoundPorts = BoundPorts.TestCase
TestBoundPorts.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
