"""Which patterns match a topic, and which topics match a pattern.

Names and patterns must be valid (`conduit/names.py`): nothing here checks them again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Generic, TypeVar

from conduit.names import is_pattern

T = TypeVar("T", bound=Hashable)

ONE = "*"
"""The token that stands for exactly one token."""
REST = ">"
"""The last token that stands for one or more tokens."""


def matches(pattern: str, topic: str) -> bool:
    """Whether `topic` belongs to `pattern`; a topic is a pattern that matches itself only."""
    if not is_pattern(pattern):
        return pattern == topic
    wanted = pattern.split(".")
    tokens = topic.split(".")
    if wanted[-1] == REST:
        wanted.pop()
        if len(tokens) <= len(wanted):
            return False
        del tokens[len(wanted) :]
    return len(wanted) == len(tokens) and all(
        want in (ONE, token) for want, token in zip(wanted, tokens, strict=True)
    )


def matcher(pattern: str) -> Callable[[str], bool]:
    """`matches` for one pattern and very many topics: a tenth of the time."""
    if not is_pattern(pattern):
        return pattern.__eq__
    found = re.compile(_regex(pattern)).fullmatch
    return lambda topic: found(topic) is not None


def any_matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether one of some patterns matches, for very many topics."""
    # What no pattern is for matches nothing.
    found = re.compile("|".join(map(_regex, patterns)) if patterns else "(?!)").fullmatch
    return lambda topic: found(topic) is not None


def _regex(pattern: str) -> str:
    tokens = ("[^.]+" if token == ONE else re.escape(token) for token in pattern.split("."))
    text = r"\.".join(tokens)
    return text.removesuffix(REST) + ".+" if pattern.endswith(REST) else text


def prefix_of(pattern: str) -> str:
    """What the names of all its topics begin with."""
    return re.split(r"[*>]", pattern, maxsplit=1)[0]


class _Node(Generic[T]):
    """The end of every pattern that is spelled by the path to here. Dicts keep insertion order."""

    __slots__ = ("children", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.values: dict[T, None] = {}


class PatternTrie(Generic[T]):
    """Values under patterns, found by topic. `len` counts distinct (pattern, value) pairs.

    `match` visits only nodes that agree with the topic so far: its cost grows with the tokens and
    the patterns that match or nearly match, and all others cost nothing.
    """

    __slots__ = ("_count", "_root")

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, pattern: str, value: T) -> None:
        """Put `value` under `pattern`. Adding a pair again changes nothing."""
        node = self._root
        for token in pattern.split("."):
            below = node.children.get(token)
            if below is None:
                below = node.children[token] = _Node()
            node = below
        if value not in node.values:
            node.values[value] = None
            self._count += 1

    def remove(self, pattern: str, value: T) -> None:
        """Take the pair out, and every node that held nothing else. KeyError if it is not there."""
        node = self._root
        path: list[tuple[_Node[T], str]] = []
        for token in pattern.split("."):
            path.append((node, token))
            node = node.children[token]
        del node.values[value]
        self._count -= 1
        while path and not node.values and not node.children:
            node, token = path.pop()
            del node.children[token]

    def match(self, topic: str) -> list[T]:
        """Every value with a pattern that matches, once each, in an order that is repeatable."""
        found: dict[T, None] = {}
        level = [self._root]
        for token in topic.split("."):
            below: list[_Node[T]] = []
            for node in level:
                children = node.children
                if rest := children.get(REST):
                    found.update(rest.values)
                if one := children.get(ONE):
                    below.append(one)
                if same := children.get(token):
                    below.append(same)
            level = below
        for node in level:
            found.update(node.values)
        return list(found)


class _Place(Generic[T]):
    """What is spelled by the path to here: perhaps a topic, and the longer names."""

    __slots__ = ("children", "topic")

    def __init__(self) -> None:
        self.children: dict[str, _Place[T]] = {}
        self.topic: T | None = None


class TopicIndex(Generic[T]):
    """Topics by their names, found by pattern.

    `match` visits only what agrees with the pattern so far: its cost follows from the topics that match
    or nearly match, and all others cost nothing.
    """

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root: _Place[T] = _Place()

    def add(self, name: str, topic: T) -> None:
        """Put the topic under its name, in place of another one."""
        place = self._root
        for token in name.split("."):
            below = place.children.get(token)
            if below is None:
                below = place.children[token] = _Place()
            place = below
        place.topic = topic

    def remove(self, name: str) -> None:
        """Take the topic out, and every place that led to nothing else. KeyError if it is not there."""
        place = self._root
        path: list[tuple[_Place[T], str]] = []
        for token in name.split("."):
            path.append((place, token))
            place = place.children[token]
        if place.topic is None:
            raise KeyError(name)
        place.topic = None
        while path and not place.children:
            place, token = path.pop()
            del place.children[token]
            if place.topic is not None:
                return

    def match(self, pattern: str) -> Iterator[T]:
        """The topics of the pattern, each once. Nothing may be added or removed before it has ended."""
        level = [self._root]
        for token in pattern.split("."):
            if token == REST:
                yield from self._below(level)
                return
            level = [below for place in level for below in self._step(place, token)]
        for place in level:
            if place.topic is not None:
                yield place.topic

    @staticmethod
    def _step(place: _Place[T], token: str) -> list[_Place[T]]:
        if token == ONE:
            return list(place.children.values())
        below = place.children.get(token)
        return [] if below is None else [below]

    @staticmethod
    def _below(level: list[_Place[T]]) -> Iterator[T]:
        places = [below for place in level for below in place.children.values()]
        while places:
            place = places.pop()
            if place.topic is not None:
                yield place.topic
            places += place.children.values()
