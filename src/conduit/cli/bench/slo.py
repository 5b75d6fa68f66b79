"""Objectives: `p99<50ms,loss=0` against the figures of a run."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_WAYS = ("stored", "received", "last")
_PARTS = ("p50", "p90", "p99", "p99.9", "max")
# What is a count or a rate.
_NUMBERS = ("loss", "duplicates", "disorder", "errors", "rate")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
_ONE = re.compile(r"([a-z0-9.]+?)\s*(<=|>=|<|>|=)\s*(\d{1,15}(?:\.\d+)?)\s*(us|ms|s|)", re.ASCII)
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Slo:
    """One objective. Latencies are in ms."""

    text: str
    name: str
    is_met_by: Callable[[float], bool]


def parse_slo(text: str) -> tuple[Slo, ...]:
    """Objectives, separated by commas. Raises ValueError."""
    return tuple(_parse(part.strip()) for part in text.split(","))


def _parse(text: str) -> Slo:
    found = _ONE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not an objective such as p99<50ms, loss=0 or rate>=1000")
    name, sign, number, unit = found.groups()
    way, _, part = name.partition(".")
    is_latency = name in _PARTS or (way in _WAYS and part in _PARTS)
    if not is_latency and name not in _NUMBERS:
        known = ", ".join((*_PARTS, *_NUMBERS))
        raise ValueError(
            f"{name!r} is not measured; there are {known}, and stored.p99, received.p99 and last.p99"
        )
    if is_latency and not unit:
        raise ValueError(f"{text!r} has no unit: {text}ms, for example")
    if unit and not is_latency:
        raise ValueError(f"{text!r} is a number, without a unit")
    bound = float(number) * _UNITS_MS.get(unit, 1.0)
    compare = _OPERATORS[sign]
    return Slo(text, name, lambda value: compare(value, bound))


def missed(slos: tuple[Slo, ...], figures: Mapping[str, float], main: str) -> list[str]:
    """A line for each objective that does not hold. `main` is the way that a percentile alone is of.

    A figure that the run has not is missed: what was not measured holds nothing.
    """
    lines = []
    for slo in slos:
        name = f"{main}.{slo.name}" if slo.name in _PARTS else slo.name
        value = figures.get(name)
        if value is None:
            lines.append(f"{slo.text}: {name} was not measured")
        elif not slo.is_met_by(value):
            unit = "" if slo.name in _NUMBERS else " ms"
            lines.append(f"{slo.text}: it is {value:,.4g}{unit}")
    return lines
