"""What `conduit pub` and `conduit sub` are asked to do.

Apart from the commands, so that `--help` does not wait for what carries them out to be loaded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

from conduit.cli.template import Template

if TYPE_CHECKING:
    from conduit.client.client import SubscriptionSettings
    from conduit.protocol.frames import StartSpec


# The server's own window.
WINDOW_COUNT = 256
# What is given in place of a file.
STDIN_NAME = "-"


@dataclass(frozen=True, kw_only=True)
class PubOptions:
    """What to publish, and how."""

    topic: str | None
    data: str | None
    files: tuple[str, ...]
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
    def sources(self) -> tuple[str, ...]:
        """The files that messages come from, in order; STDIN_NAME among them is standard input."""
        return (STDIN_NAME,) if self.data == STDIN_NAME else self.files

    @property
    def is_many(self) -> bool:
        """Whether there can be more than one message."""
        return bool(self.sources) or self.count is not None

    def check(self) -> None:
        """Raise click.UsageError for options that do not fit together."""
        if self.messages:
            if self.topic or self.text or self.key or self.headers or not self.files:
                raise click.UsageError(
                    "--messages takes --file, and neither TOPIC, --text, --key nor -H"
                )
        elif self.topic is None:
            raise click.UsageError("TOPIC is missing")
        elif (self.data is None) == (not self.files):
            raise click.UsageError(
                "say what to publish: DATA, or - for standard input, or --file"
                if self.data is None
                else "DATA and --file are two things to publish; give one of them"
            )
        if self.count is not None and self.sources:
            raise click.UsageError("--count repeats DATA; it does not go with lines")
        if self.idempotency_key is not None and self.is_many:
            raise click.UsageError("--idempotency-key is for one message")
        if self.files.count(STDIN_NAME) > 1:
            raise click.UsageError("standard input can be read once")
        names = Counter(name for name, _ in self.headers)
        for name, count in names.items():
            if count > 1:
                raise click.UsageError(f"-H {name} is there {count} times; a header has one value")


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
    order: Literal["publish", "strict"] | None
    max_in_flight: int | None
    ack_wait_s: float | None
    max_attempts: int | None
    raw: bool
    template: Template | None
    output: str | None

    def check(self) -> None:
        """Raise click.UsageError for options that do not fit together."""
        ways = [self.output is not None, self.raw, self.template is not None]
        if ways.count(True) > 1:
            raise click.UsageError("-o, --raw and --format are three ways to print; choose one")

    @property
    def line(self) -> Template | None:
        """What to print of a message, if it was said."""
        return Template("{payload}") if self.raw else self.template

    @property
    def settings(self) -> SubscriptionSettings:
        """What the server is told besides the topic. Who takes so many messages has no more of them at once,
        so that the others who share a subscription do not wait for these. That is no setting of the
        subscription, which would keep it for all who come later."""
        settings: SubscriptionSettings = {}
        if self.order is not None:
            settings["order"] = self.order
        if self.max_in_flight is not None:
            settings["max_in_flight"] = self.max_in_flight
        elif self.count is not None:
            settings["prefetch"] = min(self.count, WINDOW_COUNT)
        if self.ack_wait_s is not None:
            settings["ack_wait_ms"] = round(self.ack_wait_s * 1000)
        if self.max_attempts is not None:
            settings["max_attempts"] = self.max_attempts
        return settings
