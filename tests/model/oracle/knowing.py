"""Where a subscriber that begins with `new` may begin: after what its node has heard of without a hole."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from conduit.protocol.frames import StartAt, Subscribe
from tests.model.oracle.from_peers import FromPeers, Seen, Welcome
from tests.model.oracle.log import Topic
from tests.model.oracle.state import State
from tests.model.oracle.subscription import Subscription


class Knowing(FromPeers):
    """As its base, where a client's node may know less than the log."""

    def __init__(
        self,
        state: State,
        known_at: Callable[[Hashable, Topic], int],
        *,
        is_direct: bool = False,
    ) -> None:
        super().__init__(state, is_direct=is_direct)
        self._known_at = known_at
        self._client: Hashable = None

    def subscribed(self, client: Hashable, frame: Seen, asked: Subscribe) -> None:
        self._client = client
        super().subscribed(client, frame, asked)
        subscription = self.state.holders[client][-1].subscription
        if subscription.name is None and frame.seq is not None:
            for line in subscription.lines.values():
                if line.low is not None:
                    line.begins_with(frame.seq + 1)

    def _begin(self, subscription: Subscription, asked: Subscribe, welcome: Welcome) -> None:
        super()._begin(subscription, asked, welcome)
        positions = asked.start.positions or {} if isinstance(asked.start, StartAt) else {}
        if asked.start == "earliest" or (isinstance(asked.start, StartAt) and asked.start.seq):
            return
        for line in subscription.lines.values():
            low = self._known_at(self._client, line.topic)
            if line.topic.name not in positions and low < line.next - 1:
                line.low = low

    def _check_welcome(self, frame: Seen, welcome: Welcome) -> None:
        floor, low = welcome.seqs if len(welcome.seqs) == 2 else (None, None)
        seq = frame.seq
        if floor is not None and low is not None and seq is not None and low <= seq <= floor:
            welcome.seqs = (seq,)
        super()._check_welcome(frame, welcome)
