"""A page of the log in memory: consecutive messages of a topic, shared by all who are at that place."""

from __future__ import annotations

from collections.abc import Sequence

from conduit.broker.catalog import Topic
from conduit.broker.deliver.budget import Budget
from conduit.broker.deliver.entry import Entry, MakeEntry
from conduit.core.message import DeadLetter, Message

# Of the payloads that are read at once.
PAGE_MAX_BYTES = 128 << 10
# What a message takes besides its payload: its id, the rest of its frame, and what Python needs for them.
MESSAGE_BYTES = 400


class Page:
    """Entries are made when they are first handed out, so that no turn of the loop makes a whole page of
    them, and take the place of the messages.

    As long as somebody uses it, it stays. After that it stays as long as there is room, and is empty then.
    What the log has lost since is not on it any more; a dead letter is.
    """

    __slots__ = (
        "__weakref__",
        "_budget",
        "_entries",
        "_is_of_log",
        "_make_entry",
        "_messages",
        "_topic",
        "_user_count",
        "first_seq",
        "last_seq",
        "size_bytes",
    )

    def __init__(
        self,
        topic: Topic,
        messages: Sequence[Message | DeadLetter],
        budget: Budget,
        make_entry: MakeEntry,
    ) -> None:
        self._topic = topic
        self._budget = budget
        self._make_entry = make_entry
        self._user_count = 0
        self._is_of_log = not (messages and isinstance(messages[0], DeadLetter))
        self._entries: list[Entry] = []
        # Those that have no entry yet; the next one is the last.
        self._messages = list(messages)
        self._messages.reverse()
        # Nothing is on an empty page.
        self.first_seq, self.last_seq = (messages[0].seq, messages[-1].seq) if messages else (1, 0)
        payloads_bytes = sum([len(message.payload) for message in messages])
        self.size_bytes = payloads_bytes + MESSAGE_BYTES * len(messages)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is on it, or not any more."""
        return self.last_seq < self.first_seq

    def has(self, seq: int) -> bool:
        """Whether the message with this number is on the page."""
        if not self.first_seq <= seq <= self.last_seq:
            return False
        return seq >= self._topic.first_seq or not self._is_of_log

    def slice(self, seq: int, limit: int) -> list[Entry]:
        """Up to `limit` entries, beginning with `seq`, which the page `has`."""
        offset = seq - self.first_seq
        entries, messages = self._entries, self._messages
        missing_count = offset + limit - len(entries)
        if missing_count > 0 and messages:
            topic = self._topic
            made = messages[-missing_count:]
            del messages[-missing_count:]
            for message in reversed(made):
                entries.append(self._make_entry(topic, message, message.seq))
        return entries[offset : offset + limit]

    # What it takes --------------------------------------------------------------------------------

    def begin_use(self) -> None:
        """It has to stay until `end_use`."""
        self._user_count += 1
        if self._user_count == 1:
            self._budget.take_page(self)
            self._budget.use(self.size_bytes)

    def end_use(self) -> None:
        """The end of one `begin_use`."""
        self._user_count -= 1
        if not self._user_count:
            self._budget.use(-self.size_bytes)
            self.was_looked_at()

    def was_looked_at(self) -> None:
        """Let others go first that are not in use."""
        if not self._user_count and not self.is_empty:
            self._budget.keep_page(self, self.size_bytes)

    def drop(self) -> None:
        """See `Kept.drop`."""
        self._entries, self._messages = [], []
        self.first_seq, self.last_seq = 1, 0
