"""What a subscription has to be told of topics that are gone, until it is known to have heard it.

A gap has no ack. It was heard for certain when a delivery that was handed out after it is settled by who was
told. Until then each subscriber that comes is told again, and afterwards it may be: who is told too often
loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from tests.model.oracle.log import Topic, Violation

Known = tuple[Hashable, ...]
"""Something that a subscriber was told."""
Heard = tuple[str, str, bool]
"""Name and epoch of a topic that is gone, and whether that is over: it was made anew."""


@dataclass(frozen=True)
class Former:
    """A topic that is gone. What came from this number on is lost; more may be told, never less."""

    epoch: str
    from_seq: int
    last_seq: int | None
    """None: not known; below `from_seq` if nothing was lost, or it is known."""
    reason: str = "epoch_changed"
    before_seq: int = 0
    """Where one of its name before it began: what is told of both may begin there."""
    since: float = 0.0
    """When the store was told, by the clock that nobody sets."""

    @property
    def has_lost(self) -> bool:
        """Whether something of it will not come."""
        return self.last_seq is None or self.last_seq >= self.from_seq

    def after(self, before: Former | None) -> Former:
        """It takes the place of another topic of its name, of which something may be owed too."""
        if before is None or (before.epoch, before.reason) == (self.epoch, self.reason):
            return self
        before_seq = max(before.from_seq, before.before_seq)
        return replace(self, last_seq=None, before_seq=before_seq)

    def is_made_anew(self, there: Topic | None) -> bool:
        """Whether this topic is another one of its name, that the broker knows."""
        return there is not None and there.is_known and there.epoch != self.epoch


class News:
    """Of one subscription, by name."""

    def __init__(self) -> None:
        self.former: dict[str, Former] = {}
        """What must be told."""
        self.may_be: dict[str, list[Former]] = {}
        """What may be told: of topics that were on their way out when it came, or what was heard already."""
        self.stored: dict[str, Former] = {}
        self.heard: set[Heard] = set()
        """What the broker may say that it was heard."""

    def is_gone(self, name: str, former: Former) -> None:
        """A topic that it followed was deleted. If the store was the first to say so, that may be heard by
        now."""
        if (name, former.epoch, True) in self.heard:
            self.may_be_told(name, former)
            return
        self.former[name] = former.after(self.former.get(name))
        if (name, former.epoch, False) in self.heard:
            self.hear(name, self.former[name], is_over=False)

    def store(self, name: str, former: Former, now: float) -> None:
        """The store has forgotten it."""
        self.stored[name] = replace(former, since=now).after(self.stored.get(name))

    def forget(self, is_over: Callable[[float], bool]) -> None:
        """The store does not know any more what was stored too long ago. Where the subscription runs, it may
        be told yet."""
        for name, stored in tuple(self.stored.items()):
            if not is_over(stored.since):
                continue
            del self.stored[name]
            owed = self.former.get(name)
            if owed is not None and owed.epoch == stored.epoch:
                self.may_be_told(name, self.former.pop(name))

    def may_be_told(self, name: str, former: Former) -> None:
        """It is no violation to tell it, nor not to."""
        self.may_be.setdefault(name, []).append(former)

    def load(self) -> None:
        """What the store has is owed, also what was heard and is not stored as that."""
        for name, former in self.stored.items():
            self.may_be_told(name, former)

    def restore(self) -> None:
        """What the store has is all that is owed."""
        for name, former in self.former.items():
            self.may_be_told(name, former)
        self.former = dict(self.stored)

    def is_late(self, name: str, epoch: str) -> bool:
        """Whether a topic of this epoch is gone too: a slow socket tells late of what was before it."""
        ones = [self.former[name]] if name in self.former else []
        return any(former.epoch == epoch for former in ones + self.may_be.get(name, []))

    def tell(
        self, name: str, told: tuple[int, int | None, str, str], there: Topic | None
    ) -> Former:
        """A subscriber was told: from, to, reason and epoch. Returns what that is about."""
        ones = [self.former[name]] if name in self.former else []
        may_be = self.may_be.get(name, [])
        # Where it was loaded after the store had forgotten another topic of this name, that one is the last.
        newest = [each for each in may_be[-1:] if each is self.stored.get(name)]
        for former in newest + ones + may_be[::-1]:
            if _explains(former, told, there):
                return former
        raise Violation(f"a gap of {name} nobody can explain: {told}; gone is {ones}")

    def hear(self, name: str, former: Former, is_over: bool) -> None:
        """Somebody who was told of it has heard it."""
        self.heard.add((name, former.epoch, is_over))
        now = self.former.get(name)
        if now is None or (now.epoch, now.reason) != (former.epoch, former.reason):
            return
        if is_over:
            del self.former[name]
            self.may_be_told(name, former)
        else:
            self.former[name] = replace(former, last_seq=former.from_seq - 1)
            self.may_be_told(name, former)

    def did_hear(self, heard: Heard) -> None:
        """The store is told that it was heard."""
        if heard not in self.heard:
            raise Violation(f"{heard} is stored as heard, and nothing proves it")
        name, epoch, is_over = heard
        owed = self.former.get(name)
        if owed is not None and owed.epoch == epoch:
            # It was heard before another node claimed the subscription, and is known there now.
            self.hear(name, owed, is_over)
        former = self.stored.get(name)
        if former is None or former.epoch != epoch:
            return
        if is_over:
            del self.stored[name]
        else:
            self.stored[name] = replace(former, last_seq=former.from_seq - 1)


def _explains(former: Former, told: tuple[int, int | None, str, str], there: Topic | None) -> bool:
    from_seq, to_seq, reason, epoch = told
    if from_seq > max(former.from_seq, former.before_seq):
        return False
    if reason == "log_lost":
        return (former.reason, former.last_seq) == (reason, to_seq)
    if epoch:
        return former.is_made_anew(there) and there is not None and epoch == there.epoch
    return to_seq is None or former.last_seq in (None, to_seq)
