"""What the broker needs from a store for durable subscriptions: the part of the port that is about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from conduit.core.message import (
    Death,
    Progress,
    Redriven,
    SubscriptionRecord,
    SubscriptionSettings,
)

# Of the deleted topics that a subscription followed, so many are told, the ones deleted last. A start may ask
# for as many positions that are not there.
FORMER_MAX_COUNT = 10_000


class StartPlace(NamedTuple):
    """The first number to be delivered of the topic with this id."""

    topic_id: int
    first_seq: int


class Start(msgspec.Struct, frozen=True):
    """Where a new or moved subscription begins. One field is set, or `positions` and `time_ms`, or none for
    `new`.

    `new`: after the last message that is stored when the store looks, so after all that was acked before the
    call. `seq`: that number is the first to be delivered. `time_ms`: the first message published at or after
    it, or number 1 if retention has removed such a message: so the gap is found. `positions`: topic name →
    place. If the topic of that name has another id, it was made anew, and begins at its first message.
    Topics that are not named begin at `time_ms` if that is set, else at `new`. `gaps`: what of `positions`
    is not there; at most FORMER_MAX_COUNT.
    """

    earliest: bool = False
    seq: int | None = None
    time_ms: int | None = None
    positions: Mapping[str, StartPlace] | None = None
    gaps: Sequence[Former] = ()


class Former(NamedTuple):
    """What a durable subscription has to be told of a topic that is gone, or of a position that it asked for
    and that is not there."""

    name: str
    epoch: str
    """Of the topic that is gone; of the position, if it had one."""
    floor: int
    """What the subscription had settled in it."""
    last_seq: int | None
    """The last number that will not come; if the topic is made anew none does. Equal to `floor` if nothing
    was lost, or the subscription knows it; None if it is not known."""
    reason: str = "epoch_changed"
    """Of the gap: also `log_lost`, of a position beyond the end of a topic that is there."""


class Heard(NamedTuple):
    """A durable subscription has been told what `Former` says, and is known to have heard it."""

    subscription_id: int
    name: str
    epoch: str
    """Of the `Former`."""
    is_over: bool
    """Whether there is nothing more to be told of it: its topic was made anew, or is there."""


class Settled(NamedTuple):
    """How far a subscription is in all topics together."""

    passed_count: int
    """Messages that are stored and not above its cursor, settled or open."""
    open: list[Progress]
    """Of the topics where something is open."""


class OwnedBy(NamedTuple):
    """Another node has a subscription, and its lease holds: it was not claimed."""

    owner: str
    """The incarnation of the node that has it."""
    left_s: float
    """Of its lease, by the store's clock at the time of the answer. The node may prolong it."""


class SubscriptionStore(Protocol):
    """Durable subscriptions, their progress, and what died in them; errors as `Store` has them."""

    async def subscriptions(self) -> list[SubscriptionRecord]:
        """All durable subscriptions of all tenants."""

    async def subscriptions_of(self, subscription_ids: Sequence[int]) -> list[SubscriptionRecord]:
        """These, each once; unknown ids are left out."""

    async def subscription_create(
        self,
        tenant: str,
        name: str,
        pattern: str,
        settings: SubscriptionSettings,
        start: Start,
        now_ms: int,
    ) -> SubscriptionRecord:
        """Create it, with where it begins in every existing topic that matches `pattern`: one value, however
        many they are; and with the gaps of `start`, which `former` returns. A topic that is made later begins
        at 0. The places are found before the commit, and what is published in between is delivered. Raises
        Conflict `subscription_exists`, NotFound `tenant_not_found` if the tenant was deleted."""

    async def subscription_update(
        self, subscription_id: int, settings: SubscriptionSettings, paused: bool
    ) -> None:
        """Replace settings and the paused flag. Unknown ids are ignored."""

    async def subscription_delete(self, subscription_id: int) -> None:
        """Forget the subscription, its progress and its former topics. Its dead letters stay. Unknown ids
        are ignored."""

    async def subscription_claim(
        self, subscription_id: int, owner: str | None = None, *, by_force: bool = False
    ) -> int | OwnedBy:
        """Become the owner of its progress: the fence, higher than every one before it. What owners before
        store from now on is refused; what they stored is there. An unknown id has nothing to own: 0.

        `owner`: the incarnation of the node that claims, which has it until `subscription_release`. Then it
        is claimed only if no other node has it whose lease holds, by the store's clock at a moment in which
        nobody else can claim it; else nothing is changed. `by_force`: whoever has it. Without an owner it is
        taken in any case, and nobody has it."""

    async def subscription_release(
        self, owner: str, claimed: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Give these (id, fence) up: nobody has them. What is not that owner's any more stays as it is, and
        so does what has another fence by now: it was claimed again, or moved by others. Returns these, with
        the fence that there is. Claims that were made before are decided by then, also if nobody waits for
        their answers any more."""

    async def subscriptions_owned(self, owner: str) -> list[tuple[int, int]]:
        """(id, fence) of all that it has. A claim that is under way is waited for: one that is made after the
        answer finds the owner's lease as it is then."""

    async def subscription_fences(self, subscription_ids: Sequence[int]) -> dict[int, int]:
        """The newest fence of each of these; unknown ids are left out."""

    async def positions(self, tenant: str, pattern: str, start: Start) -> list[tuple[int, int]]:
        """What `start` means now: (topic_id, floor) for every matching topic, floor being the last
        number before the first to be delivered."""

    async def progress(
        self, subscription_id: int, topic_ids: Sequence[int] | None = None
    ) -> list[Progress]:
        """How far it is, one per topic, of all or of these: what was stored last, or if nothing was since,
        where it began or was moved to. A topic that is left out begins at 0."""

    async def progress_at(self, places: Sequence[tuple[int, int]]) -> list[Progress]:
        """The same of these (subscription id, topic id), in any order; what is left out begins at 0. One
        question to the store, however many subscriptions they are of."""

    async def settled(self, subscription_ids: Sequence[int]) -> dict[int, Settled]:
        """What each of these has settled in all its topics; of an unknown id nothing. One question to the
        store, however many subscriptions they are. The answer is small, however many topics they have."""

    async def former(self, subscription_id: int) -> list[Former]:
        """The deleted topics that it followed, as `topic_delete` was told, and the gaps of its start, in the
        order of their deletion: for each name the latest, and of all names the FORMER_MAX_COUNT deleted last.
        They are kept until `former_heard`."""

    async def former_heard(self, heard: Sequence[Heard]) -> None:
        """Forget what is over; of the rest, nothing is lost that is not known. Unknown ones, and those of
        which another topic was deleted since, are ignored."""

    async def former_add(self, subscription_id: int, gaps: Sequence[Former], now_ms: int) -> None:
        """Have it told these too, at most FORMER_MAX_COUNT, one of a name. An unknown id is ignored."""

    async def former_trim(self, before_ms: int, limit: int) -> int:
        """Forget up to `limit` of what `former` returns that was deleted before `before_ms`, the oldest
        first. If these are fewer, also what it does not return, since FORMER_MAX_COUNT are newer: of one
        subscription in each call. Returns how many were forgotten."""

    async def settle(
        self,
        progress: Sequence[Progress],
        deaths: Sequence[Death],
        redriven: Sequence[Redriven] = (),
    ) -> set[int]:
        """Store progress, with its pages that changed, and dead letters in one commit, but for the
        subscriptions that somebody has claimed since: returns their ids. Rows of topics or subscriptions
        that are gone are skipped. A death replaces the dead letter of the same delivery, which keeps its id
        and its message, and is redriven no more; where there is none, and the message is no longer in the
        log, the letter `is_lost`. After the deaths the dead letters of `redriven` are marked; unknown ids
        are ignored. Raises StoreDataError for a `dead_id` of another delivery."""

    async def seek(
        self,
        subscription_id: int,
        positions: Sequence[tuple[int, int]],
        fence: int | None = None,
    ) -> None:
        """Move it to these (topic_id, floor), one for each topic of its pattern, as `positions` gives them:
        cursor = floor, nothing open, no pages. In a topic that is not among them the progress that was
        stored stays; without any, it begins at 0. What `dead_fates` says of deliveries above the floors is
        forgotten: they come again. Ids of what is gone are ignored.

        `fence`: of who moves it, if it runs there, and is moved there as well. Anybody else who has it is
        where it was before: unless this is the newest fence, there is a newer one from now on, so that what
        such an owner stores is refused. Who has it stays the same."""
