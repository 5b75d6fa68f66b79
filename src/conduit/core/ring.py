"""Which node has what: a consistent hash ring.

Each node stands at VIRTUAL_NODES_COUNT places of a ring of 2³² (CRC32, as in the seed's "Hash Ring"), and has
what lies before each of them, back to the place before. So a node that comes or goes moves only what it gets
or had, about 1/N of all.

CRC32 is linear: names and numbers that differ in one digit differ by the same bits, and the places of similar
names are far from random. So the sum is mixed (the finalizer of MurmurHash3, which maps 2³² one to one):
the shares of `node-1` to `node-10` are then 0.9 to 1.1 of the mean instead of 0.7 to 1.2, and with other
spellings of a node's places it was up to 2.3.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from zlib import crc32

VIRTUAL_NODES_COUNT = 150
SIZE = 1 << 32


def subscription_key(tenant: str, name: str) -> str:
    """What a durable subscription is on the ring."""
    return f"{tenant}/{name}"


def place(text: str) -> int:
    """Where on the ring this is: 0 to 2³² - 1, the same on every machine."""
    mixed = crc32(text.encode())
    mixed = ((mixed ^ mixed >> 16) * 0x85EBCA6B) % SIZE
    mixed = ((mixed ^ mixed >> 13) * 0xC2B2AE35) % SIZE
    return mixed ^ mixed >> 16


class Ring:
    """The nodes of these names, in any order. Immutable."""

    __slots__ = ("_nodes", "_places")

    def __init__(self, nodes: Iterable[str]) -> None:
        # Of nodes at one place the first by name has it.
        stands = sorted(
            (place(f"{node}#{number}"), node)
            for node in set(nodes)
            for number in range(VIRTUAL_NODES_COUNT)
        )
        self._places = [at for at, _ in stands]
        self._nodes = [node for _, node in stands]

    def owner(self, key: str) -> str | None:
        """The node that has this; None if there is no node."""
        if not self._nodes:
            return None
        index = bisect_left(self._places, place(key))
        # Past the last place the ring begins anew.
        return self._nodes[index if index < len(self._nodes) else 0]

    def places(self) -> list[tuple[int, str]]:
        """Where nodes stand, upwards from 0; each has what lies before, back to the place before."""
        return list(zip(self._places, self._nodes, strict=True))

    def shares(self) -> dict[str, float]:
        """Node → how much of the ring it has; all together 1."""
        sizes = dict.fromkeys(self._nodes, 0)
        before = self._places[-1] - SIZE if self._places else 0
        for at, node in zip(self._places, self._nodes, strict=True):
            sizes[node] += at - before
            before = at
        return {node: size / SIZE for node, size in sorted(sizes.items())}
