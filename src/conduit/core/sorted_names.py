"""Names in their order, for lists that are read page by page."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

# New names that are put into their places one by one; with more of them all are sorted at once, which
# takes 3 ms for 100,000 names of which most are in order already.
SINGLE_MAX_COUNT = 64
# Names that one step of a search looks at: half a millisecond.
SEARCH_STEP_COUNT = 4_000


class SortedNames:
    """A set of names. Adding is cheap, also of very many; a page costs what is looked at for it."""

    __slots__ = ("_names", "_new")

    def __init__(self) -> None:
        self._names: list[str] = []
        # Added since somebody last looked.
        self._new: list[str] = []

    def __len__(self) -> int:
        return len(self._names) + len(self._new)

    def add(self, name: str) -> None:
        """Add a name that is not there."""
        self._new.append(name)

    def remove(self, name: str) -> None:
        """Take a name out. ValueError if it is not there."""
        names = self._sorted()
        at = bisect_left(names, name)
        if at == len(names) or names[at] != name:
            raise ValueError(name)
        del names[at]

    def after(self, name: str | None, count: int, prefix: str = "") -> list[str]:
        """The first `count` names behind `name` that begin with `prefix`, in order."""
        names = self._sorted()
        start = 0 if name is None else bisect_right(names, name)
        if prefix:
            start = max(start, bisect_left(names, prefix))
        page = names[start : start + count]
        if page and not page[-1].startswith(prefix):
            page = [each for each in page if each.startswith(prefix)]
        return page

    def containing(self, text: str, name: str | None) -> Iterator[list[str]]:
        """The names behind `name` that contain the text, in short steps through all that are. In between
        others may have their turns: each step gives what is there then."""
        while some := self.after(name, SEARCH_STEP_COUNT):
            yield [each for each in some if text in each]
            name = some[-1]

    def _sorted(self) -> list[str]:
        if len(self._new) > SINGLE_MAX_COUNT:
            self._names += self._new
            self._names.sort()
        else:
            for name in self._new:
                insort(self._names, name)
        self._new.clear()
        return self._names
