"""A node with a broker and one subscriber of the durable subscription `s` on `t`, as a process of its own.
Tells on stdout what the subscriber gets, with the time of the machine's clock, and acks it.

    python -m tests.cluster.owner URL NAME
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress

import uvloop

from conduit.broker.broker import Broker, BrokerOptions
from conduit.broker.clock import SystemClock, boot_s
from conduit.cluster.membership import Membership
from conduit.cluster.owning import Owning
from conduit.errors import Unavailable
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Ack, Subscribe
from conduit.storage.postgres import PostgresStore
from tests.broker.kit import Peer
from tests.cluster.kit import a_node

# It has one message at a time, and the node those that come next.
ACK_S = 0.005


def tell(what: str) -> None:
    os.write(1, f"{what}\n".encode())


class Subscriber(Peer):
    """Acks what it gets, and comes again when it is sent away."""

    def __init__(self, broker: Broker) -> None:
        super().__init__()
        self._broker = broker
        self._is_away = asyncio.Event()
        self._connection = broker.connect(DEFAULT_TENANT, self)

    def write(self, data: bytes) -> None:
        before = len(self.frames)
        super().write(data)
        for frame in self.frames[before:]:
            if frame["type"] == "message":
                tell(f"got {frame['seq']} {boot_s():.3f}")
                asyncio.get_running_loop().call_later(ACK_S, self._ack, frame["seq"])

    def _ack(self, seq: int) -> None:
        with suppress(Unavailable):
            self._connection.verbs.ack(Ack(topic="t", seq=seq, subscription="s"))

    def close(self, code: int, reason: str) -> None:
        tell(f"closed {code}")
        self._is_away.set()

    async def run(self) -> None:
        while True:
            with suppress(Unavailable):
                await self._connection.subscribe(
                    Subscribe("t", subscription="s", start="earliest", max_in_flight=1)
                )
                tell(f"subscribed 0 {boot_s():.3f}")
                await self._is_away.wait()
            self._is_away.clear()
            self._connection.close()
            self._connection = self._broker.connect(DEFAULT_TENANT, self)

    def leave(self) -> None:
        self._connection.close()


async def _main(url: str, name: str) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    broker = Broker(PostgresStore(url), SystemClock(), BrokerOptions())
    await broker.start()
    nodes = broker.store.nodes
    assert nodes is not None
    membership = Membership(nodes, a_node(name))
    Owning(broker, membership, takes_over=False)
    # As soon as it goes on, and before the loop does anything.
    signal.signal(signal.SIGCONT, lambda *_: tell(f"woke {membership.holds()}"))
    await membership.start()
    subscriber = Subscriber(broker)
    running = loop.create_task(subscriber.run())
    await ended.wait()
    running.cancel()
    subscriber.leave()
    await broker.stop()
    tell("stopped")
    await membership.close()


if __name__ == "__main__":
    # As the server.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(*sys.argv[1:3]))
