"""The result of a run, as `-o json` prints it and `--compare` reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

SCHEMA = "conduit.bench/v1"
# A result with three histograms has tens of kilobytes.
MAX_BYTES = 4 * 1024 * 1024

# What the figures depend on as well, and is known when a topic was read.
READ = ("messages", "message_bytes")
# By so much they may be otherwise.
READ_SHARE = 0.1


_MEANS = {
    "invalid": "its figures do not count",
    "failed": "something was lost, doubled or refused",
    "unverified": "not all of it was looked at",
}


class Result(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One run. `docs/cli.md` describes the fields."""

    schema: str
    command: str
    verdict: str
    """`valid`; `invalid`: the figures do not count; `failed`: something was lost, doubled or refused; or
    `unverified`: not all was looked at."""
    work: dict[str, Any]
    conditions: dict[str, Any]
    figures: dict[str, float]
    checks: dict[str, int]
    load: dict[str, float]
    problems: list[str] = []
    slo_missed: list[str] = []
    cut_short: bool = False
    ended_early: str = ""
    refused: dict[str, int] = {}
    latencies: dict[str, str] = {}
    compared: list[dict[str, Any]] | None = None

    @property
    def is_good(self) -> bool:
        """Whether the figures count, everything came, and the objectives hold."""
        return self.verdict == "valid" and not self.slo_missed


def read(path: str) -> Result:
    """The result in a file. Raises click.UsageError."""
    try:
        with Path(path).open("rb") as file:
            document = file.read(MAX_BYTES + 1)
        if len(document) > MAX_BYTES:
            raise click.UsageError(f"{path} is too large for the result of a run")
        result = msgspec.json.decode(document, type=Result)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(
            f"{path} is not the result of a run (conduit bench … -o json): {error}"
        ) from None
    if result.schema != SCHEMA:
        raise click.UsageError(f"{path} is not of the schema {SCHEMA}")
    return result


def check_same_work(old: Result, command: str, work: dict[str, Any]) -> None:
    """Raise click.UsageError if an earlier run did something else: the figures would say nothing."""
    if old.command != command:
        raise click.UsageError(
            f"--compare: that run was bench {old.command}, and this is {command}"
        )
    asked = {name: value for name, value in old.work.items() if name not in READ}
    _refuse(_differences(asked, work))


def check_same_read(old: Result, new: Result) -> None:
    """The same of what a topic had, which is known afterwards: a tenth more or less is no other work."""
    _refuse(_other_read(old, new))


def is_same_read(old: Result, new: Result) -> bool:
    """Whether `check_same_read` has nothing against it."""
    return not _other_read(old, new)


def _other_read(old: Result, new: Result) -> list[str]:
    return _differences(*(_of_read(each, old, new) for each in (old, new)))


def _of_read(result: Result, old: Result, new: Result) -> dict[str, Any]:
    """Without what is nearly the same in both."""
    return {
        name: value
        for name, value in result.work.items()
        if name in READ and not _is_near(old.work.get(name), new.work.get(name))
    }


def _is_near(one: object, other: object) -> bool:
    if not (isinstance(one, int | float) and isinstance(other, int | float)):
        return one == other
    return abs(one - other) <= READ_SHARE * max(one, other)


def _refuse(other: list[str]) -> None:
    if other:
        raise click.UsageError(f"--compare: that run did other work: {'; '.join(other)}")


def compare(old: Result, new: Result) -> list[dict[str, Any]]:
    """Each figure that both have: `old`, `new` and their `ratio`, which is None beside a 0."""
    return [
        {"figure": name, "old": old.figures[name], "new": value, "ratio": _ratio(old, name, value)}
        for name, value in new.figures.items()
        if name in old.figures
    ]


def other_conditions(old: Result, new: Result) -> list[str]:
    """What was otherwise when the earlier run was made, but for its date; and if its figures do not count."""
    skipped = ("date", "load_average")
    was = {name: value for name, value in old.conditions.items() if name not in skipped}
    now = {name: value for name, value in new.conditions.items() if name not in skipped}
    found = _differences(
        *({name: each.work[name] for name in READ if name in each.work} for each in (old, new))
    )
    found += _differences(was, now)
    if old.verdict != "valid":
        found.append(f"that run was {old.verdict}: {_MEANS.get(old.verdict, 'unknown here')}")
    if old.cut_short:
        found.append("that run was cut short")
    if old.ended_early:
        found.append(f"that run ended {old.ended_early}")
    return found


def _ratio(old: Result, name: str, value: float) -> float | None:
    before = old.figures[name]
    return round(value / before, 3) if before else None


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [
        f"{name.replace('_', ' ')} was {_said(old.get(name))}, and is {_said(new.get(name))}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]


def _said(value: object) -> str:
    return "not said" if value is None else str(value)
