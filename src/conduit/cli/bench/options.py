"""What `conduit bench` is asked to do. Apart from what carries it out, which takes long to load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import click

from conduit.cli.bench.slo import Slo, parse_slo
from conduit.cli.completion import topics
from conduit.cli.values import DURATION, RATE_MAX, TIMEOUT, Parsed, Whole, parse_size, parse_start

if TYPE_CHECKING:
    from conduit.protocol.frames import StartSpec

F = TypeVar("F", bound=Callable[..., object])

DURATION_MAX_S = 3600
# The fields that tell number, publisher and time need as much.
SIZE_MIN_BYTES = 100
SIZE_MAX_BYTES = 16 << 20
PUBLISHERS_MAX = 256
SUBSCRIBERS_MAX = 10_000
MESSAGES_MAX = 10_000_000
# Deliveries in one run: the process that receives them keeps some bytes of each.
DELIVERIES_MAX = 50_000_000


def parse_rate(text: str) -> float | None:
    """Messages per second; None for `max`, a closed loop. Raises ValueError."""
    if text == "max":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= RATE_MAX:
        raise ValueError(f"{text!r} is neither a number above 0, up to {RATE_MAX:,}, nor max")
    return rate


def parse_bytes(text: str) -> int:
    """A payload's size. Raises ValueError."""
    size = parse_size(text)
    if not SIZE_MIN_BYTES <= size <= SIZE_MAX_BYTES:
        raise ValueError(
            f"{text!r} is not between {SIZE_MIN_BYTES} bytes, which number, publisher and time of a message "
            f"need, and {SIZE_MAX_BYTES >> 20}MiB"
        )
    return size


@dataclass(frozen=True)
class Start:
    """Where reading begins: as it was said, which runs that can be compared have in common, and as a
    `subscribe` frame has it."""

    text: str
    at: StartSpec


def read_start(text: str) -> Start:
    """Raises ValueError."""
    return Start(text, parse_start(text, datetime.now(UTC)))


RATE = Parsed("rate", parse_rate)
START = Parsed("start", read_start)
SIZE = Parsed("size", parse_bytes)
SLO = Parsed("text", parse_slo)


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What to measure. What a command has no option for has its default."""

    command: str
    topic: str | None = None
    rate: float | None = None
    size: int = SIZE_MIN_BYTES
    publishers: int = 0
    subscribers: int = 0
    subscription: str | None = None
    ack: bool = False
    start: Start = Start("earliest", "earliest")
    duration_s: float
    warmup_s: float = 0.0
    max_messages: int
    slo: tuple[Slo, ...] | None
    compare: str | None
    allow_remote: bool
    output: str | None

    def check(self) -> None:
        """Raise click.UsageError for what cannot be measured."""
        if self.duration_s > DURATION_MAX_S:
            raise click.UsageError(f"--duration is at most {DURATION_MAX_S} s")
        if self.command == "sub":
            return
        if self.rate is not None and self.rate * self.duration_s < 1:
            raise click.UsageError("no message is due in this time: raise --rate or --duration")
        sent = min(self.max_messages, (self.rate or 0) * (self.duration_s + self.warmup_s))
        deliveries = sent * (1 if self.subscription else self.subscribers)
        if deliveries > DELIVERIES_MAX:
            raise click.UsageError(
                f"{deliveries:,.0f} deliveries are more than {DELIVERIES_MAX:,}, which one run can verify: "
                "lower --rate, --duration or --subscribers"
            )


def with_work(command: F) -> F:
    """Adds what a run publishes, and how long."""
    for option in reversed(
        (
            click.option(
                "--rate",
                type=RATE,
                default="1000",
                show_default=True,
                help="Messages per second, each with its time to leave. max: as fast as answers come, a "
                "closed loop, whose latencies hide stalls.",
            ),
            click.option(
                "--size",
                type=SIZE,
                default="256",
                show_default=True,
                help="Bytes of a payload, 100 at least.",
            ),
            click.option(
                "--publishers",
                type=Whole(1, PUBLISHERS_MAX),
                default=4,
                show_default=True,
                help="Connections that publish.",
            ),
            click.option(
                "--topic",
                metavar="TOPIC",
                shell_complete=topics,
                help="One that exists, and stays. Else a topic is made, and deleted at the end.",
            ),
            click.option(
                "--warmup",
                "warmup_s",
                type=DURATION,
                default="3s",
                show_default=True,
                help="Sent before, verified, and not measured.",
            ),
        )
    ):
        command = option(command)
    return command


def with_bounds(command: F) -> F:
    """Adds what all of them have: bounds, and what becomes of the result."""
    for option in reversed(
        (
            click.option(
                "--duration",
                "duration_s",
                type=TIMEOUT,
                default="15s",
                show_default=True,
                help="How long it measures; an hour at most.",
            ),
            click.option(
                "--max-messages",
                type=Whole(1, MESSAGES_MAX),
                default=1_000_000,
                show_default=True,
                help="It ends after so many; `sub` reads no more of a topic.",
            ),
            click.option(
                "--slo",
                type=SLO,
                help="What must hold, as 'p99<50ms,loss=0': else the exit code is 9.",
            ),
            click.option(
                "--compare",
                type=click.Path(),
                metavar="FILE",
                help="The result of an earlier run (-o json) of the same work.",
            ),
            click.option(
                "--allow-remote",
                is_flag=True,
                help="Also a server that is not on this machine.",
            ),
        )
    ):
        command = option(command)
    return command
