"""What a check has found, and how many checks are run at once, each with its deadline."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple, TypeVar

import msgspec

from conduit.cli.output import printable
from conduit.errors import ConduitError, StateError
from conduit.redaction import redacted

T = TypeVar("T")

# Of one check. All run at once, so the whole takes hardly longer.
CHECK_TIMEOUT_S = 8.0
# Findings of one check that are told; a database with more troubles than that has others to be mended first.
FINDINGS_MAX_COUNT = 20
# Of what is seen, and of what to do. A server may have named something at length.
TEXT_MAX_CHARS = 600

Status = Literal["ok", "warning", "failure", "not looked at"]
_WORST_FIRST = ("failure", "warning", "not looked at", "ok")


class Finding(msgspec.Struct, frozen=True):
    """One line: what was looked at, how it is, what was seen, and what to do about it."""

    check: str
    status: Status
    seen: str
    do: str | None = None


def ok(check: str, seen: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", seen)


def warning(check: str, seen: str, do: str) -> Finding:
    """It works, and something should be done."""
    return Finding(check, "warning", seen, do)


def failure(check: str, seen: str, do: str) -> Finding:
    """It does not work, or loses messages, or lets strangers in."""
    return Finding(check, "failure", seen, do)


def unseen(check: str, why: str) -> Finding:
    """Nobody can say how it is. That is never `ok`."""
    return Finding(check, "not looked at", why)


class Check(NamedTuple):
    """A check by its name. `needs`: settings that it rests on; where one of them cannot be used it is left
    out."""

    name: str
    work: Callable[[], Awaitable[Sequence[Finding]]]
    needs: tuple[str, ...] = ()


async def run(checks: Sequence[Check], unusable: Collection[str] = ()) -> list[Finding]:
    """What all of them find, in their order. None stops another one: one that fails is a finding. Those that
    need something `unusable` are not run."""
    every = await asyncio.gather(
        *(_one(check, unusable) for check in checks), return_exceptions=True
    )
    found: list[Finding] = []
    for check, some in zip(checks, every, strict=True):
        found += _failed(check.name, some) if isinstance(some, BaseException) else some
    return [_safe(each) for each in found]


async def _one(check: Check, unusable: Collection[str]) -> Sequence[Finding]:
    missing = [name for name in check.needs if name in unusable]
    if missing:
        names = " and ".join(missing)
        return [unseen(check.name, f"needs {names}, which cannot be used: see above")]
    async with asyncio.timeout(CHECK_TIMEOUT_S):
        return _bounded(check.name, await check.work())


def _bounded(name: str, found: Sequence[Finding]) -> Sequence[Finding]:
    """Not too many, and the worst of them, in their order."""
    if len(found) <= FINDINGS_MAX_COUNT:
        return found
    by_weight = sorted(
        range(len(found)), key=lambda number: _WORST_FIRST.index(found[number].status)
    )
    kept = [found[number] for number in sorted(by_weight[: FINDINGS_MAX_COUNT - 1])]
    return [
        *kept,
        unseen(name, f"{len(found) - len(kept)} more, none of them worse, are not shown"),
    ]


def _failed(name: str, error: BaseException) -> list[Finding]:
    """A finding for what has ended a check."""
    if isinstance(error, TimeoutError):
        return [
            failure(
                name,
                f"no result within {CHECK_TIMEOUT_S:g} s",
                "look whether what it is about hangs: a disk, a name server, a firewall that drops packets",
            )
        ]
    if isinstance(error, ConduitError):
        return [failure(name, error.detail, "mend that, and run `conduit doctor` again")]
    if isinstance(error, OSError):
        return [failure(name, str(error), "mend that, and run `conduit doctor` again")]
    if not isinstance(error, Exception):
        # Ctrl-C, which ends all of it.
        raise error
    # Nobody may take that for good: what was said may be of another version, or not Conduit's at all.
    return [
        failure(
            name,
            f"the check itself failed: {type(error).__name__}: {error}",
            "look whether that is Conduit, and of this command's version; if it is, this is a fault of the "
            "command, to be reported",
        )
    ]


def _safe(found: Finding) -> Finding:
    """Without secrets, and without what would steer a terminal."""
    return msgspec.structs.replace(
        found, seen=_text(found.seen), do=None if found.do is None else _text(found.do)
    )


def _text(text: str) -> str:
    text = printable(redacted(" ".join(text.split())))
    return text if len(text) <= TEXT_MAX_CHARS else text[: TEXT_MAX_CHARS - 1] + "…"


async def in_thread(work: Callable[[], T]) -> T:
    """The result of what blocks, and its OSError or ConduitError. If it hangs, as on a disk of the network,
    the process can end all the same."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(outcome: Callable[[], None]) -> None:
        # Nobody waits any more if its time is over, and then the loop may be gone, too.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if result.done() else outcome())

    def job() -> None:
        error: Exception = StateError("a fault of the check itself")
        try:
            value = work()
            settle(lambda: result.set_result(value))
        except (OSError, ConduitError) as raised:
            error = raised
        finally:
            settle(lambda: result.set_exception(error))

    threading.Thread(target=job, daemon=True).start()
    return await result
