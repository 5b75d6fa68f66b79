"""What nodes ask each other on one link: requests, each of which has one answer."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator

from conduit.broker.turn import guarded
from conduit.cluster.links.failures import error_of, failure_of
from conduit.cluster.links.frames import Failure, Reply, Request, encode
from conduit.errors import ConduitError, InvalidRequest, OutcomeUnknown, Overloaded, StateError

# Of one side that are open at a time, on one link.
REQUESTS_MAX_COUNT = 1_024

Answered = Callable[[bytes | ConduitError], object]
"""What came of a request: called once, with the body of the answer or with the error."""
Put = Callable[[bytes], None]
"""Sends an encoded frame."""

logger = logging.getLogger(__name__)


class Requests:
    """What this side has asked. `now` is on the clock of the deadlines, in seconds."""

    __slots__ = ("_last_id", "_next_at", "_open", "_put")

    def __init__(self, put: Put) -> None:
        self._put = put
        # By id: until when, and who waits.
        self._open: dict[int, tuple[float, Answered]] = {}
        # No deadline is before that.
        self._next_at = math.inf
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._open)

    def ask(self, kind: str, body: bytes, until: float, answered: Answered) -> None:
        """Raises, and then nothing was asked: Overloaded if REQUESTS_MAX_COUNT are open, LimitReached if the
        body is too large."""
        if len(self._open) >= REQUESTS_MAX_COUNT:
            raise Overloaded(f"{REQUESTS_MAX_COUNT} requests to the other node are open already")
        frame = encode(Request(self._last_id + 1, kind, body))
        self._last_id += 1
        self._open[self._last_id] = until, answered
        self._next_at = min(self._next_at, until)
        self._put(frame)

    def replied(self, frame: Reply) -> None:
        """Raises InvalidRequest for an answer to what was not asked."""
        self._answer(frame.id, frame.body)

    def failed(self, frame: Failure) -> None:
        """Raises as `replied`."""
        self._answer(frame.id, error_of(frame))

    def expire(self, now: float) -> int:
        """Tell those whose time is over; returns how many."""
        if now < self._next_at:
            return 0
        late = [each for each, (until, _) in self._open.items() if until <= now]
        told = [self._open.pop(each)[1] for each in late]
        self._next_at = min((until for until, _ in self._open.values()), default=math.inf)
        for answered in told:
            guarded(answered, OutcomeUnknown("the other node did not answer in time"))
        return len(told)

    def end(self, why: str) -> Iterator[None]:
        """The link is gone: tell all who wait, in steps."""
        waiting, self._open = self._open, {}
        for _, answered in waiting.values():
            guarded(answered, OutcomeUnknown(f"{why}; what was asked may have been done"))
            yield

    def _answer(self, request_id: int, outcome: bytes | ConduitError) -> None:
        if request_id > self._last_id:
            raise InvalidRequest(f"request {request_id} is answered, and was not asked")
        # One that comes too late was told already.
        found = self._open.pop(request_id, None)
        if found is not None:
            guarded(found[1], outcome)


class Asked:
    """A request of the other side. Answer it once, with `reply` or `fail`, at any time; what comes later, or
    when the link has ended, does nothing."""

    __slots__ = ("_id", "_served", "body", "kind")

    def __init__(self, served: Served, request: Request) -> None:
        self._served = served
        self._id = request.id
        self.kind = request.kind
        self.body = request.body

    def reply(self, body: bytes) -> None:
        """The answer. One that is too large for a frame is told as the error that this is."""
        self._served.reply(self._id, body)

    def fail(self, error: ConduitError) -> None:
        """The answer is an error. A StateError is logged here, and tells the other side nothing."""
        self._served.fail(self._id, error)


class Served:
    """What the other side has asked and was not answered yet."""

    __slots__ = ("_open", "_peer", "_put")

    def __init__(self, put: Put, peer: str) -> None:
        self._put = put
        self._peer = peer
        self._open: set[int] = set()

    def received(self, frame: Request, serve: Callable[[Asked], None]) -> None:
        """One has come; `serve` answers it, now or later, or raises. Raises InvalidRequest for one that came
        twice."""
        if frame.id in self._open:
            raise InvalidRequest(f"request {frame.id} comes twice")
        if len(self._open) >= REQUESTS_MAX_COUNT:
            # Of which some have been given up by who asked.
            error = Overloaded(f"{REQUESTS_MAX_COUNT} requests of the node wait for their answers")
            self._put(encode(failure_of(frame.id, error)))
            return
        self._open.add(frame.id)
        try:
            serve(Asked(self, frame))
        except ConduitError as error:
            self.fail(frame.id, error)
        except Exception as error:
            logger.exception("a request of node %s failed", self._peer)
            self._answer(frame.id, StateError.of(error))

    def reply(self, request_id: int, body: bytes) -> None:
        """See `Asked.reply`."""
        if request_id not in self._open:
            return
        try:
            frame = encode(Reply(request_id, body))
        except ConduitError as error:
            self.fail(request_id, error)
        else:
            self._open.discard(request_id)
            self._put(frame)

    def fail(self, request_id: int, error: ConduitError) -> None:
        """See `Asked.fail`."""
        if request_id in self._open and isinstance(error, StateError):
            logger.error("a request of node %s failed", self._peer, exc_info=error)
        self._answer(request_id, error)

    def end(self) -> None:
        """The link is gone: nobody waits."""
        self._open.clear()

    def _answer(self, request_id: int, error: ConduitError) -> None:
        if request_id in self._open:
            self._open.discard(request_id)
            self._put(encode(failure_of(request_id, error)))
