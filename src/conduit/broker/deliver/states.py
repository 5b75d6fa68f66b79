"""The states of a cursor, and where it is registered in each."""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from conduit.broker.deliver.backlog import Behind
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.feed import Feed
from conduit.broker.deliver.group import Group
from conduit.broker.deliver.line import Waiting
from conduit.broker.deliver.live import Follower


class State(Enum):
    """Where a cursor is; its table is in cursor.py."""

    LIVE = auto()
    TAIL = auto()
    CREDIT = auto()
    CROWDED = auto()
    FULL = auto()
    BEHIND = auto()
    FETCHING = auto()
    STALLED = auto()
    HELD = auto()
    CLOSED = auto()


class Registered(Follower, Waiting, Behind, Protocol):
    """A cursor, as those see it that it is registered with."""

    @property
    def group(self) -> Group:
        """Its subscription."""

    @property
    def feed(self) -> Feed:
        """Its topic's tail."""


def enter(who: Registered, state: State, engine: Engine, *, has_read: bool) -> None:
    """Register it where the state says. `has_read`: it has had its turn, and used it to read."""
    group = who.group
    if state is State.LIVE:
        is_direct = group.is_auto and group.is_direct
        who.feed.join(who, group.subscribers[0].outlet if is_direct else None)
    elif state is State.TAIL:
        who.feed.waiting[who] = None
    elif state is State.CREDIT and has_read:
        group.line.wait_first(who)
    elif state is State.CREDIT:
        group.line.wait(who)
    elif state is State.CROWDED:
        group.wait_to_read(who)
    elif state is State.FULL:
        group.wait_for_room(who)
    elif state is State.BEHIND:
        engine.backlog.add(who)


def leave(who: Registered, state: State, engine: Engine) -> None:
    """Have it registered there no more."""
    if state is State.LIVE:
        who.feed.leave(who)
    elif state is State.TAIL:
        who.feed.waiting.pop(who, None)
    elif state in (State.CREDIT, State.CROWDED, State.FULL):
        who.group.line.leave(who)
    elif state is State.BEHIND:
        engine.backlog.discard(who)
