"""Takes errands to the owners of durable subscriptions, and tells what became of those that fail.

What the owner answers is its outcome, also if that is an error, and it is raised here as it was there. That a
request fails says that nothing was begun: there is no link, the owner stops or is none any more, or it is of
a version that knows no such errand. But for OutcomeUnknown: then nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

import msgspec

from conduit.cluster import errands
from conduit.cluster.elsewhere import Elsewhere
from conduit.cluster.errands import Errand, Kind
from conduit.core.seats import Seats
from conduit.errors import (
    ConduitError,
    Conflict,
    InvalidRequest,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
)

# How long it is tried to reach an owner, and how long one has to answer: as long as a change may take there,
# and some more (broker/changes.py).
REACH_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 15.0
# Between two attempts, if nothing is heard of before.
AGAIN_S = 0.2
# Errands of all tenants that one owner has at a time; no tenant keeps out all others, for which there may be
# twice as many. A link carries more (links/requests.py): there are other requests.
OPEN_MAX_COUNT = 256

T = TypeVar("T")


class Unreachable(Unavailable):
    """The owner was not asked, or refused before it did anything."""


class Reach:
    """For how long owners are tried to be reached by all errands that have it together: REACH_TIMEOUT_S after
    the first attempt that failed."""

    def __init__(self) -> None:
        self._until: float | None = None

    def is_over(self) -> bool:
        """Whether to give up; an attempt has failed."""
        now = monotonic()
        if self._until is None:
            self._until = now + REACH_TIMEOUT_S
        return now >= self._until


class Messenger:
    """Of one node. Errands that only look are taken again as often as there is time; others are only if
    nothing was begun."""

    def __init__(self, elsewhere: Elsewhere) -> None:
        self._elsewhere = elsewhere
        # By owner; those of whom something is asked.
        self._seats: dict[str, Seats] = {}

    async def ask(
        self,
        kind: Kind,
        errand: Errand,
        decode: Callable[[bytes], T],
        reach: Reach | None = None,
    ) -> T | None:
        """The owner's answer, decoded; None if that is this node.

        Raises what the owner raises; Unreachable if none was asked in time, or it cannot do it; Overloaded if
        too much is asked of it, of this tenant above all; and OutcomeUnknown if the answer was lost.
        """
        reach, until = reach or Reach(), monotonic() + REACH_TIMEOUT_S
        while True:
            owner = self._elsewhere.owner_of(errand.tenant, errand.names[0])
            if owner is None:
                return None
            try:
                answer = await self._taken_to(owner, kind, errand)
            except ConduitError as error:
                if not _may_be_asked_again(kind, errand, error):
                    raise
                is_late = reach.is_over() or monotonic() >= until
                if is_late or isinstance(error, InvalidRequest):
                    raise _unreachable(owner, error) from error
            else:
                return _read(owner, kind, errand, answer, decode)
            await self._elsewhere.changed(AGAIN_S)

    async def _taken_to(self, owner: str, kind: Kind, errand: Errand) -> bytes:
        with self._seat(owner, errand.tenant):
            return await self._elsewhere.ask(owner, kind, errand, ANSWER_TIMEOUT_S)

    @contextmanager
    def _seat(self, owner: str, tenant: str) -> Iterator[None]:
        seats = self._seats.setdefault(owner, Seats(OPEN_MAX_COUNT))
        if not seats.is_free_for(tenant):
            raise Overloaded(
                f"{seats.count} requests wait for node {owner}, which has the subscription"
            )
        try:
            with seats.taken(tenant):
                yield
        finally:
            if not seats.count:
                del self._seats[owner]


def _may_be_asked_again(kind: Kind, errand: Errand, error: ConduitError) -> bool:
    if isinstance(error, OutcomeUnknown):
        return errands.is_look(kind, errand)
    # The link, or the owner before it began. Others that are Unavailable say more: that the store does not
    # answer, or that there is no room.
    return type(error) is Unavailable or isinstance(error, Conflict | InvalidRequest)


def _unreachable(owner: str, error: ConduitError) -> Unreachable:
    if isinstance(error, InvalidRequest):
        return Unreachable(
            f"node {owner}, which has the subscription, is of a version that cannot do that for others;"
            f" nothing was done ({error.told})"
        )
    return Unreachable(
        f"node {owner}, which has the subscription, cannot be reached; nothing was done ({error.told})"
    )


def _read(owner: str, kind: Kind, errand: Errand, answer: bytes, decode: Callable[[bytes], T]) -> T:
    try:
        return decode(errands.open_outcome(answer))
    except Unavailable as error:
        if type(error) is not Unavailable or errands.is_look(kind, errand):
            raise
        # Its broker has stopped meanwhile, or a newer one says what is not known here.
        raise OutcomeUnknown(f"{error.told}; what was asked may have been done") from error
    except msgspec.MsgspecError as error:
        told = f"what node {owner} has answered cannot be read; it may be of another version"
        if errands.is_look(kind, errand):
            raise Unreachable(told) from error
        raise OutcomeUnknown(f"{told}, and what was asked may have been done") from error
