"""What the broker needs from a store.

All methods may be called concurrently from one event loop; appends take effect in the order of the
calls, and so do all other writes among themselves, but `trim`, `purge`, `forget_keys` and `dead_trim` let
the others pass. A call that returns has happened durably if `durable` is true; one that is cancelled may
still happen.

Errors. `StoreUnavailable`: the store cannot be used now; nothing happened, and nothing will.
`OutcomeUnknown`: it was told to commit and did not confirm it; nothing or all may have happened, or may
still. An `append` ends with that only when the store is being closed: else it is found out before there is an
answer.
`StoreDataError`: a row of an `append` is unacceptable; nothing of the batch happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from conduit.core.message import (
    Death,
    Message,
    NewMessage,
    Progress,
    Redriven,
    Retention,
    SubscriptionRecord,
    SubscriptionSettings,
    TopicRecord,
)
from conduit.storage.dead_letters import DeadLetterStore

# Returned in place of a number by `append` for a message whose topic was deleted meanwhile.
TOPIC_GONE = 0


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


class Trimmed(msgspec.Struct, frozen=True):
    """The state of a topic after a slice of retention. `more`: another slice is due now."""

    first_seq: int
    stored_bytes: int
    removed_count: int
    more: bool


class Extent(NamedTuple):
    """A topic and the numbers that it holds: `first_seq` to `last_seq`, none if the last is lower."""

    topic_id: int
    name: str
    first_seq: int
    last_seq: int
    trimmed_ms: int = 0
    """When the last of the messages was published that retention has removed, or later; 0 for none."""


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


class KnownKey(msgspec.Struct, frozen=True, gc=False):
    """The result that an idempotency key of a topic stands for."""

    topic_id: int
    key: str
    message_id: str
    seq: int
    published_at_ms: int


class Appender(Protocol):
    """What takes batches of messages: a store, or one shard of it."""

    @property
    def kind(self) -> str:
        """`memory`, `sqlite` or `postgresql`."""

    async def append(self, batch: Sequence[NewMessage]) -> list[int]:
        """See `Store.append`."""


# Of the deleted topics that a subscription followed, so many are told, the ones deleted last. A start may ask
# for as many positions that are not there.
FORMER_MAX_COUNT = 10_000

# A topic's id says in which shard of a divided log it is: the rest by this number.
SHARDS_MAX_COUNT = 64


class Store(DeadLetterStore, Protocol):
    """A log with topics, subscriptions, progress and dead letters."""

    @property
    def shards(self) -> Mapping[int, Appender]:
        """The parts of a divided log, which are appended to independently; empty if it is one. Known once
        the store is open."""

    @property
    def kind(self) -> str:
        """`memory`, `sqlite` or `postgresql`."""

    @property
    def durable(self) -> bool:
        """Whether a call that returned survives a crash; known once the store is open."""

    async def open(self) -> None:
        """Open or create; afterwards every other method works. Checks what durability rests on."""

    async def close(self) -> None:
        """Finish what was begun and release everything. Idempotent."""

    def describe(self) -> dict[str, object]:
        """For `/health`: `kind`, `durable`, and the settings that durability rests on, as read back."""

    # What it knows about itself -------------------------------------------------------------------

    async def fact(self, name: str) -> bytes | None:
        """What was kept under this name last, or None."""

    async def keep_fact(self, name: str, value: bytes) -> None:
        """Keep a few bytes under this name."""

    @property
    def copied(self) -> str | None:
        """Why this log is taken for an earlier state of one that went on, such as a backup: then numbers may
        be given again. None if nothing says so. Known once the store is open, until `renew` or `trust`."""

    async def renew(self, epochs: Mapping[int, str]) -> None:
        """It is such a copy: the topics of these ids get these epochs, and it goes its own way."""

    async def trust(self) -> None:
        """It is none, or lacks nothing: the epochs stay."""

    # Topics ---------------------------------------------------------------------------------------

    async def topics(self) -> list[TopicRecord]:
        """All topics of all tenants. Does not scan the log."""

    async def topic_create(
        self, tenant: str, name: str, retention: Retention, now_ms: int
    ) -> TopicRecord:
        """Create with a new epoch and `last_seq` 0. Raises Conflict `topic_exists`."""

    async def topics_create(
        self, tenant: str, names: Sequence[str], retention: Retention, now_ms: int
    ) -> list[TopicRecord]:
        """As `topic_create`, for several names that differ, in one commit (one more in each shard). Returns
        those that it has created, in any order: names that exist are left out."""

    async def topic_update(self, topic_id: int, retention: Retention) -> None:
        """Replace the retention. Unknown ids are ignored."""

    async def topic_delete(
        self, topic_id: int, followers: Sequence[int] = (), now_ms: int = 0
    ) -> None:
        """Forget the topic, its progress and idempotency keys at once. Its messages are removed
        later, by `purge`. Its dead letters stay. Unknown ids are ignored.

        In the same commit: each of `followers`, durable subscriptions of the topic's tenant, is remembered
        to have followed it until `now_ms`; see `former`. The latest topic of a name replaces an earlier one:
        then the last number that will not come is not known, since more than this topic's may be lost.
        """

    async def extents(self, topic_ids: Sequence[int]) -> list[Extent]:
        """What these topics hold, each once, in any order; unknown ids are left out. One question to the
        store, or one to each shard, also for thousands of them."""

    # The log --------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[NewMessage]) -> list[int]:
        """Store the batch in one commit (one in each shard) and return one `seq` for each message, in order.

        Numbers are dense per topic and follow the order of the batch. A message whose topic is gone
        gets TOPIC_GONE and burns no number. Idempotency keys are recorded in the same commit.
        """

    async def read(
        self,
        topic_id: int,
        from_seq: int,
        *,
        limit: int,
        max_bytes: int = 1 << 20,
        descending: bool = False,
    ) -> list[Message]:
        """Up to `limit` messages from `from_seq` on (or downwards), in that order, stopping after the
        message that passes `max_bytes` of payload. Empty when there are none."""

    async def find(self, tenant: str, message_id: str) -> tuple[int, Message] | None:
        """The message with this id and its topic id, or None."""

    async def seq_at(self, topic_id: int, time_ms: int) -> int:
        """The first stored `seq` whose message was published at or after `time_ms`; `last_seq + 1` if
        none. Logarithmic in the size of the topic. Where a clock went back, it is one of the places
        at which the times pass `time_ms`."""

    async def trim(
        self, topic_id: int, retention: Retention, now_ms: int, limit: int, through_seq: int = 0
    ) -> Trimmed:
        """Remove up to `limit` of the oldest messages that the retention no longer keeps, or whose number
        is not above `through_seq`. A limit of 0 removes none, and only says whether there is something to
        remove."""

    async def cleans_up(self) -> bool:
        """Whether this process is the one that removes what is not kept, if several share the log. Ask
        before every round: it is then the one for a while."""

    async def purge(self, limit: int) -> int:
        """Remove up to `limit` messages of deleted topics, and what else of the log nobody can read;
        returns how many were removed."""

    # Idempotency ----------------------------------------------------------------------------------

    async def known_keys(self, since_ms: int, limit: int) -> list[KnownKey]:
        """The newest `limit` of the keys recorded at or after `since_ms`, oldest first. What it costs
        follows from `limit`, not from how many there are."""

    async def forget_keys(self, before_ms: int, limit: int) -> int:
        """Remove up to `limit` keys recorded before `before_ms`; returns how many."""

    # Durable subscriptions ------------------------------------------------------------------------

    async def subscriptions(self) -> list[SubscriptionRecord]:
        """All durable subscriptions of all tenants."""

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
        Conflict `subscription_exists`."""

    async def subscription_update(
        self, subscription_id: int, settings: SubscriptionSettings, paused: bool
    ) -> None:
        """Replace settings and the paused flag. Unknown ids are ignored."""

    async def subscription_delete(self, subscription_id: int) -> None:
        """Forget the subscription, its progress and its former topics. Its dead letters stay. Unknown ids
        are ignored."""

    async def subscription_claim(self, subscription_id: int) -> int:
        """Become the owner of its progress: the fence, higher than every one before it. What owners before
        store from now on is refused; what they stored is there. An unknown id has nothing to own."""

    async def positions(self, tenant: str, pattern: str, start: Start) -> list[tuple[int, int]]:
        """What `start` means now: (topic_id, floor) for every matching topic, floor being the last
        number before the first to be delivered."""

    async def progress(
        self, subscription_id: int, topic_ids: Sequence[int] | None = None
    ) -> list[Progress]:
        """How far it is, one per topic, of all or of these: what was stored last, or if nothing was since,
        where it began or was moved to. A topic that is left out begins at 0."""

    async def progress_in(self, topic_id: int, subscription_ids: Sequence[int]) -> list[Progress]:
        """The same of one topic, for each of these subscriptions; what is left out begins at 0."""

    async def settled(self, subscription_id: int) -> Settled:
        """What it has settled in all topics. The answer is small, however many they are."""

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
        first; returns how many."""

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

    async def seek(self, subscription_id: int, positions: Sequence[tuple[int, int]]) -> None:
        """Move it to these (topic_id, floor), one for each topic of its pattern, as `positions` gives them:
        cursor = floor, nothing open, no pages. In a topic that is not among them the progress that was
        stored stays; without any, it begins at 0. Ids of what is gone are ignored."""
