"""Several servers on one PostgreSQL that are linked."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from conduit.core.ring import Ring
from tests.support.access import Guarded, Signed, guarded_server
from tests.support.http import Api
from tests.support.server import RunningServer, free_port, running_server
from tests.support.wait import DEADLINE_S, until
from tests.support.ws import NoFrame, Refused, WsClient

SECRET = "of-the-nodes-0123456789"
NAMES = ["node-0", "node-1", "node-2"]


class Cluster:
    """Three servers, and what they say of themselves."""

    def __init__(self, servers: list[RunningServer]) -> None:
        self.servers = servers
        self.apis = [Api(server.url) for server in servers]

    def links_up(self) -> int:
        return sum(self.links_up_of(at) for at in range(len(self.apis)))

    def links_up_of(self, at: int) -> int:
        nodes = self.apis[at].get("/api/nodes").json["nodes"]
        return sum(
            link["state"] == "up" for node in nodes if node["is_this"] for link in node["links"]
        )

    def metric(self, at: int, name: str) -> float:
        text = self.apis[at].get("/metrics").body.decode()
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        return 0.0 if found is None else float(found[1])


def node(url: str, name: str, secret: str) -> dict[str, str]:
    """The settings of a node that the others reach."""
    port = free_port()
    return {
        "DATABASE_URL": url,
        "PORT": str(port),
        "NODE_ID": name,
        "NODE_ADDR": f"127.0.0.1:{port}",
        "INTERNAL_SECRET": secret,
    }


def has_link(api: Api) -> bool:
    """Whether any link of that server is up."""
    nodes = api.get("/api/nodes").json["nodes"]
    return any(link["state"] == "up" for each in nodes for link in each["links"] or ())


@contextmanager
def linked_servers(url: str, *names: str, **more: str) -> Iterator[Cluster]:
    """Nodes of these names, when all are linked with each other."""
    with ExitStack() as stack:
        made = [
            stack.enter_context(running_server(**node(url, name, SECRET), **more)) for name in names
        ]
        found = Cluster(made)
        until(lambda: found.links_up() == len(names) * (len(names) - 1))
        yield found


class GuardedNodes:
    """Servers that ask for keys and are linked, as the operator sees each; the first one made his key."""

    def __init__(self, first: Guarded, servers: list[RunningServer]) -> None:
        self.first = first
        self.servers = servers
        self.key = str(first.operator.key)
        self.apis = [Signed(server.url, self.key) for server in servers]

    def is_whole(self) -> bool:
        """Whether each of them has a link to each other one, and all are in the ring."""
        links = [self._links_up_of(api) for api in self.apis]
        rings = [len(api.get("/api/ring").json["nodes"]) for api in self.apis]
        count = len(self.apis)
        return links == [count - 1] * count and rings == [count] * count

    def _links_up_of(self, api: Signed) -> int:
        nodes = api.get("/api/nodes").json["nodes"]
        own = [link for node in nodes if node["is_this"] for link in node["links"] or ()]
        return sum(link["state"] == "up" for link in own)


@contextmanager
def guarded_nodes(url: str, *names: str) -> Iterator[GuardedNodes]:
    """Nodes of these names with authentication, when all are linked with each other."""
    with ExitStack() as stack:
        first = stack.enter_context(guarded_server(**node(url, names[0], SECRET)))
        others = [
            stack.enter_context(running_server(**node(url, name, SECRET), ENABLE_AUTH="true"))
            for name in names[1:]
        ]
        found = GuardedNodes(first, [first.server, *others])
        until(found.is_whole)
        yield found


def owned_by(owner: str, *, of: list[str] = NAMES, prefix: str = "s") -> str:
    """The name of a subscription that this node owns, of these."""
    ring = Ring(of)
    return next(f"{prefix}{n}" for n in range(1_000) if ring.owner(f"default/{prefix}{n}") == owner)


def taken(client: WsClient, count: int, timeout: float = 10.0) -> list[int]:
    """So many messages come, are acked, and that is confirmed."""
    found = []
    for _ in range(count):
        message = client.receive("message", timeout)
        client.ack(message)
        found.append(message["payload"])
    return found


def taken_on_the_move(client: WsClient, count: int, timeout: float = 30.0) -> list[int]:
    """The same, of a subscription that changes its node meanwhile. An ack that the former one does not get
    any more, and whose delivery the next one does not know, is refused, and the message comes again.
    """
    found: list[int] = []
    while len(found) < count:
        try:
            found += taken(client, 1, timeout)
        except Refused as refused:
            if refused.code not in ("unknown_delivery", "unavailable"):
                raise
    return found


def taken_by_any(clients: list[WsClient], count: int) -> list[int]:
    """The same, by whichever of these gets them."""
    found: list[int] = []
    until_s = time.monotonic() + DEADLINE_S
    while len(found) < count and time.monotonic() < until_s:
        for client in clients:
            with suppress(NoFrame):
                found += taken(client, 1, 0.1)
    return found
