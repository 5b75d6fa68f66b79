"""What has come and is not settled: kept from timing out, and handed to the application once.

Theory of operation. The server gives an attempt a time (`ack_wait_ms`), and hands the message out again
when it is over: it takes the subscriber for dead or stuck. The client knows better. A window of 256
deliveries that are worked on one after the other would time out in the inbox, and slow work would be
done twice and then be a dead letter although it succeeded. So the client extends what it has, wherever
that is: in the inbox, or with the application, until it is settled or the application drops it.

A message is in one of three places:

- in the *inbox*: it waits for the application. A later attempt takes the place of the earlier one.
- with the *application*: it has a Delivery, which is not settled. If only the variable of its loop is left of
  that (`loop.py`), it counts as dropped, unless it is settled in time. A later attempt is kept beside it, and
  is the one that an `ack` names. If the application ends the earlier one in another way, the later one
  goes to the inbox, because for the server it is still out.
- *settled*, remembered for a while: what comes again because it crossed its own ack, or because the ack
  was lost with the connection, is settled again in the same way and not handed out. Attempts are counted
  up while a message is open, so one that comes with the same number or a lower one was opened anew
  (redriven, sought back) and is handed out.

Pure: the caller reads the clock, sends the frames and owns the inbox.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict

import msgspec

from conduit.client.delivery import Delivery, Verb
from conduit.protocol.frames import Ack, Extend, MessageFrame, Reject

# What is extended gets the time of an attempt, which says after how long a process that hangs loses its
# messages. Where that is not known, as much as a durable subscription gives by default.
HOLD_MS = 30_000
# But so much at least: code that blocks the loop for some seconds does no harm.
HOLD_MIN_MS = 5_000
# So long the application may have a delivery, or take none from the inbox, without a sign of life; then
# it counts as stuck, and what it has may go to another subscriber. As long as RabbitMQ's
# consumer_timeout. Work that takes longer says so with `extend`.
HOLD_MAX_S = 1800.0
# The time of an attempt where it is not known, because the server or an earlier subscriber chose it:
# the shortest default.
UNKNOWN_WAIT_S = 1.0
# Attempts shorter than this are extended as soon as they come.
SHORT_WAIT_S = 0.04
SETTLED_MAX_COUNT = 4096
# A durable subscription can be moved back: then what was settled is to be handed out again. An ack does
# not cross a delivery, or wait for the next connection, for longer than this.
SETTLED_MAX_S = 60.0

_NEVER = float("-inf")


class Held:
    """A message that has come and is not settled."""

    __slots__ = (
        "delivery",
        "extended_until",
        "handed_attempt",
        "is_left",
        "is_lost",
        "look_at",
        "message",
        "since",
    )

    def __init__(self, message: MessageFrame, now: float) -> None:
        self.message = message
        """The newest attempt that is known."""
        self.delivery: weakref.ref[Delivery] | None = None
        """With the application; None in the inbox."""
        self.handed_attempt = 0
        self.is_left = False
        """The application has gone on without settling it: only its loop's variable refers to it."""
        self.is_lost = False
        """The connection that its newest attempt came on is gone: it comes again."""
        self.since = now
        """When it came, was taken, or the application last gave a sign of life about it."""
        self.extended_until = _NEVER
        self.look_at = now

    @property
    def is_dropped(self) -> bool:
        """Whether the application had it, and refers to it no more."""
        return self.delivery is not None and self.delivery() is None


class _Settled(msgspec.Struct):
    """What the application said last of a message, of which attempt, and when."""

    verb: Ack | Reject
    attempt: int
    at: float


class Holds:
    """The messages of one stream that are not settled, and those that were lately."""

    def __init__(self, ack_wait_ms: int | None, *, is_durable: bool) -> None:
        """`ack_wait_ms`: the time of an attempt, if it is known."""
        wait_s = UNKNOWN_WAIT_S if ack_wait_ms is None else ack_wait_ms / 1000
        # A quarter: the rest is for the way to the server, and for a loop that is busy.
        self.first_s = wait_s / 4 if wait_s >= SHORT_WAIT_S else 0.0
        """How long after it came a delivery is looked at; `due` has nothing to do with it before."""
        self._hold_ms = HOLD_MS if ack_wait_ms is None else max(HOLD_MIN_MS, ack_wait_ms)
        self._again_s = self._hold_ms / 2000
        # What falls due so close together is sent together.
        self._slack_s = self.first_s / 4
        self._is_durable = is_durable
        self._held: dict[str, Held] = {}
        # Those that are looked at, each in the order of `look_at`: not extended yet, and extended.
        self._fresh: OrderedDict[str, Held] = OrderedDict()
        self._extended: OrderedDict[str, Held] = OrderedDict()
        self._settled: OrderedDict[str, _Settled] = OrderedDict()
        self._answers: list[Verb] = []
        self._moved_at = _NEVER

    # What happens ---------------------------------------------------------------------------------

    def is_settled(self, message: MessageFrame, now: float) -> bool:
        """A delivery came: whether it is of a message that is settled. Then `due` has an answer."""
        settled = self._settled.get(message.message_id)
        if settled is None:
            return False
        is_old = self._is_durable and now - settled.at > SETTLED_MAX_S
        if is_old or message.attempt <= settled.attempt:
            del self._settled[message.message_id]
            return False
        settled.attempt = message.attempt
        self._answers.append(msgspec.structs.replace(settled.verb, attempt=message.attempt))
        return True

    def came(self, message: MessageFrame, now: float) -> Held | None:
        """A delivery came that is not settled. Returns what goes to the inbox, or None: the message
        is there already, or with the application."""
        message_id = message.message_id
        held = known = self._held.get(message_id)
        if held is None or held.is_dropped or held.is_left:
            held = self._held[message_id] = Held(message, now)
        held.message = message
        held.is_lost = False
        held.extended_until = _NEVER
        held.look_at = now + self.first_s
        if known is not None:
            self._look_no_more(message_id)
        self._fresh[message_id] = held
        return None if held is known else held

    def taken(self, held: Held, delivery: Delivery, now: float) -> None:
        """The application took it from the inbox."""
        held.delivery = weakref.ref(delivery)
        held.handed_attempt = delivery.attempt
        held.since = self._moved_at = now

    def leave(self, delivery: Delivery, *, is_left: bool) -> None:
        """A loop has gone on without settling it; or has not, after all. It is extended no more, but may
        still be settled."""
        held = self._held.get(delivery.message.message_id)
        if held is not None and held.delivery is not None and held.delivery() is delivery:
            held.is_left = is_left

    def said(self, delivery: Delivery, verb: Verb, now: float) -> tuple[Verb | None, Held | None]:
        """The application said something of a delivery.

        Returns the frame to send, or None if it changes nothing; and what goes to the inbox again.
        """
        held = self._held.get(delivery.message.message_id)
        if held is None or held.delivery is None or held.delivery() is not delivery:
            # Settled before.
            return None, None
        self._moved_at = now
        is_stale = held.message.attempt != delivery.attempt
        if isinstance(verb, Extend):
            held.since = now
            held.is_left = False
            return (None if is_stale else self._extend(held, now, verb.ms or 0)), None
        del self._held[held.message.message_id]
        self._look_no_more(held.message.message_id)
        if is_stale and not isinstance(verb, Ack):
            return None, self.came(held.message, now)
        verb.attempt = held.message.attempt
        if isinstance(verb, Ack | Reject):
            # The next connection may be another subscriber; see `lost`.
            is_anew = held.is_lost and not self._is_durable
            self._remember(verb, held.message, 0 if is_anew else verb.attempt, now)
        return verb, None

    def refused(self, message_id: str) -> None:
        """The server did not take what was said of it: when it comes again it is handed out."""
        self._settled.pop(message_id, None)

    def lost(self) -> None:
        """The connection ended and the inbox was emptied: nothing is out, everything comes again."""
        self._fresh.clear()
        self._extended.clear()
        # In the inbox, or dropped by the application: nobody has these.
        for held in [*self._held.values()]:
            if held.delivery is None or held.is_dropped or held.is_left:
                del self._held[held.message.message_id]
            else:
                held.is_lost = True
        if not self._is_durable:
            # The next connection is another subscriber, whose attempts begin at 1.
            for settled in self._settled.values():
                settled.attempt = 0

    # What is to be done -----------------------------------------------------------------------------

    def next_at(self) -> float | None:
        """When `due` has something to do, if nothing happens before; None: never."""
        if self._answers:
            return _NEVER
        ats = [next(iter(q.values())).look_at for q in (self._fresh, self._extended) if q]
        return min(ats, default=None)

    def take_answers(self) -> list[Verb]:
        """What settles again the messages that came again."""
        answers, self._answers = self._answers, []
        return answers

    def due(self, now: float) -> tuple[list[Verb], list[Held]]:
        """The frames to send now, and what goes to the inbox again."""
        frames = self.take_answers()
        waiting: list[Held] = []
        for queue in (self._fresh, self._extended):
            while queue and (held := next(iter(queue.values()))).look_at <= now + self._slack_s:
                queue.popitem(last=False)
                if held.is_dropped:
                    waiting += self._dropped(held, now)
                elif self._needs_time(held, now):
                    frames.append(self._extend(held, now, 0))
                else:
                    self._look_again(held, now)
        return frames, waiting

    # Parts ------------------------------------------------------------------------------------------

    def _needs_time(self, held: Held, now: float) -> bool:
        """Whether its time is half over, and the application has shown that it gets on."""
        alive_at = held.since
        if held.delivery is None:
            # What waits has done nothing wrong while the application works on what came before.
            alive_at = max(alive_at, self._moved_at)
        is_half_over = held.extended_until - now <= self._again_s + self._slack_s
        return is_half_over and not held.is_left and now - alive_at < HOLD_MAX_S

    def _dropped(self, held: Held, now: float) -> list[Held]:
        """The application lets go of it unsettled. Only a later attempt is still to be handed out."""
        del self._held[held.message.message_id]
        if held.message.attempt == held.handed_attempt:
            return []
        again = self.came(held.message, now)
        return [] if again is None else [again]

    def _extend(self, held: Held, now: float, ms: int) -> Extend:
        ms = max(ms, self._hold_ms)
        held.extended_until = now + ms / 1000
        self._look_again(held, now)
        message = held.message
        return Extend(
            message.message_id, subscription=message.subscription, attempt=message.attempt, ms=ms
        )

    def _look_again(self, held: Held, now: float) -> None:
        message_id = held.message.message_id
        self._look_no_more(message_id)
        held.look_at = now + self._again_s
        self._extended[message_id] = held

    def _look_no_more(self, message_id: str) -> None:
        if self._fresh.pop(message_id, None) is None:
            self._extended.pop(message_id, None)

    def _remember(
        self, verb: Ack | Reject, message: MessageFrame, attempt: int, now: float
    ) -> None:
        self._settled[message.message_id] = _Settled(verb, attempt, now)
        if len(self._settled) > SETTLED_MAX_COUNT:
            self._settled.popitem(last=False)
