"""Nodes in one process: a server on a real socket, its links, and a record of what came over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic, perf_counter
from typing import Any

import msgspec
import uuid_utils

from conduit.broker.turn import Turn
from conduit.cluster.links.channels import Channel
from conduit.cluster.links.handshake import Identity
from conduit.cluster.links.link import Link
from conduit.cluster.links.links import Links
from conduit.cluster.links.requests import Asked
from conduit.errors import ConduitError
from conduit.server.context import Limits
from tests.server.port import Port
from tests.support.wait import DEADLINE_S

SECRET = "a-secret-of-all-nodes"
POLL_S = 0.005


class Live(msgspec.Struct, frozen=True):
    """A node as the store has it."""

    name: str
    incarnation: str
    address: str


class Conversation:
    """The user of a channel, which keeps what it hears."""

    def __init__(self, *, takes: bool = True) -> None:
        self.channel: Channel | None = None
        self.takes = takes
        self.bodies: list[bytes] = []
        self.credits = 0
        self.ends: list[tuple[str, str]] = []

    def on_frame(self, body: bytes) -> None:
        self.bodies.append(body)
        if self.takes and self.channel is not None:
            self.channel.take(len(body))

    def on_credit(self) -> None:
        self.credits += 1

    def on_close(self, code: str, text: str) -> None:
        self.ends.append((code, text))


class Recorder:
    """The service and the watcher of a node. Of a request `answer` makes the answer: the body by default."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.whys: list[str] = []
        self.hints: list[bytes] = []
        self.conversations: list[Conversation] = []
        self.unanswered: list[Asked] = []
        self.answer: Callable[[Asked], bytes | ConduitError | None] = lambda asked: asked.body
        self.takes = True

    def link_up(self, node: Identity) -> None:
        self.events.append(("up", node.name))

    def link_down(self, node: Identity, why: str) -> None:
        self.events.append(("down", node.name))
        self.whys.append(why)

    def on_hint(self, node: Identity, body: bytes) -> None:
        self.hints.append(body)

    def on_request(self, node: Identity, asked: Asked) -> None:
        answer = self.answer(asked)
        if answer is None:
            self.unanswered.append(asked)
        elif isinstance(answer, ConduitError):
            asked.fail(answer)
        else:
            asked.reply(answer)

    def on_channel(self, node: Identity, channel: Channel, kind: str, body: bytes) -> Conversation:
        conversation = Conversation(takes=self.takes)
        conversation.channel = channel
        self.conversations.append(conversation)
        return conversation


class Node:
    """One node that serves and links."""

    def __init__(
        self,
        name: str,
        secrets: tuple[str, ...] = (SECRET,),
        recorder: Recorder | None = None,
        **limits: Any,
    ) -> None:
        self.own = Identity(name, str(uuid_utils.uuid7()))
        self.recorder = recorder or Recorder()
        self.turn = Turn(perf_counter)
        self.skipped_s = 0.0
        self.links = Links(
            self.own,
            secrets,
            self.recorder,
            self.recorder,
            self.turn,
            lambda: monotonic() + self.skipped_s,
        )
        self.port = Port(Limits(**limits))
        self.port.context.links = self.links

    async def start(self, port: int = 0) -> None:
        """Serve; `meet` makes links."""
        await self.port.open(port)
        self.links.start()

    async def stop(self) -> None:
        """End everything."""
        await self.links.stop()
        await self.port.close()

    @property
    def live(self) -> Live:
        """As others find it."""
        host, port = self.port.address
        return Live(self.own.name, self.own.incarnation, f"{host}:{port}")

    def link_to(self, other: Node) -> Link:
        """The link, which is there."""
        return self.link_to_name(other.own.name)

    def link_to_name(self, name: str) -> Link:
        """The same, to one in another process."""
        link = self.links.to(name)
        assert link is not None
        return link


@asynccontextmanager
async def nodes(*names: str, **options: Any) -> AsyncIterator[list[Node]]:
    """Nodes that do not know each other yet, the oldest first."""
    made = [Node(name, **options) for name in names]
    for node in made:
        await node.start()
    try:
        yield made
    finally:
        for node in made:
            await node.stop()


def meet(*all_nodes: Node) -> None:
    """From now on each of them knows all of them, and no others."""
    live = [node.live for node in all_nodes]
    for node in all_nodes:
        node.links.set_live(live)


async def linked(*all_nodes: Node) -> None:
    """Each of them has a link to each other."""
    await until(
        lambda: all(
            one is other or one.links.to(other.own.name) is not None
            for one in all_nodes
            for other in all_nodes
        )
    )


async def until(fact: Callable[[], Any], within_s: float = DEADLINE_S) -> None:
    """Turn the loop until something is true."""
    async with asyncio.timeout(within_s):
        while not fact():
            await _turn()


async def _turn() -> None:
    """What others learn over sockets no event tells."""
    await asyncio.sleep(POLL_S)
