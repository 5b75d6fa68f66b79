"""What must be true of the broker beside the model of it: after each step, and when all has come to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conduit.broker.administer.looking import REQUEST_MAX_S
from conduit.broker.deliver import source
from conduit.errors import NotFound
from tests.model.holdings import READS_MAX_COUNT, Holdings
from tests.model.oracle import at_rest, letters
from tests.model.oracle.line import Line
from tests.model.oracle.log import Violation
from tests.model.oracle.state import LetterPlace

if TYPE_CHECKING:
    from tests.model.world import World

# Of the loop's time, after each step: longer than the sweep's interval, shorter than that of the ledger, so
# that some of what changed is stored and some is not.
STEP_S = 0.0625
# Longer than any pause that the broker makes before it tries something again.
PATIENCE_S = 3.0
PATIENCE_HOPS = 4
# Times that a purge may take as long as a request has.
ENDS_MAX_COUNT = 3
# After a call that failed the broker gives the store so long, by its own clock.
STALL_S = 1.0
# One tries for all: when that has worked, the others follow.
STALLS_MAX_COUNT = 3
# A job redrives so many letters at most.
JOB_LETTERS_MAX_COUNT = 1_000

COUNTERS = (
    "published", "delivered", "redelivered", "acked", "nacked", "rejected", "extended",
    "dead_lettered", "gap", "dead_letter_dropped",
)  # fmt: skip


class Comparing:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._forgiven_count = 0

    def begin_life(self) -> None:
        """The broker is another one, and so is the store as it sees it."""
        self._forgiven_count = 0

    async def after_step(self) -> None:
        """Whatever was done has had its effect."""
        await self._world.loop.idle()
        await self._world.let_pass(STEP_S)
        self._world.look_at_job()
        await self.nobody_is_silent()
        if self._world.is_calm:
            # Who asked has been answered: from here on nothing is made for them.
            self._world.state.may_make.clear()
        self._nobody_has_too_much()
        self.raise_violations()

    def _holdings(self) -> Holdings:
        return Holdings(
            self._world.broker, [client.connection for client in self._world.clients_there()]
        )

    def _nobody_has_too_much(self) -> None:
        holdings = self._holdings()
        for much in holdings.too_much():
            self._world.violated(Violation(f"too much: {much}"))
        # Of those who have left as well, whose reads go on.
        count = len(holdings.running) + len(self._world.slots)
        if self._world.port.reads_count > READS_MAX_COUNT * count:
            self._world.violated(
                Violation(
                    f"too much: {self._world.port.reads_count} reads for {count} subscriptions"
                )
            )

    def raise_violations(self) -> None:
        """Raise the first one that was seen."""
        if self._world.state.violations:
            raise self._world.state.violations[0]

    async def nobody_is_silent(self) -> None:
        """Give the broker all the time it may want, and no reason to act."""
        if not self._world.is_calm:
            return
        for _ in range(PATIENCE_HOPS):
            silent = next(at_rest.silent(self._world.state), None)
            silent = silent or next(at_rest.untold(self._world.state), None)
            if silent is None:
                return
            await self._world.let_pass(PATIENCE_S / PATIENCE_HOPS)
            if self._world.port.faults.taken_count > self._forgiven_count:
                # Deadlines that pass by that are those that the model knows.
                self._forgiven_count = self._world.port.faults.taken_count
                for _ in range(STALLS_MAX_COUNT):
                    await self._world.pass_time(STALL_S)
            elif self._holdings().is_stalled:
                # A suspect found no room to be read: its cursor tries again after a while.
                await self._world.pass_time(source.STALL_S)
        self._world.violated(Violation(silent or ""))

    async def _every_call_is_answered(self) -> None:
        for _ in range(ENDS_MAX_COUNT):
            if not self._world.is_waited_for:
                return
            # A purge pauses for as long as the store took, and ends after some seconds.
            await self._world.let_pass(REQUEST_MAX_S)
        if self._world.is_waited_for:
            self._world.violated(Violation("a call was never answered"))

    async def rest(self) -> None:
        """Everything works, everybody drains, all is stored: compare all that is shown."""
        self._world.port.faults.release()
        for client in self._world.clients_there():
            client.budget = None
            client.drain(True)
        for _ in range(JOB_LETTERS_MAX_COUNT):
            self._world.look_at_job()
            if not self._world.has_job:
                break
            await self._world.let_pass(PATIENCE_S)
        # Now, and not when all is compared: what it removes may have somebody sent away.
        await self._world.keep_house()
        await self._be_patient()
        await self._every_call_is_answered()
        await self.nobody_is_silent()
        # What that has set in motion is stored as well.
        await self._be_patient()
        if gaps := self._world.peers.untold():
            self._world.violated(Violation(f"gaps were not told: {gaps}"))
        if self._world.publishers.waiting_count:
            self._world.violated(
                Violation(f"{self._world.publishers.waiting_count} publishes have no answer")
            )
        self._everybody_was_answered()
        await self._the_same_is_shown()
        await self._the_same_letters_are_there()
        self._the_same_is_counted()
        for useless in self._holdings().useless():
            self._world.violated(Violation(f"held for nobody: {useless}"))
        if self._world.state.due:
            self._world.violated(
                Violation(f"died, and are no dead letters: {self._world.state.due}")
            )

    async def _be_patient(self) -> None:
        for _ in range(PATIENCE_HOPS):
            await self._world.let_pass(PATIENCE_S / PATIENCE_HOPS)

    def _everybody_was_answered(self) -> None:
        for client in self._world.clients_there():
            if client.unanswered:
                self._world.violated(Violation(f"{client} was not answered: {client.unanswered}"))

    async def _the_same_is_shown(self) -> None:
        for name, subscription in tuple(self._world.state.durable.items()):
            if at_rest.is_blurred(subscription):
                continue
            try:
                view = await self._world.broker.subscriptions.get(self._world.tenant, name)
            except NotFound:
                self._world.violated(Violation(f"{subscription} is unknown to the broker"))
                continue
            floors = {each.topic: (each.floor, each.last_seq, each.lag) for each in view.topics}
            found = at_rest.Shown(
                floors,
                view.subscribers,
                view.in_flight_count,
                view.pending_retry_count,
                view.dead_count + view.redriven_count,
            )
            wrong = at_rest.misshown(self._world.state, subscription, found)
            if wrong is not None:
                self._world.violated(Violation(wrong))
            # The number that is kept up is the one that is counted, once the broker has heard from the store
            # where each topic begins.
            kept = self._world.broker._engine.lags.by_id[view.record.subscription_id]
            is_newest = not kept.is_stale and all(map(self._has_heard, subscription.lines.values()))
            if is_newest and kept.count != view.lag:
                self._world.violated(
                    Violation(f"{subscription} lacks {view.lag}, not {kept.count}")
                )
            for place, fate in letters.fates(self._world.state, name):
                await self._is_shown_as(fate, place)

    def _has_heard(self, line: Line) -> bool:
        topic = self._world.broker.topics.find(self._world.tenant, line.topic.name)
        return topic is not None and topic.first_seq == line.topic.first_seq

    async def _is_shown_as(self, fate: str, place: LetterPlace) -> None:
        """A delivery that died, whose message is still there."""
        name, topic_id, seq = place
        topic = self._world.state.log.by_id[topic_id]
        if seq < topic.first_seq:
            return
        message_id = topic.messages[seq - 1].message_id
        _, _, states = await self._world.broker.messages.get(self._world.tenant, message_id)
        found = [one.state for one in states if one.subscription == name]
        if found != [fate]:
            self._world.violated(
                Violation(f"{name} {topic.name} {seq} is shown as {found}, and is {fate}")
            )

    async def _the_same_letters_are_there(self) -> None:
        found = await self._world.port.dead_letters(self._world.tenant)
        kept = {
            (one.subscription, one.topic_id, one.seq): (one.attempts, one.reason) for one in found
        }
        expected_letters = {
            place: (one.attempts, one.reason) for place, one in self._world.state.letters.items()
        }
        if kept != expected_letters:
            self._world.violated(Violation(f"dead letters are {kept}, and not {expected_letters}"))
        for one in found:
            if one.redriven_at_ms is not None and at_rest.is_dead(self._world.state, one):
                place = f"{one.subscription} {one.topic} {one.seq}"
                self._world.violated(
                    Violation(f"{place} is marked as redriven, and died after that")
                )

    def _the_same_is_counted(self) -> None:
        stats = self._world.broker.stats
        for name in COUNTERS:
            count, expected = getattr(stats, f"{name}_count"), self._world.state.counts[name]
            # A gap may wait for a socket that never drains; and a store in memory may still tell what it
            # has dropped in another life of the broker.
            is_more = name in ("gap", "dead_letter_dropped")
            is_right = count >= expected if is_more else count == expected
            if not is_right:
                self._world.violated(Violation(f"{name}_count is {count}, and not {expected}"))
