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

from conduit.core.message import Message, NewMessage, Retention, TopicRecord
from conduit.storage.access import AccessStore
from conduit.storage.dead_letters import DeadLetterStore
from conduit.storage.nodes import NodeStore
from conduit.storage.subscriptions import (
    FORMER_MAX_COUNT,
    Former,
    Heard,
    OwnedBy,
    Settled,
    Start,
    StartPlace,
    SubscriptionStore,
)

__all__ = [
    "CHANGES_MAX_COUNT",
    "FORMER_MAX_COUNT",
    "SHARDS_MAX_COUNT",
    "TOPIC_GONE",
    "Appended",
    "Appender",
    "Changes",
    "Extent",
    "Former",
    "Heard",
    "KnownKey",
    "OwnedBy",
    "Settled",
    "Sizes",
    "Start",
    "StartPlace",
    "Store",
    "Trimmed",
]

# Returned in place of a number by `append` for a message whose topic was deleted meanwhile.
TOPIC_GONE = 0
# Above every number.
LAST_SEQ = 1 << 62


class Rule(NamedTuple):
    """What a topic keeps. A message is too old if its stamp is `max_age_s` before `now_ms`, unless its number
    is above `aged_seq`; and if its number is not above `through_seq`, whatever its stamp says.

    `is_awaited`: somebody is told that the messages are gone, so that they stay so after a crash; what
    retention removes would be removed again."""

    retention: Retention
    now_ms: int
    through_seq: int = 0
    aged_seq: int = LAST_SEQ
    is_awaited: bool = False


class Trimmed(msgspec.Struct, frozen=True):
    """The state of a topic after a slice of retention. `more`: another slice is due now."""

    first_seq: int
    stored_bytes: int
    removed_count: int
    more: bool


class Sizes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much room a store takes. None: it has no such thing, or cannot say."""

    size_bytes: int
    """All of it, indexes and free room included."""
    free_bytes: int | None = None
    """Of that, what is there for what comes next."""
    wal_bytes: int | None = None
    """Beside it: commits that are not in it yet."""
    disk_free_bytes: int | None = None
    """What is left on its disk."""


class Extent(NamedTuple):
    """A topic and the numbers that it holds: `first_seq` to `last_seq`, none if the last is lower."""

    topic_id: int
    name: str
    first_seq: int
    last_seq: int
    trimmed_ms: int = 0
    """When the last of the messages was published that retention has removed, or later; 0 for none."""


# Of changes of topics and subscriptions: who has missed more reads everything.
CHANGES_MAX_COUNT = 10_000


class Changes(NamedTuple):
    """Which topics and subscriptions were made, changed or deleted, each once, by their ids."""

    position: str
    """What to ask with next."""
    topic_ids: Sequence[int] = ()
    subscription_ids: Sequence[int] = ()
    is_all: bool = False
    """They are too many, or not known any more: any may be."""


class KnownKey(msgspec.Struct, frozen=True, gc=False):
    """The result that an idempotency key of a topic stands for."""

    topic_id: int
    key: str
    message_id: str
    seq: int
    published_at_ms: int
    payload_hash: bytes | None = None
    """Of the message; None if it was recorded by a version that kept none."""

    def stands_for(self, message: NewMessage) -> bool:
        """Whether the message has the payload that the key was used for, as far as that is known."""
        return self.payload_hash is None or self.payload_hash == message.payload_hash


Appended = int | KnownKey
"""What became of a message: its number, TOPIC_GONE, or what its idempotency key stands for already."""


class Appender(Protocol):
    """What takes batches of messages: a store, or one shard of it."""

    @property
    def kind(self) -> str:
        """`memory`, `sqlite` or `postgresql`."""

    async def append(self, batch: Sequence[NewMessage]) -> Sequence[Appended]:
        """See `Store.append`."""

    async def prove(self, size_bytes: int) -> None:
        """Replace a row of so many bytes by another one, in a commit of its own, as durably as an append.
        Raises what says why that cannot be done."""


# A topic's id says in which shard of a divided log it is: the rest by this number.
SHARDS_MAX_COUNT = 64


class Store(SubscriptionStore, DeadLetterStore, AccessStore, Protocol):
    """A log with topics, subscriptions, progress and dead letters, and who may use it."""

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

    @property
    def server_count(self) -> int:
        """How many servers use this log now, this one included, as far as it has seen by its last `prove`."""

    @property
    def nodes(self) -> NodeStore | None:
        """The nodes that share this log, and their leases; None if only one process can have it. To be asked
        for when the store is open."""

    @property
    def needs_lock(self) -> bool:
        """Whether threads of this process have a call of this store, and so need Python's lock for it now."""

    async def open(self) -> None:
        """Open or create; afterwards every other method works. Checks what durability rests on."""

    async def close(self) -> None:
        """Finish what was begun and release everything. Idempotent."""

    def describe(self) -> dict[str, object]:
        """For `/health`: `kind`, `durable`, and the settings that durability rests on, as read back."""

    # What it knows about itself -------------------------------------------------------------------

    async def fact(self, name: str) -> bytes | None:
        """What was kept under this name last, or None."""

    async def facts(self, prefix: str) -> dict[str, bytes]:
        """Those whose names begin like this, by name."""

    async def keep_fact(self, name: str, value: bytes | None) -> None:
        """Keep a few bytes under this name; None: nothing more."""

    @property
    def copied(self) -> str | None:
        """Why this log is taken for an earlier state of one that went on, such as a backup: then numbers may
        be given again. None if nothing says so. Known once the store is open, until `renew` or `trust`."""

    async def renew(self, epochs: Mapping[int, str]) -> None:
        """It is such a copy: the topics of these ids get these epochs, and it goes its own way."""

    async def trust(self) -> None:
        """It is none, or lacks nothing: the epochs stay."""

    async def measure(self) -> Sizes:
        """How much room it takes now."""

    async def give_back(self) -> bool:
        """Give some of the room that is not needed back to the system, a few milliseconds of work. Whether
        more is to be given back."""

    async def prove(self, size_bytes: int) -> None:
        """See `Appender.prove`; of a divided log only the first part is proved."""

    async def changes(self, position: str | None) -> Changes:
        """What was changed of topics and subscriptions since the answer that had this position, by whatever
        process; None: from now on. What is changed meanwhile may be told twice, and is never missed. Nothing
        in a store of one process, which knows what it changes."""

    # Topics ---------------------------------------------------------------------------------------

    async def topics(self) -> list[TopicRecord]:
        """All topics of all tenants. Does not scan the log."""

    async def topic_create(
        self, tenant: str, name: str, retention: Retention, now_ms: int
    ) -> TopicRecord:
        """Create with a new epoch and `last_seq` 0. Raises Conflict `topic_exists`, NotFound
        `tenant_not_found` if the tenant was deleted. One that was never made is taken."""

    async def topics_create(
        self, tenant: str, names: Sequence[str], retention: Retention, now_ms: int
    ) -> list[TopicRecord]:
        """As `topic_create`, for several names that differ, in one commit (one more in each shard). Returns
        those that it has created, in any order: names that exist are left out. Raises NotFound as
        `topic_create`."""

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

    async def topics_of(self, topic_ids: Sequence[int]) -> list[TopicRecord]:
        """These topics as they are now, each once, in any order; unknown ids are left out. What it costs
        follows from their number: one question to the store, or one to each shard."""

    async def extents(self, topic_ids: Sequence[int]) -> list[Extent]:
        """What these topics hold, each once, in any order; unknown ids are left out. One question to the
        store, or one to each shard, also for thousands of them."""

    # The log --------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[NewMessage]) -> Sequence[Appended]:
        """Store the batch in one commit (one in each shard) and return one `seq` for each message, in order.

        Numbers are dense per topic and follow the order of the batch. A message whose topic is gone
        gets TOPIC_GONE and burns no number. Idempotency keys are recorded in the same commit.

        In a store that several processes may share, a message is not stored whose key the log knows already:
        it has what the key stands for in place of a number. Raises KeyConflict if that is another payload.
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

    async def last_stamps(self, topic_ids: Sequence[int]) -> dict[int, int]:
        """`published_at_ms` of the last message of these topics, by their ids; topics without one are left
        out. One question to the store, or one to each shard, also for thousands of them."""

    async def trim(self, topic_id: int, rule: Rule, limit: int) -> Trimmed:
        """Remove up to `limit` of the oldest messages that the rule no longer keeps. A limit of 0 removes
        none, and only says whether there is something to remove."""

    async def cleans_up(self) -> bool:
        """Whether this process is the one that removes what is not kept, if several share the log. Ask
        before every round: it is then the one for a while."""

    async def purge(self, limit: int) -> int:
        """Remove up to `limit` messages of deleted topics, and what else nobody can read, such as
        the progress of deleted subscriptions; returns how many were removed."""

    # Idempotency ----------------------------------------------------------------------------------

    async def known_keys(self, since_ms: int, limit: int) -> list[KnownKey]:
        """Up to `limit` of the keys recorded at or after `since_ms`, oldest first. Of more, the tenants that
        have the most lose some, and of their topics those with the most their oldest: see `storage/keys.py`.
        What it costs follows from `limit`, not from how many there are."""

    async def forget_keys(self, before_ms: int, limit: int) -> int:
        """Remove up to `limit` keys recorded before `before_ms`; returns how many."""
