"""What happened in a run: what its clients saw (as in tests/crash), and what the database saw of the nodes.

All times are seconds of one monotonic clock, that of the machine on which everything runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tests.crash.history import Fault, History

Kind = Literal[
    "kill",
    "stop",
    "nodes",
    "node-redis",
    "node-postgres",
    "redis",
    "postgres",
    "rolling",
    "links",
    "clock",
]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to publish, by one request or frame. `code`: "ok", the code of an error, or "lost": no
    answer."""

    node: str
    sent_at: float
    at: float
    code: str


@dataclass(frozen=True, slots=True)
class Left:
    """A connection has ended, as far as the client knows."""

    stream: str
    connection: int
    at: float


@dataclass(frozen=True, slots=True)
class Struck:
    """One fault, from before it was brought about until everything was as before. `nodes`: on whom.

    `is_clean`: a node that was stopped had nothing half done. `resumed_at`: when it went on.
    """

    kind: Kind
    nodes: tuple[str, ...]
    at: float
    until: float
    is_clean: bool = True
    resumed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Claimed:
    """From then on a durable subscription has this owner, by its node's name; "": none. As the database has
    it."""

    stream: str
    node: str
    incarnation: str
    fence: int
    at: float


@dataclass(frozen=True, slots=True)
class Leased:
    """From then on the lease of that process ends at `until`, as the database has it."""

    node: str
    incarnation: str
    at: float
    until: float


@dataclass(frozen=True, slots=True)
class Wrote:
    """A node has stored progress of a durable subscription, as the database has it."""

    stream: str
    node: str
    at: float


@dataclass(slots=True)
class ClusterHistory(History):
    """All of it. Each list in the order of its times."""

    attempts: list[Attempt] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    struck: list[Struck] = field(default_factory=list)
    claimed: list[Claimed] = field(default_factory=list)
    leased: list[Leased] = field(default_factory=list)
    wrote: list[Wrote] = field(default_factory=list)

    def break_off(self, stream: str, what: str) -> None:
        """Note what must not happen at all."""
        self.events.append(Fault(stream, what))
