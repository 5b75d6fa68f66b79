"""Two nodes and the model of one Conduit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from urllib.parse import quote

from conduit.core.ring import Ring
from conduit.names import DEFAULT_TENANT
from tests.model.linked import PATIENCE_S
from tests.model.linked.bounds import Told
from tests.model.linked.knowledge import Knowledge
from tests.model.linked.nodes import Life, Node, Pair
from tests.model.linked.unrest import ALLOWED, LinePlace, Unrest
from tests.model.oracle import at_rest
from tests.model.oracle.delivery import Place
from tests.model.oracle.from_peers import Seen
from tests.model.oracle.knowing import Knowing
from tests.model.oracle.line import Line
from tests.model.oracle.log import Topic, Violation
from tests.model.oracle.subscription import Subscription
from tests.model.served.client import SocketClient
from tests.model.served.doing import WAIT_MS
from tests.model.served.world import POLL_S, Served

# Longer than a lease (3 s), and than a link lives without a sign of life.
STAND_S = 5.0


class Linked(Served):
    """One run. What is asked is asked of `node`; `unrest` is what goes on, if anything does."""

    agree_within_s = PATIENCE_S
    wait_s = WAIT_MS / 1000

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.node = pair.nodes[0]
        self.homes: dict[SocketClient, Node] = {}
        self.knowledge = Knowledge()
        self.unrest: Unrest | None = None
        self.unrest_steps_count = 0
        self.coming: Node | None = None
        """A node that starts, and is not seen by the other yet."""
        self.stands_until = 0.0
        self.leaving = ""
        """The epoch of the topic that was deleted last: some may come of it before its owner hears."""
        self.done: set[tuple[str, int, int]] = set()
        """What was acked in unrest, and that was confirmed; until it is sought again."""
        self._agreed: dict[LinePlace, Place] = {}
        super().__init__(self.node.server, is_durable=True)

    def begin_anew(self) -> None:
        super().begin_anew()
        self.peers = Knowing(self.state, self.known_at)

    # Where something is ---------------------------------------------------------------------------

    def go_to(self, which: int) -> None:
        """Ask this node from now on, or the other if this one does not answer."""
        self.node = self.pair.asked(which)
        self.server, self.api = self.node.server, self.node.api

    def connect(self, slot: int) -> SocketClient:
        client = super().connect(slot)
        self.homes[client] = self.node
        return client

    def clients_at(self, node: Node) -> list[SocketClient]:
        """Those that are connected to it."""
        return [client for client in self.clients_there() if self.homes[client] is node]

    def is_here(self, client: SocketClient, name: str) -> bool:
        """Whether the client is at the node where the subscription runs."""
        return self.pair.owner(name) is self.homes[client]

    def is_heard(self, client: SocketClient | None) -> bool:
        """Whether the client's node answers it, or would, if there is a client."""
        return client is None or self.homes[client].is_asked

    def has_away(self, name: str, node: Node) -> bool:
        """Whether the subscription has a subscriber at this node."""
        holders = self.state.durable[name].holders
        return any(self.homes[holder.client] is node for holder in holders)

    def known_at(self, client: SocketClient, topic: Topic) -> int:
        """Up to which number the client's node has heard of the topic, at least."""
        return self.knowledge.of(self.homes[client].number, topic)

    def stored_with(self, name: str) -> list[Subscription]:
        owner = self.pair.owner(name)
        durable = self.state.durable.values()
        return [each for each in durable if self.pair.owner(each.name or "") is owner]

    # Unrest ---------------------------------------------------------------------------------------

    def begin_unrest(
        self, names: Iterable[str], lost: Iterable[str] = (), *, is_killed: bool = False
    ) -> None:
        """From now on these are subscriptions of which not all is exact."""
        self.unrest = Unrest(self, set(names), set(lost), self._agreed, is_killed=is_killed)
        self.unrest_steps_count = 0
        self.story.append(
            f"  unrest of {sorted(self.unrest.names)}, lost {sorted(self.unrest.lost)}"
        )

    def is_concerned(self, name: str | None) -> bool:
        """Whether it is in unrest."""
        return self.unrest is not None and name in self.unrest.names

    def begin_coming(self, node: Node) -> None:
        """Start a node; its unrest begins when the other sees it."""
        self.pair.begin(node)
        self.coming = node

    def sees_coming(self) -> bool:
        """Whether a node that starts is seen by the other, by now; then unrest begins."""
        coming = self.coming
        if coming is None:
            return False
        other = self.pair.other(coming)
        if not self.pair.sees(other, coming):
            return False
        self.coming = None
        ring = Ring([node.name for node in self.pair.nodes])
        owners = {name: ring.owner(f"{DEFAULT_TENANT}/{name}") for name in self.state.durable}
        self.begin_unrest(name for name, owner in owners.items() if owner == coming.name)
        return True

    def calm_down(self) -> None:
        """Have the nodes settle, and go on with what they have."""
        for node in self.pair.nodes:
            if node.life is Life.STANDING:
                time.sleep(max(0.0, self.stands_until - time.monotonic()))
                self.wake(node)
            elif node.life is Life.STOPPING:
                self._see_off(node)
            elif node.life is Life.STARTING:
                self._wait("the node that starts is not seen", lambda: not self._is_awaited())
                node.began(wait=True)
        if self.unrest is None:
            return
        self._wait("the nodes do not find each other", self.pair.is_settled)
        self.unrest.end()
        self.unrest = None
        self.story.append("  calm")

    def _is_awaited(self) -> bool:
        self.listen()
        return self.coming is not None

    def wake(self, node: Node) -> None:
        """It goes on."""
        self.story.append(f"  {node} goes on")
        node.go_on()

    def _see_off(self, node: Node) -> None:
        for client in self.clients_at(node):
            self._wait("a client is not sent away", lambda client=client: client.is_gone)
        node.ended()

    def _wait(self, why: str, fact: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 2 * self.agree_within_s
        while not fact():
            self.listen()
            if time.monotonic() > deadline:
                raise Violation(why)
            time.sleep(POLL_S)

    def drop(self, node: Node) -> None:
        """The node is gone, and so are its clients; what had come by then is told."""
        for client in self.clients_at(node):
            client.poll()
            # What was answered has come; the rest never will.
        self.listen()
        for client in self.clients_at(node):
            client.expected.clear()
            client.frames.clear()
            self.gone(client, lost=False)

    # What is told ---------------------------------------------------------------------------------

    def take_frames(self) -> None:
        super().take_frames()
        # What has come by now was written before the other was seen, if it is not.
        self.sees_coming()

    def _can_be(self, client: SocketClient, frame: Seen) -> bool:
        return self.is_concerned(frame.subscription) or super()._can_be(client, frame)

    def _on_frame(self, client: SocketClient, frame: Seen) -> None:
        if frame.type == "message":
            self._note(client, frame)
        if frame.type == "message" and frame.epoch == self.leaving:
            self._tell_story(client, frame)
        elif self.unrest is None:
            super()._on_frame(client, frame)
        elif frame.type == "message" and self.is_concerned(frame.subscription):
            self._tell_story(client, frame)
            self.unrest.message(client, frame)
            client.received.append(frame)
        elif frame.type == "error" and client.asked is not None and frame.ref == client.asked.ref:
            self._tell_story(client, frame)
            self._refused(client, frame)
        elif frame.type in ("acked", "error") and self.unrest.answered(client, frame):
            self._tell_story(client, frame)
            client.expected.pop(frame.ref or "", None)
        else:
            super()._on_frame(client, frame)

    def _note(self, client: SocketClient, frame: Seen) -> None:
        topic = self.state.topic_called(frame.topic)
        if topic is None:
            return
        self.knowledge.heard(self.homes[client].number, topic, frame.seq or 0)
        place = (frame.subscription or "", topic.topic_id, frame.seq or 0)
        if place in self.done:
            raise Violation(f"{place} came again to {client}, and its ack was confirmed")

    def _subscribed(self, client: SocketClient, frame: Seen) -> None:
        is_new = frame.subscription not in (None, *self.state.durable)
        begins_new = client.asked is not None and client.asked.start in (None, "new")
        super()._subscribed(client, frame)
        if is_new and begins_new:
            for line in self.state.durable[frame.subscription or ""].lines.values():
                low = self.known_at(client, line.topic)
                line.low = low if low < line.next - 1 else line.low

    def _refused(self, client: SocketClient, frame: Seen) -> None:
        if frame.code not in ALLOWED:
            raise Violation(f"{client} could not subscribe in unrest: {frame}")
        client.asked = None

    def was_changed(self, name: str) -> None:
        """The subscription was moved, or is another one; that is stored."""
        self.done = {place for place in self.done if place[0] != name}
        self._agreed = {place: one for place, one in self._agreed.items() if place[0] != name}

    # What is compared -----------------------------------------------------------------------------

    def agree(self) -> None:
        super().agree()
        if self.coming is not None and self.sees_coming():
            # What the views said may have been said by its next owner.
            self.calm_down()
            super().agree()
        self._agreed = {
            (name, topic_id): line.snapshot()
            for name, subscription in self.state.durable.items()
            for topic_id, line in subscription.lines.items()
        }

    def _disagreement(self) -> str | None:
        if self.unrest is not None:
            self.calm_down()
        return super()._disagreement()

    def _shown(self, name: str) -> at_rest.Shown:
        # Each time another one.
        self.go_to(self.node.number + 1)
        shown = super()._shown(name)
        for line in self.state.durable[name].lines.values():
            if line.low is not None and line.topic.name in shown.floors:
                self._learn_beginning(line, shown.floors[line.topic.name][0])
        return shown

    def _learn_beginning(self, line: Line, floor: int) -> None:
        """Nothing of it has come yet, as far as is known."""
        assert line.low is not None
        if line.low <= floor < line.next:
            self.story.append(f"  {line} begins after {floor}")
            line.begins_with(floor + 1)

    def shown_floor(self, name: str, line: Line) -> int:
        """Where it is shown to be at its owner."""
        topics = self.pair.owner(name).api.subscription(name)["topics"]
        (floor,) = [each["floor"] for each in topics if each["topic"] == line.topic.name]
        return int(floor)

    def delivery(self, name: str, line: Line, seq: int) -> Told:
        """State and attempts of one delivery, at its owner."""
        api = self.pair.owner(name).api
        message_id = line.topic.messages[seq - 1].message_id
        answer = self.ask(lambda: api.get(f"/api/messages/{message_id}"), 200)
        (one,) = [each for each in answer.json["deliveries"] if each["subscription"] == name]
        return Told(one["state"], one["attempts"])

    def tell_other(self, path: str, status: int) -> None:
        """The other node, asked by name, knows at once."""
        other = self.pair.other(self.node)
        if other.is_asked:
            answer = other.api.get(f"/api/{path}")
            if answer.status != status:
                raise Violation(
                    f"{other} says of {path}, which was changed at {self.node}: {answer}"
                )

    def topic_path(self, name: str) -> str:
        """Of a topic, for `tell_other`."""
        return f"topics/{quote(name)}"
