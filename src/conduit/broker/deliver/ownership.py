"""What this node has of durable subscriptions, kept in step with what the store says: claims, and their end.

Without a lease (title.py) there is nothing to keep: a claim is all. With one, a task does what has to be
asked and said: when the lease is held again it asks once what is left, sends those away that are other
nodes' by now, and has the rest go on; and it gives up what does not run here, so that the next owner need
not wait.

At every await anything may happen; what then?

- *The lease is lost.* Nothing is handed out from that moment, by its clock, whether or not anybody was told.
  What runs goes on to take acks: what the store takes of them is decided by the fence. No attempt fails by
  its deadline before the subscription is known to be this node's again. Sockets stay.
- *It is lost and held again while the store is asked.* What the answer says counts for the term in which
  the question was sent; for this one it is asked again. A claim that was sent under another term than the
  one in which its subscription begins to run is as if it had been made long ago: the store is asked.
- *A subscription is loaded while the store is asked.* Only those are judged that ran before the question
  was sent. A claim that was sent in this term needs no judging; for one that was not, another question
  follows.
- *A subscription is unloaded, deleted or moved away while the store is asked.* It is over, and not judged.
  What was to be given up has its fence: if it was claimed again meanwhile, also by this node, that has a
  newer one, and stays. If it was moved by others, it has a newer one too, and is given up with that.
- *Another node claims while the store is asked.* The store decides which is first (see
  `Store.subscriptions_owned`): then the answer does not have it, or the claim finds the lease of this node.
- *The store does not answer.* Nothing is handed out, and it is asked again as long as the lease holds. What
  could not be given up is given up later; it is lost to nobody for longer than this node's life.
- *The answer of a claim is lost, or nobody waits for it any more.* It may be claimed, and not run here: what
  the store has is asked, and given up.
- *A claim finds another owner.* It fails with `OwnedElsewhere`; who wants to wait tries again.
- *It is to run on another node, since it was claimed.* What runs by then is given away by whoever knows of
  nodes (cluster/handing_over.py), and what is being loaded is not run (loading.py): it is given up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from conduit.broker.deliver.running import Running
from conduit.broker.deliver.title import NO_TERM, Title
from conduit.broker.turn import log_failure
from conduit.core.message import SubscriptionRecord
from conduit.errors import (
    ConduitError,
    MeantElsewhere,
    OwnedElsewhere,
    StateError,
    StoreUnavailable,
)
from conduit.names import named
from conduit.storage.base import OwnedBy, Store
from conduit.storage.slices import in_slices

# After a question that failed, unless a lease is held anew before.
RETRY_S = 0.5
# Subscriptions that are judged in one turn of the loop: each may be sent away with its subscribers.
JUDGED_MAX_COUNT = 100
# For giving up all that is left when the server stops. Whatever is not, is free when the lease is over.
LAST_TIMEOUT_S = 2.0

MOVED = "it runs on another node now"
# Nothing that was claimed has this one.
NO_FENCE = 0

logger = logging.getLogger(__name__)


class Claim(NamedTuple):
    """What this node may store and hand out."""

    fence: int
    term: int
    """Of the lease, when the claim was sent."""


class Estate(Protocol):
    """The subscriptions that run on this node."""

    def running(self) -> Sequence[Running]:
        """All of them."""

    def is_here(self, subscription_id: int) -> bool:
        """Whether it runs, or is being loaded."""

    def lost(self, running: Running, why: str) -> None:
        """It is not this node's any more: send its subscribers away. Nothing happens if it is over."""


class Ownership:
    """One per node. Without `begin` nothing is recorded; `end` it before the store is closed."""

    def __init__(self, store: Store, estate: Estate) -> None:
        self.title = Title()
        self.begun_count = 0
        """How many subscriptions have begun to run here."""
        self.moved_count = 0
        """How many that ran here were sent to other nodes, or found to be theirs."""
        self.catch_up: Callable[[], Awaitable[None]] | None = None
        """Know what others have changed, where others may."""
        self.is_meant: Callable[[str, str], bool] = _anywhere
        """Whether a subscription of a tenant is to run on this node: what is not is not claimed. That may
        change at every await, without anybody being told here."""
        self._store = store
        self._estate = estate
        # Whether there may be some that are not known to be this node's in this term.
        self._is_unsure = False
        # Id → fence, of those to be given up; and the ids of those of which nobody knows who has them.
        self._leaving: dict[int, int] = {}
        self._doubted: set[int] = set()
        self._wake = asyncio.Event()
        self._held_anew = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._has_failed = False

    def begin(self, owner: str, holds: Callable[[], bool], *, takes_over: bool) -> None:
        """From now on subscriptions are claimed for this incarnation of the node, and handed out while its
        lease holds: tell `lease_held` and `lease_lost`. Before anything runs. See `Title`."""
        if self._task is not None or self._estate.running():
            raise StateError("subscriptions run already, and have no owner")
        self.title.begin(owner, holds, takes_over=takes_over)
        self._task = asyncio.get_running_loop().create_task(self._run(), name="ownership")

    # The lease ------------------------------------------------------------------------------------

    def lease_held(self, term: int) -> None:
        """The node has its lease, of a new term: hand out again what is found to be its own."""
        self.title.term = term
        self._is_unsure = True
        self._held_anew.set()
        self._wake.set()

    def lease_lost(self) -> None:
        """It has it no more."""
        self.title.term = NO_TERM

    # Claims ---------------------------------------------------------------------------------------

    async def claim(self, record: SubscriptionRecord) -> Claim:
        """Claim it for this node. Raises MeantElsewhere, OwnedElsewhere, and what the store raises."""
        self.check_meant(record)
        title, id_ = self.title, record.subscription_id
        term = title.term
        try:
            answer = await self._store.subscription_claim(
                id_, title.owner, by_force=title.takes_over
            )
        except StoreUnavailable:
            raise
        except BaseException:
            # It may be done, or may still be, also if the caller only does not wait any more.
            self.doubt(id_)
            raise
        if isinstance(answer, OwnedBy):
            raise OwnedElsewhere(record.name, answer.owner)
        return Claim(answer, term)

    def check_meant(self, record: SubscriptionRecord) -> None:
        """Raise MeantElsewhere if it is to run on another node."""
        if not self.is_meant(record.tenant, record.name):
            raise MeantElsewhere(record.name)

    def runs(self, running: Running, claim: Claim) -> None:
        """It is about to run here."""
        self.begun_count += 1
        title = self.title
        if title.owner is None:
            return
        running.group.title, running.group.term = title, claim.term
        if claim.term != title.term:
            self._is_unsure = True
            self._wake.set()

    def give_up(self, subscription_id: int, fence: int | None) -> None:
        """It does not run here any more."""
        if self.title.owner is not None and fence:
            self._leaving[subscription_id] = fence
            self._wake.set()

    def doubt(self, subscription_id: int) -> None:
        """The store may have another fence of it than this node knows: give it up, unless it runs."""
        if self.title.owner is not None:
            self._doubted.add(subscription_id)
            self._wake.set()

    async def notice(self, running: Iterable[Running]) -> None:
        """Of some that were changed by whomever: those that others have moved, or claimed, do not run here
        any more, also if they have nothing to store by which that would be found."""
        async for some in in_slices(list(running), JUDGED_MAX_COUNT):
            ids = [each.group.subscription_id for each in some]
            fences = await self._store.subscription_fences(ids)
            for id_, each in zip(ids, some, strict=True):
                if (each.group.fence or 0) < fences.get(id_, 0):
                    self._estate.lost(each, "another node has moved or claimed it")
                    self.doubt(id_)

    # The task -------------------------------------------------------------------------------------

    async def end(self) -> None:
        """Hand out nothing more, and give up all that is left, within LAST_TIMEOUT_S. Idempotent."""
        task, self._task = self._task, None
        if task is None:
            return
        self.title.end()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for running in self._estate.running():
            self.give_up(running.group.subscription_id, running.group.fence)
        try:
            async with asyncio.timeout(LAST_TIMEOUT_S):
                moved = await self._give_up()
                # By others, meanwhile: these have another fence.
                self._leaving.update(moved)
                await self._give_up()
        except (ConduitError, TimeoutError) as error:
            logger.warning(
                "%d durable subscriptions were not given up (%s): other nodes may have them when the lease of"
                " this one is over",
                len(self._leaving),
                error if isinstance(error, ConduitError) else "the store did not answer in time",
            )

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._held_anew.clear()
            try:
                await self._round()
                self._has_failed = False
            except ConduitError as error:
                await self._fail(error)
            except Exception:  # the root of a task
                logger.exception("which durable subscriptions this node has is asked again")
                await self._pause()

    async def _round(self) -> None:
        if self._is_unsure:
            await self._affirm()
        if self._doubted:
            await self._look_after()
        if self._leaving:
            self._leave_those_elsewhere(await self._give_up())

    async def _fail(self, error: ConduitError) -> None:
        if not self._has_failed:
            what = "the store could not say which durable subscriptions this node has; it is asked again"
            log_failure(logger, what, error)
        self._has_failed = True
        await self._pause()

    async def _pause(self) -> None:
        """Before it is asked again; a lease that is held anew ends it."""
        try:
            async with asyncio.timeout(RETRY_S):
                await self._held_anew.wait()
        except TimeoutError:
            pass
        self._wake.set()

    async def _affirm(self) -> None:
        """Find out which of those that run are this node's in this term, and have them go on."""
        title, term = self.title, self.title.term
        self._is_unsure = False
        waiting = [each for each in self._estate.running() if each.group.term != term]
        if term == NO_TERM or title.owner is None or not waiting:
            return
        try:
            owned = dict(await self._store.subscriptions_owned(title.owner))
            failed_count = await self._judge(waiting, owned, term)
            async for places in in_slices(list(owned.items())):
                self._leave_those_elsewhere(places)
            if failed_count:
                raise StateError(f"{failed_count} durable subscriptions can neither go on nor end")
        except BaseException:
            self._is_unsure = True
            raise

    async def _judge(self, waiting: Sequence[Running], owned: Mapping[int, int], term: int) -> int:
        """`owned`: the fences of what this node has. Returns for how many that failed: a bug in one of them
        must not silence the others."""
        kept_count = lost_count = failed_count = 0
        async for some in in_slices(waiting, JUDGED_MAX_COUNT):
            for running in some:
                if running.is_over:
                    continue
                before = running.group.term
                try:
                    if owned.get(running.group.subscription_id) == running.group.fence:
                        running.group.term = term
                        running.resume()
                        kept_count += 1
                    else:
                        self._estate.lost(running, MOVED)
                        lost_count += 1
                except Exception:
                    # It does not go on: the next round has to find it among those that wait.
                    running.group.term = before
                    if not self._has_failed and not failed_count:
                        name = named(running.group.name or "", running.tenant)
                        logger.exception("subscription %s can neither go on nor end", name)
                    failed_count += 1
        logger.info(
            "this node goes on with %d durable subscriptions; other nodes have claimed %d of those that ran"
            " here",
            kept_count,
            lost_count,
        )
        return failed_count

    async def _look_after(self) -> None:
        """Ask which fences those have of which nobody knows, for `_give_up`. What is given up with NO_FENCE
        stays, and its fence is told, behind every claim that was made before and may be under way still."""
        doubted, self._doubted = self._doubted, set()
        if self.title.owner is None:
            return
        try:
            async for some in in_slices(list(doubted)):
                given = [(id_, NO_FENCE) for id_ in some]
                has = await self._store.subscription_release(self.title.owner, given)
                self._leave_those_elsewhere(has)
        except BaseException:
            self._doubted |= doubted
            raise

    def _leave_those_elsewhere(self, places: Iterable[tuple[int, int]]) -> None:
        for id_, fence in places:
            if not self._estate.is_here(id_):
                self.give_up(id_, fence)

    async def _give_up(self) -> list[tuple[int, int]]:
        """Returns (id, fence) of those that this node has all the same: they were claimed again, or moved."""
        leaving, self._leaving = self._leaving, {}
        if not leaving or self.title.owner is None:
            return []
        try:
            return await self._store.subscription_release(self.title.owner, list(leaving.items()))
        except BaseException:
            self._leaving = leaving | self._leaving
            raise


def _anywhere(_tenant: str, _name: str) -> bool:
    return True
