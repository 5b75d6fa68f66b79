"""A real server and the model of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from conduit.core.message import Retention, SubscriptionRecord, TopicRecord
from conduit.names import is_pattern
from conduit.protocol.frames import StartAt, StartPosition, Subscribe
from conduit.storage.base import Start, StartPlace
from tests.model.oracle import at_rest
from tests.model.oracle.from_clients import ACKED, EITHER, FromClients
from tests.model.oracle.from_peers import FromPeers, Seen, asked_settings
from tests.model.oracle.from_store import FromStore
from tests.model.oracle.log import Topic, Violation
from tests.model.oracle.state import Due, Letter, State
from tests.model.oracle.subscription import Subscription
from tests.model.served.client import SocketClient
from tests.model.world import SLOTS_COUNT
from tests.support.http import Answer, Api
from tests.support.server import RunningServer

# So long may it take until the model and the server agree.
AGREE_WITHIN_S = 8.0
POLL_S = 0.005
LETTERS_MAX_COUNT = 500


class Served:
    """One run. `is_durable`: the store survives the server."""

    agree_within_s = AGREE_WITHIN_S

    def __init__(self, server: RunningServer, *, is_durable: bool) -> None:
        self.server = server
        self.api = Api(server.url)
        self.is_durable = is_durable
        self.published_count = 0
        self.story: list[str] = []
        """What happened, for whoever has to understand it: no run is like another."""
        self.tenant = "default"
        self._last_id = 0
        self.slots: list[SocketClient | None] = [None] * SLOTS_COUNT
        self.begin_anew()

    def begin_anew(self) -> None:
        """The server has an empty store."""
        self.state = State()
        self.ears, self.peers = FromStore(self.state), FromPeers(self.state)
        self.clients = FromClients(self.state)
        self.tick()

    def tick(self) -> None:
        """Time has passed."""
        self.state.advance(time.monotonic())

    def new_id(self) -> int:
        """For what has one in the store, and none outside."""
        self._last_id += 1
        return self._last_id

    def connect(self, slot: int) -> SocketClient:
        """A new client in this slot."""
        client = self.slots[slot] = SocketClient(slot, self.server.ws_url)
        return client

    def clients_there(self) -> list[SocketClient]:
        """Those that are connected."""
        return [client for client in self.slots if client is not None]

    def client(self, which: int) -> SocketClient | None:
        """One of them."""
        there = self.clients_there()
        return there[which % len(there)] if there else None

    # What is told ---------------------------------------------------------------------------------

    def topic(self, name: str) -> Topic | None:
        """The topic, if there is one; a subscribe may have made it."""
        found = self.state.log.by_name.get(name)
        if found is None:
            answer = self.api.get(f"/api/topics/{quote(name)}")
            found = self.made(answer.json) if answer.status == 200 else None
        return found

    def made(self, told: dict[str, Any]) -> Topic:
        """A topic exists that the model did not know."""
        record = TopicRecord(
            self.new_id(), self.tenant, told["name"], told["epoch"], 0, 1, 0, 0, Retention()
        )
        self.ears.did_topic_create(record)
        self.ears.heard_topics([record])
        return self.state.log.by_name[told["name"]]

    def listen(self) -> None:
        """Tell the model of all frames that can have been written by now."""
        self.take_frames()
        # They were written before that.
        self.tick()
        # Each in its turn: what one was told may be what another waits for.
        while sum(self._tell(client) for client in self.clients_there()):
            pass
        for client in self.clients_there():
            if client.is_gone and not client.frames:
                self.gone(client, lost=False)

    def take_frames(self) -> None:
        """Take what has come to the clients."""
        for client in self.clients_there():
            client.poll()

    def _tell(self, client: SocketClient) -> bool:
        told = False
        while client.frames and self._can_be(client, client.frames[0]):
            self._on_frame(client, client.frames.popleft())
            told = True
        return told

    def _can_be(self, client: SocketClient, frame: Seen) -> bool:
        """Whether what was written before it to others has been told."""
        if frame.type != "message":
            return True
        topic = self.state.topic_called(frame.topic)
        holder = self.peers.holder(client, frame.topic, frame.subscription)
        line = None if topic is None else holder.subscription.lines.get(topic.topic_id)
        if line is None:
            return True
        if holder.subscription.rules.is_strict and set(line.out) - {frame.seq}:
            return False
        one = line.open.get(frame.seq or 0)
        if one is None:
            return (frame.seq or 0) <= line.next
        # It is out as long as whoever had it has not been told that it left.
        return one.holder is None

    def _tell_story(self, client: SocketClient, frame: Seen) -> None:
        self.story.append(
            f"  {client} got {frame.type} {frame.topic} {frame.subscription or ''} {frame.seq or ''}"
            f" {frame.attempt or ''} {frame.code} {frame.ref or ''}"
        )

    def _on_frame(self, client: SocketClient, frame: Seen) -> None:
        self._tell_story(client, frame)
        match frame.type:
            case "message":
                self._settle_doubts(client, frame)
                self.peers.message(client, frame)
                client.received.append(frame)
            case "gap":
                # A subscribe may have made the topic anew.
                self.topic(frame.topic)
                # Of a topic that it named, what is lost is told before the connection is closed.
                names = [holder.subscription.name for holder in self.state.holders[client]]
                if frame.subscription in names or not client.is_sent_away:
                    self.peers.gap(client, frame)
            case "subscribed":
                self._subscribed(client, frame)
            case "unsubscribed":
                for holder in tuple(self.state.holders[client]):
                    if holder.subscription.name == frame.subscription:
                        self.state.remove_holder(holder, lost=False)
            case "acked" | "error":
                expected = client.expected.pop(frame.ref or "", None)
                if expected not in (frame.code or ACKED, EITHER):
                    raise Violation(f"{client} was told {frame.code or ACKED}, not {expected}")

    def _subscribed(self, client: SocketClient, frame: Seen) -> None:
        assert client.asked is not None
        if not is_pattern(frame.topic):
            self.topic(frame.topic)
        if frame.subscription not in (None, *self.state.durable):
            self._created(client.asked)
        self.peers.subscribed(client, frame, client.asked)
        client.asked = None

    def _created(self, frame: Subscribe) -> None:
        """The durable subscription was made by this frame."""
        settings = asked_settings(frame)
        name = frame.subscription or ""
        record = SubscriptionRecord(
            self.new_id(), self.tenant, name, frame.topic, 0, False, settings
        )
        start = Start()
        if frame.start == "earliest":
            start = Start(earliest=True)
        elif isinstance(frame.start, StartAt):
            positions = frame.start.positions or {}
            if frame.start.seq is not None:
                positions = {frame.topic: StartPosition(frame.start.seq)}
            start = Start(
                positions={
                    name: StartPlace(topic.topic_id, position.seq)
                    for name, position in positions.items()
                    if (topic := self.state.topic_called(name)) is not None
                }
            )
        self.ears.did_subscription_create(record, start, self.ears.begin_subscription_create())
        self.ears.heard_subscription_create(record)

    def _settle_doubts(self, client: SocketClient, frame: Seen) -> None:
        """After a crash the frame says how often a delivery was handed out, and how often it failed."""
        topic = self.state.topic_called(frame.topic)
        holder = self.peers.holder(client, frame.topic, frame.subscription)
        line = None if topic is None else holder.subscription.lines.get(topic.topic_id)
        one = None if line is None else line.open.get(frame.seq or 0)
        if one is not None and one.is_unsure:
            one.is_unsure = False
            one.attempt, one.failures = frame.attempt - 1, frame.failures

    def gone(self, client: SocketClient, *, lost: bool) -> None:
        """The client is not there any more."""
        self.peers.gone(client, lost=lost)
        if not client.is_gone:
            client.close(lost=lost)
        self.slots[client.slot] = None

    # What is compared -----------------------------------------------------------------------------

    def agree(self) -> None:
        """Wait until nothing moves and server and model say the same. Violation if they never do."""
        deadline = time.monotonic() + self.agree_within_s
        while (reason := self._disagreement()) is not None:
            if time.monotonic() > deadline:
                raise Violation(reason)
            time.sleep(POLL_S)

    def _disagreement(self) -> str | None:
        self.tick()
        self.listen()
        for client in self.clients_there():
            if client.frames:
                return f"{client} got {client.frames[0]}, and something before it did not come"
            if client.expected:
                return f"{client} was not answered: {client.expected}"
        silent = next(at_rest.silent(self.state), None) or next(at_rest.untold(self.state), None)
        if silent is not None:
            return silent
        for name, subscription in self.state.durable.items():
            wrong = at_rest.misshown(self.state, subscription, self._shown(name))
            if wrong is not None:
                return wrong
        return None

    def _shown(self, name: str) -> at_rest.Shown:
        view = self.api.subscription(name)
        floors = {
            each["topic"]: (each["floor"], each["last_seq"], each["lag"]) for each in view["topics"]
        }
        return at_rest.Shown(
            floors,
            view["subscribers"],
            view["in_flight_count"],
            view["pending_retry_count"],
            view["dead_count"] + view["redriven_count"] - self._due_count(name),
        )

    def _due_count(self, name: str) -> int:
        """Deaths that the model has not seen stored."""
        dues = [self._key(due) for due in self.state.due if due.subscription == name]
        return sum(key not in self.state.letters for key in dues)

    @staticmethod
    def _key(due: Due) -> tuple[str, int, int]:
        return due.subscription, due.topic_id, due.seq

    def letters(self) -> dict[tuple[str, int, int], dict[str, Any]]:
        """All dead letters of topics that are there, as the server lists them."""
        found = {}
        for letter in self.api.dead_letters(limit=LETTERS_MAX_COUNT):
            topic = self.state.log.places.get(letter["message_id"], (None, 0))[0]
            if topic is not None and topic.topic_id in self.state.log.by_id:
                found[letter["subscription"] or "", topic.topic_id, letter["seq"]] = letter
        return found

    def bury(self) -> None:
        """What died must become a dead letter, and nothing else may be one."""
        expected = {
            place: (one.attempts, one.reason)
            for place, one in self.state.letters.items()
            if place[1] in self.state.log.by_id
        }
        dues = [due for due in self.state.due if due.topic_id in self.state.log.by_id]
        expected |= {self._key(due): (due.attempts, due.reason) for due in dues}
        deadline = time.monotonic() + self.agree_within_s
        while (kept := self._kept()) != expected:
            if time.monotonic() > deadline:
                raise Violation(f"dead letters are {kept}, and not {expected}")
            time.sleep(POLL_S)
        self._buried(list(self.state.due))

    def _buried(self, dues: list[Due]) -> None:
        for due in dues:
            self.state.letters[self._key(due)] = Letter("", due.attempts, due.reason)
            self.state.due.remove(due)

    def _kept(self) -> dict[tuple[str, int, int], tuple[int, str]]:
        return {place: (one["attempts"], one["reason"]) for place, one in self.letters().items()}

    def ask(self, make: Callable[[], Answer], *statuses: int) -> Answer:
        """A request, whose answer must have one of these statuses."""
        answer = make()
        if answer.status not in statuses:
            raise Violation(f"{answer} where {statuses} were expected")
        return answer

    def until(self, fact: Callable[[], bool]) -> None:
        """Listen until it is true."""
        deadline = time.monotonic() + self.agree_within_s
        while not fact():
            self.listen()
            if time.monotonic() > deadline:
                raise Violation("a request was not answered")
            time.sleep(POLL_S)

    def next_payload(self) -> str:
        """Another one each time."""
        self.published_count += 1
        return str(self.published_count)

    def stored(self) -> None:
        """All that the server did is stored now."""
        for subscription in self.state.durable.values():
            subscription.news.stored = dict(subscription.news.former)
            for line in subscription.lines.values():
                line.stored = line.snapshot()

    def stored_with(self, name: str) -> list[Subscription]:
        """Those whose progress is stored together with that of this one."""
        return list(self.state.subscriptions())

    def confirmed(self, client: SocketClient, name: str) -> None:
        """Wait until all that the client sent with a ref is answered, the last of it for this subscription:
        what was done by then is stored."""
        if client.expected and set(client.expected.values()) == {ACKED}:
            together = self.stored_with(name)
            names = {subscription.name or "" for subscription in together}
            dues = [due for due in self.state.due if due.subscription in names]
            was = [
                (subscription, dict(subscription.news.former), line, line.snapshot())
                for subscription in together
                for line in subscription.lines.values()
            ]
            self.until(lambda: not client.expected or client.is_gone)
            for subscription, former, line, place in was:
                subscription.news.stored, line.stored = former, place
            self._buried(dues)
