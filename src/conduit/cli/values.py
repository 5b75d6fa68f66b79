"""What people type for durations, times, positions and headers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import click

from conduit.cli.template import Template

if TYPE_CHECKING:
    from conduit.protocol.frames import StartSpec

# Of a number's digits so many are enough for every store, and few enough for int() and float().
_COUNT = re.compile(r"\d{1,30}", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SIZE = re.compile(r"(\d{1,30}(?:\.\d+)?)([a-zA-Z]*)", re.ASCII)
_SIZE_UNITS = {
    **{"": 1, "B": 1},
    **{"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12},
    **{"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40},
}
NO_BOUND: Literal["none"] = "none"
_POSITION = re.compile(r"(\d+)(?:@(\S+))?", re.ASCII)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw]?)", re.ASCII)
# A hundred years; calendars and servers take it.
DURATION_MAX_S = 100 * 365 * 86_400


# Messages per second; a computer publishes no faster.
RATE_MAX = 1_000_000


class Whole(click.IntRange):
    """A whole number in a range, refused in plain words."""

    def convert(self, value: int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `click.IntRange`."""
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            most = "up" if self.max is None else f"to {self.max:,}"
            self.fail(f"{str(value)!r} is not a whole number from {self.min} {most}", param, ctx)


class Rate(click.FloatRange):
    """A number per second, up to a bound. `nan` is within every range that is only compared with."""

    def __init__(self, rate_max: int) -> None:
        super().__init__(0, rate_max, min_open=True)

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.FloatRange`."""
        try:
            rate = float(super().convert(value, param, ctx))
        except click.BadParameter:
            rate = math.nan
        if math.isnan(rate):
            self.fail(f"{str(value)!r} is not a number above 0 and up to {self.max:,}", param, ctx)
        return rate


RATE = Rate(RATE_MAX)


def parse_duration(text: str) -> float:
    """Seconds: `90`, `90s`, `500ms`, `1.5h`, `7d`. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration such as 90s, 15m, 1.5h or 7d")
    seconds = float(found[1]) * _UNITS[found[2] or "s"]
    if seconds > DURATION_MAX_S:
        raise ValueError(f"{text!r} is too long")
    return seconds


def parse_timeout(text: str) -> float:
    """Seconds, as `parse_duration`: some. Raises ValueError."""
    seconds = parse_duration(text)
    if not seconds:
        raise ValueError(f"{text!r} leaves no time; it must be above 0")
    return seconds


def parse_size(text: str) -> int:
    """Bytes: `500000`, `1GB` (thousands of thousands of thousands), `1GiB` (1024 each). Raises ValueError."""
    found = _SIZE.fullmatch(text)
    unit = None if found is None else _SIZE_UNITS.get(found[2].upper())
    if found is None or unit is None:
        raise ValueError(f"{text!r} is not a size such as 500000, 1.5GB or 512MiB")
    return round(float(found[1]) * unit)


def parse_count(text: str) -> int:
    """A number of things. Raises ValueError."""
    if not _COUNT.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number such as 100000")
    return int(text)


def parse_bound(text: str, parse: Callable[[str], float]) -> int | Literal["none"]:
    """A bound of what a topic keeps, or `none`. Raises ValueError."""
    if text == NO_BOUND:
        return NO_BOUND
    bound = parse(text)
    if bound < 1:
        raise ValueError(f"{text!r} is below 1; none is for no bound")
    return round(bound)


def parse_time(text: str, now: datetime) -> str:
    """RFC 3339 in UTC: from a time with its zone, or from `-1h`, meaning that long before `now`.

    Raises ValueError.
    """
    if text.startswith("-"):
        if text[1:].isdecimal():
            raise ValueError(
                f"{text!r} has no unit: {text}s is so many seconds ago, {text}m minutes"
            )
        moment = now - timedelta(seconds=parse_duration(text[1:]))
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(
                f"{text!r} is not a time such as 2026-05-01T12:00:00Z or -1h"
            ) from None
        if moment.tzinfo is None:
            raise ValueError(f"{text!r} has no time zone; put Z behind it for UTC")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_start(text: str, now: datetime) -> StartSpec:
    """Where a subscription begins: `new`, `earliest`, `SEQ`, `SEQ@EPOCH`, a time or `-1h`.

    Raises ValueError.
    """
    # Not on top: `conduit --help` does without msgspec.
    from conduit.protocol.frames import SEQ_MAX, StartAt

    if text == "new":
        return "new"
    if text == "earliest":
        return "earliest"
    if found := _POSITION.fullmatch(text):
        if not _COUNT.fullmatch(found[1]) or not 1 <= int(found[1]) <= SEQ_MAX:
            raise ValueError(f"a message's number is 1 to {SEQ_MAX:,}")
        return StartAt(seq=int(found[1]), epoch=found[2])
    if text[:1].isalpha():
        raise ValueError(f"{text!r} is neither new, earliest, SEQ, SEQ@EPOCH, a time, nor -1h")
    return StartAt(time=parse_time(text, now))


def parse_place(text: str, now: datetime) -> int | str:
    """Where in a topic to look: a message's number, or a time in RFC 3339. Raises ValueError."""
    # Not on top: `conduit --help` does without msgspec.
    from conduit.protocol.frames import SEQ_MAX

    if not text.isdecimal():
        return parse_time(text, now)
    if not _COUNT.fullmatch(text) or not 1 <= int(text) <= SEQ_MAX:
        raise ValueError(f"a message's number is 1 to {SEQ_MAX:,}")
    return int(text)


def parse_header(text: str) -> tuple[str, str]:
    """(name, value) from `name=value`; the value may have further `=`. Raises ValueError."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"{text!r} is not name=value")
    return name, value


class Parsed(click.ParamType[object]):
    """A parameter that a function turns from text into its value; its ValueError tells people why."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """The value; click asks again for what was converted already."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = Parsed("duration", parse_duration)
TIMEOUT = Parsed("duration", parse_timeout)
MAX_AGE = Parsed("duration", lambda text: parse_bound(text, parse_duration))
MAX_BYTES = Parsed("size", lambda text: parse_bound(text, parse_size))
MAX_MESSAGES = Parsed("integer", lambda text: parse_bound(text, parse_count))
MAX_LOST = MAX_MESSAGES

TIME = Parsed("time", lambda text: parse_time(text, datetime.now(UTC)))
START = Parsed("start", lambda text: parse_start(text, datetime.now(UTC)))
PLACE = Parsed("place", lambda text: parse_place(text, datetime.now(UTC)))
TEMPLATE = Parsed("template", Template)
HEADER = Parsed("name=value", parse_header)
