"""What the nodes have in Redis: keys, fields, texts, and the one script that writes a state.

All keys of a cluster begin with its id, so that two of them on one Redis do not meet:

- `…:nodes`, a set: the nodes that have said that they are there, as an index of
- `…:node:<incarnation>`, a JSON text for PRESENCE_TTL_S: a `Presence`
- `…:wants:<incarnation>`, a hash for STATE_TTL_S: `tenant/subscription/pattern` → how many subscribers, and
  under `=` a `Mark`. Without that the state is not whole.
- `…:said`, a channel: an `Announcement` for each change
- `…:echo:<incarnation>`, a channel on which a node hears itself
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from conduit.cluster.subscribers import DURABLE
from conduit.core.interest import Change
from conduit.core.members import Member, Node
from conduit.names import NAME_LENGTH_MAX, is_node

# Without a sign of life for so long a node is not there …
PRESENCE_TTL_S = 5.0
# … and after this what it said is forgotten: a node that was cut off need not say all again.
STATE_TTL_S = 30.0
# Of one step of writing or reading a state: some hundred microseconds here, and a millisecond of Redis's.
STEP_MAX_COUNT = 250
MARK = b"="
_SEPARATOR = "/"
# What one announcement may have: of one with the longest names that can be.
ANNOUNCEMENT_MAX_BYTES = 1 << 20
# Of what a node says every second.
PRESENCE_MAX_BYTES = 4_096
# Whoever can write to Redis can write any number. Versions, and times in ms …
NUMBER_MAX = 1 << 53
# … which have so many digits; and subscribers of one entry, which may be durable besides.
NUMBER_MAX_DIGITS = 16
SUBSCRIBERS_MAX_COUNT = 1_000_000_000
FIELD_MAX_CHARS = 3 * NAME_LENGTH_MAX + 2

_INCARNATION = re.compile(r"[0-9A-Za-z-]{1,64}")
# What goes to the log as it is: an address, a version, and what an entry names.
_TEXT = re.compile(r"[!-~]{1,300}")
_FIELD = re.compile(rf"[!-~]{{1,{FIELD_MAX_CHARS}}}")

# Changes a state if it is as the writer believes: so a command that comes late does nothing, and neither does
# one that finds the state flushed. KEYS: the state. ARGV: how many fields it has; its mark, or ''; the mark
# that it gets, or ''; TTL in ms; a channel; an announcement for it, or ''; how many fields to remove; these;
# fields and values to set.
SCRIPT = """
if redis.call('HLEN', KEYS[1]) ~= tonumber(ARGV[1]) then return 0 end
if (redis.call('HGET', KEYS[1], '=') or '') ~= ARGV[2] then return 0 end
local first = 8 + tonumber(ARGV[7])
for at = 8, first - 1 do redis.call('HDEL', KEYS[1], ARGV[at]) end
for at = first, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], '=', ARGV[3]) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if ARGV[6] ~= '' then redis.call('PUBLISH', ARGV[5], ARGV[6]) end
return 1
"""

Command = tuple[bytes | str | int, ...]


class Presence(Member, frozen=True, kw_only=True):
    """What a node says every second."""

    said: int
    """The version of what it wants."""


class Announcement(msgspec.Struct, frozen=True, array_like=True):
    """A change, told to all. Fields that a later version adds at the end are not read."""

    name: str
    incarnation: str
    version: int
    changes: list[tuple[str, int]] | None = None
    """Fields with how many subscribers each has now. None: the state was written anew, whole."""
    is_leaving: bool = False

    @property
    def node(self) -> Node:
        return Node(self.name, self.incarnation)


class Mark(NamedTuple):
    """What a state stands for: a version, and how often the state was written anew. So nobody reads one half
    before that and the other after it."""

    version: int
    writing: int
    has_all: bool
    """It wants everything, and has no entries."""

    def encoded(self) -> str:
        return f"{self.version} {self.writing}{' all' if self.has_all else ''}"


class Keys:
    """The names of one cluster."""

    def __init__(self, cluster_id: str) -> None:
        # The braces keep all of them in one slot of a Redis Cluster, should it be one of a single part.
        prefix = f"conduit:{{{cluster_id}}}:"
        self.nodes = f"{prefix}nodes"
        self.said = f"{prefix}said"
        self._prefix = prefix

    def presence(self, incarnation: str) -> str:
        return f"{self._prefix}node:{incarnation}"

    def wants(self, incarnation: str) -> str:
        return f"{self._prefix}wants:{incarnation}"

    def echo(self, incarnation: str) -> str:
        return f"{self._prefix}echo:{incarnation}"


encode = msgspec.json.Encoder().encode
_presence = msgspec.json.Decoder(Presence)
_announcement = msgspec.json.Decoder(Announcement)


def number(data: object) -> int | None:
    """A number that stands there as text; None if that is none, or none that is within bounds."""
    if isinstance(data, bytes) and len(data) <= NUMBER_MAX_DIGITS and data.isdigit():
        return int(data)
    return None


def is_incarnation(text: str) -> bool:
    """Whether a node's run may be called so."""
    return _INCARNATION.fullmatch(text) is not None


def presence(data: object) -> Presence | None:
    """What a node has said; None if that is nothing of ours."""
    if not isinstance(data, bytes) or len(data) > PRESENCE_MAX_BYTES:
        return None
    try:
        said = _presence.decode(data)
    except (msgspec.MsgspecError, ValueError):
        # A number of thousands of digits is a ValueError.
        return None
    is_good = (
        _is_named(said)
        and _TEXT.fullmatch(said.address)
        and _TEXT.fullmatch(said.version)
        and 0 <= said.since_ms <= NUMBER_MAX
        and 0 <= said.said <= NUMBER_MAX
    )
    return said if is_good else None


def announcement(data: bytes) -> Announcement | None:
    """What was announced; None if that is nothing of ours."""
    if len(data) > ANNOUNCEMENT_MAX_BYTES:
        return None
    try:
        said = _announcement.decode(data)
    except (msgspec.MsgspecError, ValueError):
        return None
    return said if _is_named(said) and 0 <= said.version <= NUMBER_MAX else None


def _is_named(said: Presence | Announcement) -> bool:
    return is_node(said.name) and is_incarnation(said.incarnation)


def mark(data: object) -> Mark | None:
    """The mark of a state; None if it has none that can be read."""
    match data.split() if isinstance(data, bytes) else ():
        case [first, second, *rest]:
            version, writing = number(first), number(second)
            if version is not None and writing is not None:
                return Mark(version, writing, rest[:1] == [b"all"])
    return None


def fields(changes: Iterable[Change]) -> list[tuple[str, int]]:
    """Entries as fields."""
    return [(_SEPARATOR.join(entry), count) for entry, count in changes]


def changes(pairs: Iterable[tuple[str, int]]) -> list[Change]:
    """Fields as entries, but for what is none: so fewer may come out than go in."""
    found = []
    for field, count in pairs:
        parts = field.split(_SEPARATOR)
        if len(parts) == 3 and _is_count(count) and _FIELD.fullmatch(field):
            found.append(((parts[0], parts[1], parts[2]), count))
    return found


def _is_count(count: int) -> bool:
    return 0 <= count < 2 * DURABLE and count % DURABLE <= SUBSCRIBERS_MAX_COUNT


def stored(reply: Sequence[Any]) -> tuple[list[Change], int]:
    """Entries out of a part of a hash: field, value, field, value …; and how many fields are none."""
    pairs = []
    for field, value in zip(reply[::2], reply[1::2], strict=False):
        if field != MARK:
            count = number(value)
            pairs.append((field.decode(errors="replace"), -1 if count is None else count))
    found = changes(pairs)
    return found, len(pairs) - len(found)
