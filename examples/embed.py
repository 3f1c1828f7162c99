"""A web server and its clients in fifteen lines: two engines, one clock, a wire of 20 ms."""

from tcpcore import Config, Engine

MS = 1_000_000
server, client = Engine(Config.linux(local_addr="10.0.0.1")), Engine(Config.linux(local_addr="10.0.0.2"))
web = server.listen("10.0.0.1", 80)
_, syns = client.connect("10.0.0.1", 80, 0, n=1000)                     # at 0 ms: a thousand SYNs leave
synacks = server.receive(syns, 20 * MS)
acks = client.receive(synacks, 40 * MS)
server.receive(acks, 60 * MS)
served = server.accept(web)
fins = server.close(served, 60 * MS)                                    # the server hangs up first ...
client.receive(fins, 80 * MS)                                           # ... and no answer reaches it
again = server.next_timer()
print(len(served), "served,", len(server.advance(again)), "FINs sent again at", again // MS, "ms")
