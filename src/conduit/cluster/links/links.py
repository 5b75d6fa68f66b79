"""The links of this node: one to each live node, kept up as long as that is live.

Of two nodes the one with the smaller incarnation dials, again and again, and does not let itself be dialed.
Attempts of one dialer are numbered, and a link with a greater number takes the place of one before it. So
both sides always mean the same link.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets as dice
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import monotonic

from conduit import redaction
from conduit.broker.standstill import Standstill
from conduit.broker.turn import Turn, guarded
from conduit.cluster.links.counts import LinkCounts
from conduit.cluster.links.dialing import dial
from conduit.cluster.links.frames import Hint, encode
from conduit.cluster.links.handshake import NONCE_BYTES, Acceptor, Dialer, Identity, Proved
from conduit.cluster.links.link import CLOSE_TIMEOUT_S, Link
from conduit.cluster.links.peers import REASON_MAX_CHARS, TOLD_AFTER_S, LinkView, LiveNode, Peer
from conduit.cluster.links.ports import Service, Watcher, Wire
from conduit.cluster.links.proofs import Secrets
from conduit.core.backoff import ack_wait_s
from conduit.errors import ConduitError, Conflict, Unavailable
from conduit.protocol.codes import CLOSE_NORMAL, CLOSE_RESTART

# Between two looks at deadlines; and a look that is so much later was late because the process stood still.
SWEEP_INTERVAL_S = 0.25
SWEEP_LATE_MAX_S = 1.0
# Between two attempts: at first, and at most. Half of it is chance.
REDIAL_MIN_S = 0.05
REDIAL_MAX_S = 1.0
# A link that has lasted so long was none of a row of failures.
LASTING_S = 5.0
# The log is told of a node that cannot be reached for peers.TOLD_AFTER_S, and then so often.
TOLD_INTERVAL_S = 60.0
# What it means for two nodes that there is no link, for people.
WITHOUT = (
    "messages from one to the other come a second later, and durable subscriptions that run at one cannot be"
    " used from the other"
)

logger = logging.getLogger(__name__)


class Links:
    """See above. `secrets` are those of the cluster; `clock` is monotonic.

    Call `start` in the loop, `set_live` whenever it is known which nodes live, and `stop` at the end. All
    calls are on the loop's thread.
    """

    def __init__(
        self,
        own: Identity,
        secrets: Sequence[str],
        service: Service,
        watcher: Watcher,
        turn: Turn,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        redaction.know(*secrets)
        self.without = WITHOUT
        """What it means that there is no link, for people."""
        self.own = own
        self.own_address = ""
        """Where others are to call this node, for people."""
        self.service = service
        self.turn = turn
        self.counts = LinkCounts()
        self._secrets = Secrets(secrets)
        self._watcher = watcher
        # By name.
        self._peers: dict[str, Peer] = {}
        # All whose sockets have not ended.
        self._links: set[Link] = set()
        self._attempt_count = 0
        self._chance = random.Random()
        self._standstill = Standstill(clock, SWEEP_INTERVAL_S, SWEEP_LATE_MAX_S)
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_stopped = False
        self._link_gone = asyncio.Event()

    # Its life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look at deadlines."""
        self._sweep()

    async def stop(self) -> None:
        """Close all links, say why to the other sides, and dial no more. Within link.CLOSE_TIMEOUT_S."""
        self._is_stopped = True
        tasks = [peer.task for peer in self._peers.values() if peer.task is not None]
        for peer in [*self._peers.values()]:
            self._drop(peer, _stops(self.own.name), CLOSE_RESTART)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                while self._links:
                    self._link_gone.clear()
                    await self._link_gone.wait()
        for link in tuple(self._links):
            link.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()

    def set_live(self, nodes: Iterable[LiveNode]) -> None:
        """These live, this node perhaps among them, and no others. Links to others are closed, and to those
        that are new they are made."""
        if self._is_stopped:
            return
        live = {node.name: node for node in nodes if node.name != self.own.name}
        for name, peer in [*self._peers.items()]:
            node = live.get(name)
            if node is None:
                self._drop(peer, f"node {name} is not live any more")
            elif node.incarnation != peer.identity.incarnation:
                self._drop(peer, f"node {name} was started anew")
            elif node.address != peer.address:
                peer.address = node.address
        for name, node in live.items():
            if name not in self._peers:
                self._begin(Peer(node, self.now()))

    # Sending --------------------------------------------------------------------------------------

    def to(self, name: str) -> Link | None:
        """The link to the node of this name; None if there is none now."""
        peer = self._peers.get(name)
        return None if peer is None else peer.link

    def send_hint(self, names: Iterable[str], body: bytes) -> int:
        """Send a hint to these nodes; it is encoded once. Returns to how many it was sent: to others there is
        no link, or too much waits. Raises LimitReached for a body over frames.BODY_MAX_BYTES."""
        frame, sent, dropped = encode(Hint(body)), 0, 0
        for name in names:
            peer = self._peers.get(name)
            if peer is not None and peer.link is not None and peer.link.send_hint(frame):
                sent += 1
            else:
                dropped += 1
        self.counts.hints_sent += sent
        self.counts.hints_dropped += dropped
        return sent

    def views(self) -> list[LinkView]:
        """What there is to tell of all live nodes, by name."""
        now = self.now()
        return [self._peers[name].view(now, self.own_address) for name in sorted(self._peers)]

    # For the server, when a node has called -------------------------------------------------------

    def acceptor(self) -> Acceptor:
        """The side of this node in a handshake that another one has begun."""
        return Acceptor(self._secrets, self.own, dice.token_bytes(NONCE_BYTES), self.now())

    def check(self, proved: Proved) -> None:
        """Whether who has called may have a link. Raises Conflict, or Unavailable while this node stops."""
        node = proved.peer
        if self._is_stopped:
            raise Unavailable(f"node {self.own.name} is stopping", code="shutting_down")
        if node.incarnation > self.own.incarnation:
            raise Conflict(f"node {self.own.name} has to dial: of two nodes the older one does")
        peer = self._peers.get(node.name)
        if peer is None or peer.identity != node:
            raise Conflict(f"{node} is not among the live nodes that node {self.own.name} knows")
        if peer.link is not None and peer.link.number >= proved.number:
            raise Conflict("there is a newer link already")

    def refused(self, caller: Identity | None, why: str) -> None:
        """Who has called was refused; `caller` is who he says he is, which may be wrong."""
        self.counts.refused += 1
        peer = None if caller is None else self._peers.get(caller.name)
        if peer is not None and peer.identity == caller:
            peer.refused(why)

    def accept(self, proved: Proved, wire: Wire) -> Link:
        """Begin the link of who has called: it was checked just now, and is about to be told."""
        return self._up(proved, wire, is_dialer=False)

    # For links ------------------------------------------------------------------------------------

    def now(self) -> float:
        """See `Hub`."""
        return self._standstill.now()

    def down(self, link: Link, why: str) -> None:
        """See `Hub`."""
        peer = self._peers.get(link.peer.name)
        if peer is not None and peer.link is link:
            peer.down(why, self.now())
        self.counts.links_lost += 1
        is_meant = peer is None or why.endswith(_stops(link.peer.name))
        level = logging.INFO if is_meant else logging.WARNING
        logger.log(level, "no link to node %s: %s", link.peer.name, why[:REASON_MAX_CHARS])
        guarded(self._watcher.link_down, link.peer, why)

    def gone(self, link: Link) -> None:
        """See `Hub`."""
        self._links.discard(link)
        self._link_gone.set()

    # Inside ---------------------------------------------------------------------------------------

    def _begin(self, peer: Peer) -> None:
        self._peers[peer.identity.name] = peer
        if self.own.incarnation < peer.identity.incarnation:
            peer.task = asyncio.get_running_loop().create_task(self._keep(peer))

    def _drop(self, peer: Peer, why: str, code: int = CLOSE_NORMAL) -> None:
        del self._peers[peer.identity.name]
        if peer.task is not None:
            peer.task.cancel()
        if peer.link is not None:
            peer.link.close(code, why)

    def _up(self, proved: Proved, wire: Wire, *, is_dialer: bool) -> Link:
        peer = self._peers[proved.peer.name]
        if peer.link is not None:
            peer.link.close(CLOSE_NORMAL, "a newer link takes its place")
        link = Link(proved, wire, self, is_dialer=is_dialer)
        self._links.add(link)
        peer.up(link, self.now())
        self.counts.links_made += 1
        logger.info("linked with node %s at %s", proved.peer, peer.address)
        guarded(self._watcher.link_up, proved.peer)
        return link

    async def _keep(self, peer: Peer) -> None:
        """Dial a node, as long as it lives. Ends by being cancelled."""
        failures = 0
        while True:
            began = self.now()
            try:
                await self._dial(peer)
                await peer.ended.wait()
            except ConduitError as error:
                self._failed(peer, str(error))
            except Exception:
                logger.exception("dialing node %s failed; it is tried again", peer.identity.name)
            failures = 1 if self.now() - began >= LASTING_S else failures + 1
            pause_s = ack_wait_s(failures, REDIAL_MIN_S, REDIAL_MAX_S, 0.0)
            await asyncio.sleep(pause_s * (1.0 + self._chance.random()) / 2.0)

    async def _dial(self, peer: Peer) -> None:
        self._attempt_count += 1
        handshake = Dialer(
            self._secrets,
            self.own,
            peer.identity,
            self._attempt_count,
            dice.token_bytes(NONCE_BYTES),
            self.now(),
        )
        await dial(peer.address, handshake, partial(self._opened, peer))

    def _opened(self, peer: Peer, proved: Proved, wire: Wire) -> Link:
        """A node that was dialed has proved itself."""
        if self._peers.get(peer.identity.name) is not peer:
            raise Conflict(f"{peer.identity} is not live any more")
        return self._up(proved, wire, is_dialer=True)

    def _failed(self, peer: Peer, why: str) -> None:
        peer.error = why[:REASON_MAX_CHARS]
        self.counts.refused += 1
        now = self.now()
        is_told = peer.told_at is not None and now - peer.told_at < TOLD_INTERVAL_S
        if now - peer.since >= TOLD_AFTER_S and not is_told:
            peer.told_at = now
            logger.warning(
                "cannot link with node %s at %s: %s. Until there is a link, which is tried each second, %s",
                peer.identity,
                peer.address,
                peer.error,
                self.without,
            )

    def _sweep(self) -> None:
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_INTERVAL_S, self._sweep)
        if self._standstill.look():
            # What has come meanwhile is read first.
            return
        now = self.now()
        for link in tuple(self._links):
            guarded(link.check, now)


def _stops(name: str) -> str:
    """What the others are told by a node that ends in order."""
    return f"node {name} stops"
