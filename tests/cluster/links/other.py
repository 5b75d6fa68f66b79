"""other.py NAME PORT: a node in a process of its own, which does what the lines of its input say.

Each line is JSON: `{"live": [[name, incarnation, address], …]}`, `{"hint": [name, text]}` or
`{"ask": [name, text]}`. It prints one line of JSON for whatever happens to it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import uvloop

from conduit.cluster.links.handshake import Identity
from conduit.errors import ConduitError
from tests.cluster.links.kit import Live, Node, Recorder


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


class Telling(Recorder):
    """Tells all of it."""

    def link_up(self, node: Identity) -> None:
        tell(up=node.name)

    def link_down(self, node: Identity, why: str) -> None:
        tell(down=node.name, why=why)

    def on_hint(self, node: Identity, body: bytes) -> None:
        tell(hint=len(body))


async def do(node: Node, line: str) -> None:
    """One command."""
    (what, value), *_ = json.loads(line).items()
    if what == "live":
        node.links.set_live(Live(*each) for each in value)
    elif what == "hint":
        tell(sent=node.links.send_hint([value[0]], value[1].encode()))
    elif what == "ask":
        link = node.links.to(value[0])
        try:
            answer = None if link is None else await link.ask("k", value[1].encode(), 30.0)
            tell(answer=None if answer is None else answer.decode())
        except ConduitError as error:
            tell(failed=error.code)


async def main(name: str, port: int) -> None:
    node = Node(name, recorder=Telling())
    await node.start(port)
    tell(incarnation=node.own.incarnation, address=node.live.address)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = set()
    while line := await reader.readline():
        tasks.add(loop.create_task(do(node, line.decode())))
    await node.stop()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
