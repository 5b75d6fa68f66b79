"""Where subscriptions began: floors by topic id, in parts, so that one topic's is found without reading those
of all others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import apsw
import msgspec

from conduit.storage.sqlite.bulk import Insert, Statement, rows

# Of a topic's id, these are the same in all ids of a part but for the last ones.
PART_BITS = 10

# Behind a subscription `s`: the part `g` that the topic `:topic_id` belongs to, and what it says of it.
JOIN = f"""
LEFT JOIN begins AS g ON g.subscription_id = s.subscription_id AND g.part = :topic_id >> {PART_BITS}
"""
FLOOR = """(g.floors ->> ('$."' || :topic_id || '"'))"""

_MAKE = "SELECT value ->> 0, jsonb(value -> 1) FROM json_each(?)"
_FORGET = "DELETE FROM begins WHERE subscription_id = ?"
_PUT = Insert(
    "begins",
    width=3,
    then="AND EXISTS (SELECT 1 FROM subscriptions WHERE subscription_id = column1)",
)


class Part(NamedTuple):
    """The topics with these ids, as they are stored."""

    number: int
    floors: bytes


def parts(connection: apsw.Connection, floors: Iterable[tuple[int, int]]) -> list[Part]:
    """Of (topic id, floor). Runs on a reader's thread: it is most of the work."""
    found: dict[int, dict[int, int]] = {}
    for topic_id, floor in floors:
        found.setdefault(topic_id >> PART_BITS, {})[topic_id] = floor
    text = msgspec.json.encode([*found.items()]).decode()
    return [Part(*row) for row in rows(connection, _MAKE, (text,))]


def put(subscription_id: int, parts: Sequence[Part]) -> list[Statement]:
    """What stores them for a subscription that has none."""
    return [*_PUT.statements([(subscription_id, *part) for part in parts])]


def replace(subscription_id: int, parts: Sequence[Part]) -> list[Statement]:
    """What stores them in the place of those before."""
    return [(_FORGET, [subscription_id]), *put(subscription_id, parts)]
