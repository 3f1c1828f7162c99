"""A workload of one's own: polite crawlers that fetch pages one after the other and back off when refused."""

import loadgen

PAGES, REQUEST, PAGE, PAUSE_NS = 20, 400, 30_000, 50_000_000


def crawl(clients, events):
    """Each client host opens a connection, asks for pages, and comes back later when it is turned away."""
    if clients.now_ns == 0:
        clients.state.pages = {}  # connection: (client, pages asked for)
        for client in range(clients.hosts):
            conn = clients.connect(client, at=clients.random.uniform(0, 1))
            clients.state.pages[conn] = (client, 0)
    for event in events:
        client, asked = clients.state.pages[event.conn]
        if event.kind == "ended":
            del clients.state.pages[event.conn]
            if event.why != "closed":
                again = clients.connect(client, at_ns=event.at_ns + 2 * 10**9)
                clients.state.pages[again] = (client, 0)
        elif event.nbytes < asked * PAGE:
            continue  # a part of a page
        elif asked < PAGES:
            clients.send(event.conn, REQUEST, at_ns=event.at_ns + PAUSE_NS)
            clients.state.pages[event.conn] = (client, asked + 1)
        else:
            clients.close(event.conn)


def main():
    scenario = loadgen.Scenario(
        client=loadgen.Client(hosts=100),
        load=[loadgen.Load("crawlers", "workload", request=REQUEST, response=PAGE)],
        event=[loadgen.Event("reset-all", at="2s")],
        link=loadgen.Link(rtt="40ms", loss="0.1%"),
        run=loadgen.Run(duration="10s"),
    )
    result = loadgen.run(scenario, seed=7, workload=crawl)
    print(f"{result['attempted']} connections, {result['requests']} pages, {result['reset']} reset")


if __name__ == "__main__":
    main()
