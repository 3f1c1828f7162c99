"""An echo service under asyncio, in virtual time: an hour passes at once."""

import asyncio

from tcpcore.adapters import asyncio_network, run

MS = 1_000_000


async def serve(listener):
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(echo(await listener.accept()))


async def echo(conn):
    while got := await conn.recv():
        conn.send(got)
    conn.close()


async def ask(host, think):
    conn = await host.connect("10.0.0.1", 7)
    conn.send(1000)
    got = await conn.recv()
    await asyncio.sleep(think)                        # virtual seconds
    conn.close()
    return got


async def main():
    net = asyncio_network(delay=20 * MS)
    server, client = net.host("10.0.0.1"), net.host("10.0.0.2")
    service = asyncio.create_task(serve(server.listen(7)))
    answers = await asyncio.gather(*(ask(client, think) for think in (0, 60, 3600)))
    await service
    return answers, asyncio.get_running_loop().now()


if __name__ == "__main__":
    answers, now = run(main())
    print(answers, "after", now // MS, "ms")
