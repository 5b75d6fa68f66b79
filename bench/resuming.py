"""Do Conduit's durable subscriptions go on where they were when the server was killed?

- One is at work when that happens, and acks what it gets. It must go on without a gap. What comes
  again must have been in flight, or acked within `UNSTORED_S` before the end: acks that nobody waits
  for are stored five times a second. `redelivered_messages` came again, `redeliverable_messages` is
  how many were allowed to, `oldest_redelivered_ms` how long before the end the oldest was acked.
- A hundred have acked every other message of their first window, with a confirmation, and were given
  as many more. Exactly what they held must come again, and nothing whose ack was confirmed.
- All others must be where they were.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator

from bench import filling, loads, readback, wire
from conduit.load.checks import Checks

WORKING = "sub-999"
HELD = [f"sub-{number}" for number in range(100)]
WINDOW = 256
# A fifth of a second is promised; the rest is for what a full machine adds: acks that were on the way
# to the server, and a commit that waited for others.
UNSTORED_S = 0.2 + 0.3
QUIET_S = 5.0
_DELIVERY = re.compile(
    rb'"message_id":"([0-9a-f-]{36})","topic":"[^"]*","payload":\{"n":(\d+),[^}]*\},'
    rb'"published_at":"[^"]*","seq":\d+,"epoch":"[^"]*","attempt":(\d+)[,}]'
)
_ACKED = b'"type":"acked"'


@dataclasses.dataclass(frozen=True)
class Delivery:
    """One delivery, and when it was read (and acked, by the one at work)."""

    identity: bytes
    number: int
    attempt: int
    at: float


@dataclasses.dataclass
class Found:
    """What became of the subscriptions."""

    figures: dict[str, float]
    checks: Checks
    problems: list[str]


@dataclasses.dataclass
class Window:
    """The numbers that a subscription has acked with a confirmation, and those it holds."""

    acked: set[int]
    held: set[int]


class Kept:
    """Runs the subscribers until the server is killed, and compares afterwards.

    The topic has the subscriptions `sub-0` … `sub-999`, all of them behind its end. Use as a context
    manager: when it is entered, the windows are full.
    """

    def __init__(self, port: int, topic: str) -> None:
        self._port = port
        self._topic = topic
        self._floors: dict[str, int] = {}
        self._work = loads.Load(work, port, topic)
        self._hold = loads.Load(hold, port, topic)

    def __enter__(self) -> Kept:
        self._hold.wait_ready()
        self._work.wait_ready()
        self._floors = _floors(self._port)
        return self

    def __exit__(self, *exc: object) -> None:
        self._work.__exit__(*exc)
        self._hold.__exit__(*exc)

    def go(self) -> None:
        """Let them begin; they end with the server."""
        self._hold.go()
        self._work.go()

    def resume(self, killed_at: float, mark: int) -> Found:
        """After the restart: attach again and compare. `mark` is the number that ends the log."""
        before: list[Delivery] = self._work.result()
        windows: dict[str, Window] = self._hold.result()
        problems = self._moved()
        began = time.monotonic()
        after = self._catch_up(mark)
        figures = {"resumed_ms": (after[0].at - began) * 1000 if after else 0.0}
        again = {each.number for each in before} & {each.number for each in after}
        allowed = {each.number for each in before if each.at > killed_at - UNSTORED_S}
        acked_before_s = [killed_at - each.at for each in before if each.number in again]
        figures["oldest_redelivered_ms"] = max(acked_before_s, default=0.0) * 1000
        figures["redelivered_messages"] = len(again)
        figures["redeliverable_messages"] = len(allowed)
        # The second half of the log's last thousandth and what came then, without the mark.
        due = range(
            self._floors[WORKING], readback.call_topic(self._port, self._topic)["last_seq"] - 1
        )
        checks = _checks_of_work(due, before, [d for d in after if d.number != mark], allowed)
        if not before:
            problems.append("nothing was delivered when the server was killed")
        for name, window in windows.items():
            checks += self._checks_of_window(name, window)
        return Found(figures, checks, problems)

    def _moved(self) -> list[str]:
        now = _floors(self._port)
        moved = [name for name, floor in self._floors.items() if now.get(name) != floor]
        moved = [name for name in moved if name != WORKING]
        return [f"{len(moved)} subscriptions are not where they were: {moved[:3]}"] if moved else []

    def _catch_up(self, mark: int) -> list[Delivery]:
        with _Subscriber(self._port, self._topic, WORKING) as subscriber:
            found: list[Delivery] = []
            for deliveries in subscriber.read_until_quiet():
                found += deliveries
                subscriber.ack(deliveries)
                # What comes again may be behind the end of what is new.
                if any(each.number == mark for each in deliveries):
                    subscriber.quiet_s = 0.5
        return found

    def _checks_of_window(self, name: str, window: Window) -> Checks:
        numbers: list[int] = []
        with _Subscriber(self._port, self._topic, name) as subscriber:
            for deliveries in subscriber.read_until_quiet():
                numbers += [each.number for each in deliveries]
                if len(numbers) >= len(window.held):
                    subscriber.quiet_s = 0.01
        lost = len(window.held - set(numbers))
        wrong = len(numbers) - len(window.held & set(numbers))
        return Checks(len(window.held), len(numbers), lost, wrong, 0)


def _checks_of_work(
    due: range, before: list[Delivery], after: list[Delivery], allowed: set[int]
) -> Checks:
    seen_before, seen_after = ({each.number for each in some} for some in (before, after))
    lost = len(set(due) - seen_before - seen_after)
    within = len(before) - len(seen_before) + len(after) - len(seen_after)
    wrong = len((seen_before & seen_after) - allowed)
    return Checks(
        len(due),
        len(seen_before | seen_after),
        lost,
        within + wrong,
        _descents(before) + _descents(after),
    )


def _descents(deliveries: list[Delivery]) -> int:
    first = [each.number for each in deliveries if each.attempt == 1]
    return sum(after < before for before, after in itertools.pairwise(first))


def _floors(port: int) -> dict[str, int]:
    found = filling.all_subscriptions(port)
    return {each["name"]: each["topics"][0]["floor"] for each in found}


class _Subscriber:
    """A connection that is attached to one durable subscription; use as a context manager."""

    def __init__(self, port: int, topic: str, name: str) -> None:
        self.quiet_s = QUIET_S
        self.confirmed = 0
        self._rest = b""
        self._connection = wire.subscribe(port, topic=topic, subscription=name)

    def __enter__(self) -> _Subscriber:
        return self

    def __exit__(self, *exc: object) -> None:
        self._connection.close()

    def read_until_quiet(self) -> Iterator[list[Delivery]]:
        """What each read brought, until nothing came for `quiet_s` or the server is gone."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while True:
                self._connection.settimeout(self.quiet_s)
                part = self._connection.recv(wire.READ_BYTES)
                if not part:
                    return
                yield self._take(self._rest + part)

    def _take(self, data: bytes) -> list[Delivery]:
        found, end, now = [], 0, time.monotonic()
        for match in _DELIVERY.finditer(data):
            found.append(Delivery(match[1], int(match[2]), int(match[3]), now))
            end = match.end()
        # A confirmation may stand before, between or behind deliveries.
        if (confirmed := data.count(_ACKED)) > 0:
            self.confirmed += confirmed
            end = max(end, data.rfind(_ACKED) + len(_ACKED))
        self._rest = data[end:]
        return found

    def ack(self, deliveries: list[Delivery], ref: str = "") -> None:
        """Ack them with one frame; with a `ref` the server says when that is stored."""
        if not deliveries:
            return
        ids = [each.identity.decode() for each in deliveries]
        frame = {"type": "ack", "message_ids": ids} | ({"ref": ref} if ref else {})
        with contextlib.suppress(ConnectionError):
            self._connection.sendall(wire.text_frame(json.dumps(frame).encode()))


def work(ready: Callable[[], None], port: int, topic: str) -> list[Delivery]:
    """The load: ack whatever comes until the server is gone; returns all that came."""
    seen: list[Delivery] = []
    with _Subscriber(port, topic, WORKING) as subscriber:
        ready()
        for deliveries in subscriber.read_until_quiet():
            seen += deliveries
            subscriber.ack(deliveries)
    return seen


def hold(ready: Callable[[], None], port: int, topic: str) -> dict[str, Window]:
    """The load: fill the windows of `HELD`, and keep them until the server is gone."""
    windows: dict[str, Window] = {}
    with contextlib.ExitStack() as stack:
        subscribers = [stack.enter_context(_Subscriber(port, topic, name)) for name in HELD]
        for name, subscriber in zip(HELD, subscribers, strict=True):
            windows[name] = _fill(subscriber)
        ready()
        for subscriber in subscribers:
            for _ in subscriber.read_until_quiet():
                raise RuntimeError("something came although the window was full")
    return windows


def _fill(subscriber: _Subscriber) -> Window:
    seen: list[Delivery] = []
    acked: set[int] = set()
    for deliveries in subscriber.read_until_quiet():
        seen += deliveries
        if len(seen) >= WINDOW and not acked:
            subscriber.ack(seen[:WINDOW:2], "half")
            acked = {each.number for each in seen[:WINDOW:2]}
        if len(seen) == WINDOW + len(acked) and subscriber.confirmed:
            return Window(acked, {each.number for each in seen} - acked)
    raise RuntimeError(f"{len(seen)} messages came, and {subscriber.confirmed} confirmations")
