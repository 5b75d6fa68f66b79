"""A fault that the broker had, as changes of its sources that bring it back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """One place in a file below `src/conduit`. What is replaced must stand there exactly once."""

    file: str
    old: str
    new: str

    def applied(self, text: str) -> str:
        """The file's text with the change."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has {text.count(self.old)} times:\n{self.old}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Plant:
    """One fault. `shows` is a pattern for the violations that it stands for."""

    name: str
    shows: str
    changes: tuple[Change, ...]
    needs_nodes: bool = False
    """Whether only the form with two nodes can find it."""
