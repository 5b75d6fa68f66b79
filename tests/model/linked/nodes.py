"""Two linked nodes, as real servers on one PostgreSQL: what is done to them, and what they say of themselves.

Each is reached by the other through a proxy, so that their link can be cut.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from enum import Enum
from itertools import count
from typing import Any

from conduit.core.ring import Ring
from conduit.names import DEFAULT_TENANT
from tests.cluster.links.proxy import Proxy, proxy_to
from tests.model.plans import NAMES
from tests.support.http import Api
from tests.support.nodes import SECRET, node
from tests.support.server import RunningServer, running_server
from tests.support.wait import until

COUNT = 2
# Started on a busy machine.
START_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0
SETTLE_S = 0.05


def _names() -> list[str]:
    """Each node owns one of the plans' subscriptions when both live."""
    for number in count():
        names = [f"east-{number}", f"west-{number}"]
        ring = Ring(names)
        if [ring.owner(f"{DEFAULT_TENANT}/{name}") for name in NAMES] == names:
            return names
    raise AssertionError


NODES = _names()


class Life(Enum):
    """Of a node, as we see it."""

    UP = "up"
    STARTING = "starting"
    STANDING = "standing"
    STOPPING = "stopping"
    DOWN = "down"


class Node:
    """One of them. `has_restarted` counts its processes after the first."""

    def __init__(self, number: int, server: RunningServer, cut: Proxy) -> None:
        self.number = number
        self.name = NODES[number]
        self.server = server
        self.api = Api(server.url)
        self.life = Life.UP
        self._cut = cut
        self._starting: Future[None] | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def is_asked(self) -> bool:
        """Whether it answers requests."""
        return self.life is Life.UP

    def kill(self) -> None:
        """SIGKILL."""
        self.server.kill()
        self.life = Life.DOWN

    def stop(self) -> None:
        """SIGTERM; `ended` says when that is done."""
        self.server.send_signal(signal.SIGTERM)
        self.life = Life.STOPPING

    def ended(self) -> None:
        """Wait until it has stopped. AssertionError if it does not, or not well."""
        code, _ = self.server.wait(STOP_WITHIN_S)
        self.life = Life.DOWN
        assert code == 0, f"{self} ended with {code}\n{self.server.log_tail()}"

    def stand(self) -> None:
        """SIGSTOP."""
        self.server.send_signal(signal.SIGSTOP)
        self.life = Life.STANDING

    def go_on(self) -> None:
        """SIGCONT."""
        self.server.send_signal(signal.SIGCONT)
        self.life = Life.UP

    def begin(self, pool: ThreadPoolExecutor) -> None:
        """Start it again, beside all else; `began` says when it is ready."""
        self._starting = pool.submit(self.server.start, START_WITHIN_S)
        self.life = Life.STARTING

    def began(self, *, wait: bool) -> bool:
        """Whether it is ready by now, or wait until it is. Raises why it did not start."""
        if self._starting is not None and (wait or self._starting.done()):
            self._starting.result()
            self._starting, self.life = None, Life.UP
        return self._starting is None

    def cut(self, loop: asyncio.AbstractEventLoop) -> None:
        """Reset the connections that the other has made to it."""
        loop.call_soon_threadsafe(self._cut.reset)


class Pair:
    """Both."""

    def __init__(self, nodes: list[Node], pool: ThreadPoolExecutor, loop: Any) -> None:
        self.nodes = nodes
        self._pool = pool
        self._loop = loop

    def asked(self, which: int) -> Node:
        """This one, or the other if this one does not answer."""
        node = self.nodes[which % COUNT]
        return node if node.is_asked else self.other(node)

    def other(self, node: Node) -> Node:
        """Not this one."""
        return self.nodes[1 - node.number]

    @property
    def up(self) -> list[Node]:
        """Those that answer."""
        return [node for node in self.nodes if node.is_asked]

    def owner(self, name: str) -> Node:
        """Where a subscription runs, when the nodes know which of them are there."""
        ring = Ring([node.name for node in self.up])
        owner = ring.owner(f"{DEFAULT_TENANT}/{name}")
        return next(node for node in self.nodes if node.name == owner)

    def begin(self, node: Node) -> None:
        """Start it again, beside all else."""
        node.begin(self._pool)

    def cut(self) -> None:
        """Reset the link, whoever has made it."""
        for each in self.nodes:
            each.cut(self._loop)

    def sees(self, node: Node, other: Node) -> bool:
        """Whether the one takes the other for an owner."""
        return other.name in _up(node)

    def is_settled(self) -> bool:
        """Whether those that are up know just that, and have a link."""
        names = {node.name for node in self.up}
        return all(_up(node) == names and _is_linked(node, names) for node in self.up)


def _listed(node: Node) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.api.get("/api/nodes").json["nodes"]
    return found


def _up(node: Node) -> set[str]:
    return {each["id"] for each in _listed(node) if each["state"] == "up"}


def _is_linked(node: Node, names: set[str]) -> bool:
    links = [link for each in _listed(node) if each["is_this"] for link in each["links"] or ()]
    return {link["id"] for link in links if link["state"] == "up"} >= names - {node.name}


@contextmanager
def pair(url: str, **more: str) -> Iterator[Pair]:
    """Two nodes on this database that have found each other; `more` are settings of both."""
    with ExitStack() as stack:
        loop = stack.enter_context(_looping())
        pool = stack.enter_context(ThreadPoolExecutor(1))
        nodes = []
        for number, name in enumerate(NODES):
            settings = node(url, name, SECRET) | more
            cut = stack.enter_context(_proxied(loop, settings["NODE_ADDR"]))
            settings["NODE_ADDR"] = cut.address
            server = stack.enter_context(running_server(**settings))
            nodes.append(Node(number, server, cut))
        found = Pair(nodes, pool, loop)
        try:
            until(found.is_settled)
            yield found
        finally:
            for each in nodes:
                if each.life is Life.STANDING:
                    each.go_on()
                each.began(wait=True)


@contextmanager
def _looping() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop in a thread of its own, for the proxies."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        # What was aborted last is closed in the turns after that.
        loop.run_until_complete(asyncio.sleep(SETTLE_S))
        loop.close()


@contextmanager
def _proxied(loop: asyncio.AbstractEventLoop, address: str) -> Iterator[Proxy]:
    proxying = proxy_to(address)
    proxy = asyncio.run_coroutine_threadsafe(proxying.__aenter__(), loop).result()
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(_closed(proxying, proxy), loop).result()


async def _closed(proxying: AbstractAsyncContextManager[Proxy], proxy: Proxy) -> None:
    """End all connections before the proxy: a task that is cancelled makes asyncio complain."""
    proxy.reset()
    await asyncio.gather(*proxy._tasks, return_exceptions=True)
    await proxying.__aexit__(None, None, None)
