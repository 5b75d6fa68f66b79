"""Who is in the cluster and who wants what, by Redis: for latency only.

Nothing here is waited for. What this node wants is noted in memory and written to Redis later; what others
want was heard before and stands in memory. Where that cannot be known, nodes are `unknown`, and whoever
forwards sends to them everything. So without Redis every node gets every hint, and without hints messages
come by the look at the log each second.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping

from conduit import redis_url
from conduit.cluster.registry.counts import Counts, RegistryState
from conduit.cluster.registry.others import Others
from conduit.cluster.registry.reader import Reader
from conduit.cluster.registry.session import Parts, Session
from conduit.cluster.registry.trouble import Trouble, unavailable
from conduit.cluster.registry.wire import Keys
from conduit.cluster.registry.writer import Writer
from conduit.core.interest import Interest
from conduit.core.members import Member, Named, Node
from conduit.core.own_interest import OwnInterest
from conduit.errors import RegistryUnavailable

logger = logging.getLogger(__name__)

# Between a failure and the next try; doubled each time, and shortened by chance by up to half.
PAUSE_S = 0.1
PAUSE_MAX_S = 2.0
# Connections that last so long were good: the next pause is the shortest again.
GOOD_AFTER_S = 5.0
# For the goodbye.
CLOSE_TIMEOUT_S = 1.0
# What it means that Redis is away, for the log.
MEANWHILE = (
    "Nothing is lost: nodes send each other everything meanwhile, and a message may come up to a second"
    " later"
)


class ByName:
    """Who is to be told of a message, as `cluster/telling.py` asks."""

    def __init__(self, interest: Interest) -> None:
        self.wanting = interest.to_be_told
        """Name of a node → how many subscribers of the topic it has; 0: perhaps none. To be called with the
        tenant and the topic."""


class Registry:
    """The registry of one cluster, as this node has it.

    `cluster_id` is the log's: nodes with another one are not met. `on_nodes` is called, in a turn of the
    loop, when `nodes()` has changed. `meanwhile` says for the log what it means that Redis is away.
    Everything but `close` returns at once, whatever Redis does.
    """

    def __init__(
        self,
        url: str,
        cluster_id: str,
        own: Member,
        on_nodes: Callable[[], None] = lambda: None,
        *,
        meanwhile: str = MEANWHILE,
    ) -> None:
        self._url = url
        self.meanwhile = meanwhile
        """What it means that Redis is away, for people."""
        self._place = redis_url.place(url)
        self.counts = Counts()
        self._own_interest = OwnInterest()
        self._others = Others(own, self.counts, on_nodes)
        keys = Keys(cluster_id)
        self._parts = Parts(
            own,
            keys,
            self._others,
            Writer(self._own_interest, own.node, keys, self.counts),
            Reader(self._others.interest, keys, self.counts),
            self.counts,
        )
        self._state = RegistryState(is_up=False)
        self._chance = random.Random().random
        self._wake = asyncio.Event()
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False

    # What this node wants

    def set_interest(self, tenant: str, subscription: str, pattern: str, count: int) -> None:
        """This node has so many subscribers of that; '' is for those without a subscription. With 0 it wants
        nothing of it any more. Others hear of it some milliseconds later, at most every 50."""
        if self._own_interest.put((tenant, subscription, pattern), count):
            self._wake.set()

    # What others want

    def wanting(self, tenant: str, topic: str) -> Mapping[Node, int]:
        """The other nodes that want the topic, each with how many subscribers it has there; 0 if it has too
        many entries to be known, and wants everything. Shared with later callers: not to be changed."""
        return self._others.interest.wanting(tenant, topic)

    @property
    def by_name(self) -> ByName:
        """The same and the unknown, for `cluster/telling.py`."""
        return ByName(self._others.interest)

    @property
    def unknown(self) -> tuple[Node, ...]:
        """The other nodes of which nobody knows here what they want. They are to be sent everything."""
        return self._others.interest.unknown

    def is_known(self, node: Node) -> bool:
        """Whether `wanting` speaks for this node."""
        return self._others.interest.is_known(node)

    # Who is there

    def nodes_changed(self, live: Iterable[Named]) -> None:
        """These nodes have leases, perhaps this one too. From the first call on they are who is there,
        whatever Redis says."""
        self._others.set_live(Node(each.name, each.incarnation) for each in live)
        self._wake.set()

    def nodes(self) -> tuple[Member, ...]:
        """This node, and the others by name, by what they say in Redis; while it is away, as it was then.
        For a cluster without leases."""
        return self._others.nodes

    # How it is

    @property
    def has_double(self) -> bool:
        """Whether another process has the name of this one: of two with one name messages may miss one."""
        return self._others.has_double

    @property
    def answer_age_s(self) -> float | None:
        """How long ago Redis has answered last; None: never yet."""
        at = self.counts.answered_at
        return None if at is None else max(0.0, asyncio.get_running_loop().time() - at)

    @property
    def state(self) -> RegistryState:
        """For /health."""
        return self._state

    @property
    def entry_count(self) -> int:
        """How many entries of other nodes are known."""
        return self._others.interest.entry_count()

    @property
    def hole_count(self) -> int:
        """How often something was not heard, so that a state was read anew."""
        return self._others.interest.hole_count

    async def start(self) -> None:
        """Begin. Whether Redis can be reached is seen later, in `state`."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Tell the others, within a second, and end. Idempotent."""
        self._is_closing = True
        task, self._task = self._task, None
        if task is None:
            return
        if self._session is not None and self._state.is_up:
            self._session.leave()
            await asyncio.wait({task}, timeout=CLOSE_TIMEOUT_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    # One session after the other

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        failure_count = 0
        while not self._is_closing:
            began = loop.time()
            await self._run_once()
            is_good = loop.time() - began >= GOOD_AFTER_S
            failure_count = 0 if is_good else failure_count + 1
            if not self._is_closing:
                await asyncio.sleep(self._pause_s(failure_count))

    async def _run_once(self) -> None:
        try:
            self._session = Session(self._url, self._parts, self._wake, self._up, self._chance)
            await self._session.run()
        except RegistryUnavailable as error:
            self._down(error)
        except Exception:
            # The root of the task: whatever it was, the next session begins.
            if self._state.trouble != Trouble.OTHER:
                logger.exception("the registry met an error of the server's own; it begins again")
            self._down(unavailable(Trouble.OTHER))
        finally:
            self._session = None
            self._others.disconnected()

    def _pause_s(self, failure_count: int) -> float:
        pause_s = min(PAUSE_MAX_S, PAUSE_S * 2.0 ** min(failure_count, 10))
        return pause_s * (1.0 - 0.5 * self._chance())

    def _up(self) -> None:
        """Everything stands in Redis."""
        logger.info("Redis at %s is used: messages go to the nodes that want them", self._place)
        self._state = RegistryState(is_up=True, detail="ok")

    def _down(self, error: RegistryUnavailable) -> None:
        self.counts.failures += 1
        was_said = self._state.trouble == error.trouble
        self._state = RegistryState(is_up=False, trouble=error.trouble, detail=error.detail)
        if not was_said and not self._is_closing:
            logger.warning(
                "Redis at %s is not used: %s. %s. To do: %s",
                self._place,
                error.detail,
                self.meanwhile,
                error.mend,
            )
