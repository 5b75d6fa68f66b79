"""Conduit as several nodes of one PostgreSQL, linked and with Redis; the first one is what is measured."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path

from bench.systems import READY_WITHIN_S, Conduit, ConduitOnPostgres, Redis, directory, running

SECRET = "of-the-nodes-of-a-benchmark"


class Nodes:
    """They run until the context that made them ends. Nodes have names `n0`, `n1`, …"""

    def __init__(self, first: ConduitOnPostgres, others: list[Conduit]) -> None:
        self.first = first
        self.others = others
        self.alive = [first, *others]

    def await_links(self) -> None:
        """Until each of those that are alive has a link to each other one. Raises RuntimeError."""
        until = time.monotonic() + READY_WITHIN_S
        while any(_links_up(node.port) < len(self.alive) - 1 for node in self.alive):
            if time.monotonic() > until:
                raise RuntimeError("the nodes do not link")
            time.sleep(0.02)


def _links_up(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/api/nodes")
        nodes = json.loads(connection.getresponse().read())["nodes"]
    own = next(node for node in nodes if node["is_this"])
    return sum(link["state"] == "up" for link in own["links"] or ())


@contextlib.contextmanager
def nodes(path: Path, count: int) -> Iterator[Nodes]:
    """So many, which are linked, in folders of their own below `path`."""
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(running(Redis(stack.enter_context(directory()))))
        shared = {
            "INTERNAL_SECRET": SECRET,
            "REDIS_URL": f"redis://127.0.0.1:{redis.port}",
        }
        first = ConduitOnPostgres(path, None, **shared)
        _name(first, 0)
        stack.enter_context(running(first))
        found = Nodes(first, [])
        for number in range(1, count):
            folder = stack.enter_context(directory())
            node = Conduit(folder, "postgresql", DATABASE_URL=first.url, **shared)
            _name(node, number)
            stack.enter_context(running(node))
            found.others.append(node)
            found.alive.append(node)
        found.await_links()
        yield found


def _name(node: Conduit, number: int) -> None:
    node.set(NODE_ID=f"n{number}", NODE_ADDR=f"127.0.0.1:{node.port}")
