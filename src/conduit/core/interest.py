"""What is known of what the other nodes want, from what each says of itself.

A node numbers what it says: a change of some entries takes its state from one version to the next. Whoever
has the state of version 7 and hears version 8 has that of 8. Who hears 9 instead has missed something, and
knows nothing of that node until the whole of its state was read. Until then it is `unknown`, and whoever
sends something to those who want it sends it to the unknown as well.

Reading takes a while, and the state changes meanwhile. So what is heard while it is read wins over what is
read. It begins with a version from before and ends with one from after the reading, and holds as soon as all
changes up to the latter were heard. A change says how many subscribers an entry has, not how many more: so
it does not matter whether what was read had it already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from conduit.core.members import Node
from conduit.core.wants import ENTRIES_MAX_COUNT, Entry, Wants
from conduit.names import is_pattern

Change = tuple[Entry, int]
"""An entry and how many subscribers it has now; 0: none any more."""

# Topics of which the answer is kept. When there are more, all are forgotten and asked again: some
# microseconds for each.
CACHED_MAX_COUNT = 20_000


class _Found(NamedTuple):
    """Who wants a topic."""

    known: Mapping[Node, int]
    names: Mapping[str, int]
    """The same by name, with those that are unknown."""


class _Reading:
    """A state that is being read."""

    __slots__ = ("heard", "is_late", "until", "version", "wants")

    def __init__(self, wants: Wants, version: int) -> None:
        self.wants = wants
        self.version = version
        """Of the last change that was heard, or that of the beginning."""
        self.heard: set[Entry] = set()
        self.until: int | None = None
        """Once all is read: what has to be heard still."""
        self.is_late = False


class _Known:
    """What is known of one node."""

    __slots__ = ("expected", "is_trusted", "reading", "version", "wants")

    def __init__(self) -> None:
        self.wants: Wants | None = None
        self.version = 0
        self.is_trusted = False
        """Whether every change since is certain to be heard."""
        self.expected = 0
        """What the node had said when it was last looked at: heard before the next look, or it is lost."""
        self.reading: _Reading | None = None


class Interest:
    """Which of the other nodes wants which topics."""

    def __init__(
        self,
        entries_max_count: int = ENTRIES_MAX_COUNT,
        cached_max_count: int = CACHED_MAX_COUNT,
    ) -> None:
        self._entries_max_count = entries_max_count
        self._cached_max_count = cached_max_count
        self._nodes: dict[Node, _Known] = {}
        # Those whose state is to be read, in turn.
        self._unread: dict[Node, None] = {}
        self._trusted: list[tuple[Node, Wants]] = []
        # Tenant → topic → what was found.
        self._cache: dict[str, dict[str, _Found]] = {}
        self._cached_count = 0
        self._unknown_names: dict[str, int] = {}
        self.unknown: tuple[Node, ...] = ()
        """Those that are there, and of which nobody knows what they want."""
        self.hole_count = 0
        """How often a change was missed."""

    # The hot path

    def wanting(self, tenant: str, topic: str) -> Mapping[Node, int]:
        """The nodes that want the topic, each with how many subscribers it has there: 0 if the node wants
        everything. Not those that are `unknown`. Shared with later callers: not to be changed."""
        return self._found(tenant, topic).known

    def to_be_told(self, tenant: str, topic: str) -> Mapping[str, int]:
        """The names of all nodes that are to be told of a message in this topic: those that want it, and the
        unknown, with 0 subscribers. Shared as well."""
        return self._found(tenant, topic).names

    def _found(self, tenant: str, topic: str) -> _Found:
        of_tenant = self._cache.get(tenant)
        if of_tenant is not None:
            found = of_tenant.get(topic)
            if found is not None:
                return found
        return self._find(tenant, topic)

    def _find(self, tenant: str, topic: str) -> _Found:
        if self._cached_count >= self._cached_max_count:
            self._forget_found()
        counts = ((node, wants.count(tenant, topic)) for node, wants in self._trusted)
        known = {node: count for node, count in counts if count is not None}
        names = self._unknown_names
        if known:
            names = names | {node.name: count for node, count in known.items()}
        found = _Found(known, names)
        self._cache.setdefault(tenant, {})[topic] = found
        self._cached_count += 1
        return found

    # Who is there

    def set_nodes(self, nodes: Iterable[Node]) -> None:
        """These are the other nodes; of others nothing is kept. A new one is unknown, and to be read."""
        there = dict.fromkeys(nodes)
        gone = [node for node in self._nodes if node not in there]
        for node in gone:
            del self._nodes[node]
            self._unread.pop(node, None)
        new = [node for node in there if node not in self._nodes]
        for node in new:
            self._nodes[node] = _Known()
            self._unread[node] = None
        if gone or new:
            self._settle()

    def is_known(self, node: Node) -> bool:
        """Whether it is known what this node wants."""
        known = self._nodes.get(node)
        return known is not None and known.is_trusted

    def entry_count(self) -> int:
        """How many entries are known, of all nodes."""
        return sum(len(wants) for _, wants in self._trusted)

    # What is heard

    def hear(self, node: Node, version: int, changes: Sequence[Change] | None) -> None:
        """The node says that these changes have made its state that of `version`. None: it says anew all
        that it wants, which is to be read by whoever does not have that version."""
        known = self._nodes.get(node)
        if known is None:
            return
        if known.reading is not None:
            self._hear_while_reading(node, known.reading, version, changes)
        elif known.wants is None:
            self._unread[node] = None
        elif version > known.version:
            if version > known.version + 1 or changes is None:
                self._lose(node, known)
                return
            self._apply(known.wants, changes)
            known.version = version
            if not known.is_trusted:
                # It follows what is here, so that nothing is missing.
                self._trust(known)

    def _apply(self, wants: Wants, changes: Sequence[Change]) -> None:
        if wants.has_all:
            return
        for entry, count in changes:
            wants.put(entry, count)
            self._forget(entry[0], entry[2])
        if wants.has_all:
            self._forget_found()

    def _forget(self, tenant: str, pattern: str) -> None:
        """What was found for topics of this pattern may be wrong now."""
        of_tenant = self._cache.get(tenant)
        if of_tenant is None:
            return
        if is_pattern(pattern):
            self._cached_count -= len(of_tenant)
            of_tenant.clear()
        elif of_tenant.pop(pattern, None) is not None:
            self._cached_count -= 1
        if not of_tenant:
            del self._cache[tenant]

    def _hear_while_reading(
        self, node: Node, reading: _Reading, version: int, changes: Sequence[Change] | None
    ) -> None:
        if version <= reading.version:
            return
        if version > reading.version + 1 or changes is None:
            self._read_again(node)
            return
        for entry, count in changes:
            reading.wants.put(entry, count)
            reading.heard.add(entry)
        if len(reading.heard) > self._entries_max_count:
            reading.wants.want_all()
            reading.heard.clear()
        reading.version = version
        self._finish(node)

    def look(self, node: Node, version: int) -> None:
        """The node has said `version`, and perhaps more since. Call it every second: what is not heard from
        one call to the next is lost."""
        known = self._nodes.get(node)
        if known is None:
            return
        if known.reading is not None:
            self._look_while_reading(node, known.reading)
        elif not known.is_trusted:
            # What is here may still hold. But `version` is from before this look, and so no proof of it.
            self._unread[node] = None
        elif known.version < known.expected:
            self._lose(node, known)
        else:
            known.expected = max(known.expected, version)

    def _look_while_reading(self, node: Node, reading: _Reading) -> None:
        if reading.until is None:
            return
        if reading.is_late:
            self._read_again(node)
        reading.is_late = True

    def distrust(self) -> None:
        """Nothing is heard any more: all are unknown, until each is looked at again. What has not changed by
        then need not be read again."""
        for known in self._nodes.values():
            known.is_trusted = False
            known.reading = None
            known.expected = 0
        self._unread.clear()
        self._settle()

    def keep_trust_in(self, nodes: Collection[Node]) -> None:
        """All others are not seen any more, so that what they say now may not be heard: they are unknown
        until the next look at them."""
        silent = [node for node, _ in self._trusted if node not in nodes]
        for node in silent:
            self._nodes[node].is_trusted = False
        if silent:
            self._settle()

    # Reading

    def next_unread(self) -> Node | None:
        """A node whose state is to be read."""
        return next(iter(self._unread), None)

    def begin(self, node: Node, version: int, *, has_all: bool = False) -> bool:
        """The node's state is of this version now. True: it is to be read."""
        self._unread.pop(node, None)
        known = self._nodes.get(node)
        if known is None or known.is_trusted:
            return False
        if known.wants is not None and version <= known.version:
            # A lower one is an old copy of the state, which the node will find and replace.
            if version == known.version:
                self._trust(known)
            return False
        known.wants = None
        known.reading = _Reading(Wants(self._entries_max_count, has_all=has_all), version)
        return True

    def load(self, node: Node, entries: Iterable[Change]) -> bool:
        """A part of the state. False: no more of it is needed; call `end`."""
        known = self._nodes.get(node)
        if known is None or known.reading is None:
            return False
        wants, heard = known.reading.wants, known.reading.heard
        for entry, count in entries:
            if entry not in heard:
                wants.put(entry, count)
        return not wants.has_all

    def end(self, node: Node, version: int) -> None:
        """All was read, and nothing of it is of a later version than this."""
        known = self._nodes.get(node)
        if known is not None and known.reading is not None:
            known.reading.until = version
            self._finish(node)

    def give_up(self, node: Node) -> None:
        """It cannot be read now. It is unknown until the next look, and then to be read."""
        self._unread.pop(node, None)
        if (known := self._nodes.get(node)) is not None:
            known.reading = None

    def _finish(self, node: Node) -> None:
        known = self._nodes[node]
        reading = known.reading
        if reading is None or reading.until is None or reading.version < reading.until:
            return
        known.reading = None
        known.wants = reading.wants
        known.version = known.expected = reading.version
        self._trust(known)

    # Whom to trust

    def _trust(self, known: _Known) -> None:
        known.is_trusted = True
        self._settle()

    def _lose(self, node: Node, known: _Known) -> None:
        self.hole_count += 1
        known.wants = None
        known.is_trusted = False
        known.expected = 0
        self._unread[node] = None
        self._settle()

    def _read_again(self, node: Node) -> None:
        self.hole_count += 1
        self._nodes[node].reading = None
        self._unread[node] = None

    def _settle(self) -> None:
        trusted = []
        unknown = []
        for node, known in self._nodes.items():
            if known.is_trusted and known.wants is not None:
                trusted.append((node, known.wants))
            else:
                unknown.append(node)
        self._trusted = trusted
        self.unknown = tuple(unknown)
        self._unknown_names = dict.fromkeys((node.name for node in unknown), 0)
        self._forget_found()

    def _forget_found(self) -> None:
        self._cache = {}
        self._cached_count = 0
