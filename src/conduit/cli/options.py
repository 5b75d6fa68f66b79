"""What `conduit pub` and `conduit sub` are asked to do.

Apart from the commands, so that `--help` does not wait for what carries them out to be loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from conduit.protocol.frames import StartSpec


@dataclass(frozen=True, kw_only=True)
class PubOptions:
    """What to publish, and how."""

    topic: str | None
    data: str | None
    file: str | None
    text: bool
    messages: bool
    count: int | None
    rate: float | None
    batch: int
    key: str | None
    headers: tuple[tuple[str, str], ...]
    idempotency_key: str | None
    create: bool
    output: str | None

    @property
    def is_stdin(self) -> bool:
        """Whether the messages come from standard input."""
        return self.data == "-" or self.file == "-"

    @property
    def is_many(self) -> bool:
        """Whether there can be more than one message."""
        return self.file is not None or self.is_stdin or self.count is not None

    def check(self) -> None:
        """Raise click.UsageError for options that do not fit together."""
        if self.messages:
            if self.topic or self.text or self.key or self.headers or not self.file:
                raise click.UsageError(
                    "--messages takes --file, and neither TOPIC, --text, --key nor -H"
                )
        elif self.topic is None:
            raise click.UsageError("TOPIC is missing")
        elif (self.data is None) == (self.file is None):
            raise click.UsageError("say what to publish: DATA, or - for standard input, or --file")
        if self.count is not None and (self.file is not None or self.is_stdin):
            raise click.UsageError("--count repeats DATA; it does not go with lines")
        if self.idempotency_key is not None and self.is_many:
            raise click.UsageError("--idempotency-key is for one message")


@dataclass(frozen=True, kw_only=True)
class SubOptions:
    """What to receive, and how."""

    pattern: str
    subscription: str | None
    start: StartSpec | None
    count: int | None
    timeout_s: float | None
    ack: str
    create: bool
    output: str | None
