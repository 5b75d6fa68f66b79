"""What happened in a run, as its clients saw it, in the order in which they saw it."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["ok", "fail", "info"]
Verdict = Literal["ack", "nack", "reject"]


@dataclass(frozen=True, slots=True)
class Published:
    """The end of one publish. `info`: the outcome is unknown. `fail`: it was certainly refused.

    `sent_at` and `at` are when it was sent last and when it ended, in seconds of the monotonic clock; 0 if
    that was not noted.
    """

    value: str
    topic: str
    outcome: Outcome
    seq: int = 0
    message_id: str = ""
    sent_at: float = 0.0
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Connected:
    """A subscriber is about to subscribe on a new connection. `node` and `at`, here and below, are where and
    when, in seconds of the monotonic clock; "" and 0 if that was not noted."""

    stream: str
    connection: int
    node: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """One `message` frame. `connection` is a number that no other connection has."""

    stream: str
    connection: int
    topic: str
    seq: int
    attempt: int
    value: str
    message_id: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Settled:
    """What a subscriber decided. Recorded when it is sent, and again when it is confirmed."""

    stream: str
    connection: int
    topic: str
    seq: int
    attempt: int
    verdict: Verdict
    confirmed: bool = False
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What must not happen at all in a run: a gap frame, a resume that is not recovered."""

    stream: str
    what: str


@dataclass(frozen=True, slots=True)
class Stored:
    """One message that the log holds at the end."""

    topic: str
    seq: int
    value: str
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Dead:
    """One dead letter that is kept at the end."""

    stream: str
    topic: str
    seq: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Stream:
    """One durable subscription, or one ephemeral client that resumes by position.

    Every stream began before the first publish. `shared`: several connections compete. `doomed`:
    ends of values that its subscribers never ack, so that they must become dead letters.
    """

    name: str
    topics: tuple[str, ...]
    durable: bool = True
    shared: bool = False
    strict: bool = False
    doomed: tuple[str, ...] = ()


@dataclass(slots=True)
class History:
    """All of it. `events` has what the subscribers saw and did, in that order.

    `refused` and `turned_away` count the answers to publishers and to subscribers that said "not now",
    by their code.
    """

    streams: list[Stream]
    published: list[Published] = field(default_factory=list)
    events: list[Connected | Delivered | Settled | Fault] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    turned_away: Counter[str] = field(default_factory=Counter)


def payload_for(value: str, padding: int) -> dict[str, Any]:
    """A payload that proves its own integrity: the value, some padding, a checksum of both."""
    pad = "x" * padding
    return {"value": value, "pad": pad, "sum": zlib.crc32(f"{value}{pad}".encode())}


def value_of(payload: Any) -> str:
    """The value inside an intact payload; for any other, a text that no publisher ever sent."""
    try:
        if payload["sum"] == zlib.crc32(f"{payload['value']}{payload['pad']}".encode()):
            value: str = payload["value"]
            return value
    except (KeyError, TypeError):
        pass
    return f"damaged {json.dumps(payload)[:80]}"
