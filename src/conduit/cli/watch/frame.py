"""One picture of the view, as lines that fit into a terminal. Pure: all that it needs is handed in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from conduit.cli.output import counted, duration_text, printable
from conduit.cli.watch.grid import Line, fitted, grid, plain
from conduit.cli.watch.tables import BAD, DIM, GOOD, WARN, Table, rate, tables
from conduit.cli.width import columns
from conduit.client import BadAnswer

if TYPE_CHECKING:
    from conduit.cli.watch.asking import Seen

KEYS = "q quit   p pause   s sort   r now   + - interval"
# Rows of a table that are shown where there is room for all, as in a pipe.
ROWS_MAX_COUNT = 50


class How(NamedTuple):
    """How it is drawn."""

    url: str
    width: int
    height: int | None
    """None: as many lines as there are; without the keys."""
    interval_s: float
    sort: str
    is_paused: bool
    requests_per_min: float


def frame(seen: Seen, how: How, now: float) -> list[Line]:
    """Lines of at most the width, and at most as many as the height. `now`: wall clock, seconds.

    Raises BadAnswer for answers with something else in them than they should have.
    """
    try:
        return _frame(seen, how, now)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # It may be of another version, or not Conduit's at all.
        raise BadAnswer(
            f"the answer cannot be read ({type(error).__name__}: {error}): is that Conduit, and of this "
            "command's version?"
        ) from error


def _frame(seen: Seen, how: How, now: float) -> list[Line]:
    top = [_title(seen, how, now), _state(seen, how, now), [], *_figures(seen)]
    found = tables(seen, how.sort)
    if how.height is None:
        room = [ROWS_MAX_COUNT] * len(found)
        return [fitted(line, how.width) for line in top + _tables(found, room, how.width)]
    # Each table has a blank line, a title, and a line of headings.
    body = how.height - len(top) - 3 * len(found) - 1
    lines = top + _tables(found, share(body, [max(1, len(each.rows)) for each in found]), how.width)
    lines = lines[: how.height - 1]
    lines += [[]] * (how.height - 1 - len(lines))
    cost = f"{how.requests_per_min:.0f} requests/min"
    keys = f"{KEYS}   ({how.sort})"
    gap = how.width - len(keys) - len(cost)
    lines.append([(keys, "bold"), (f"{' ' * gap}{cost}" if gap >= 2 else "", DIM)])
    return [fitted(line, how.width) for line in lines[-how.height :]]


def share(room: int, wanted: Sequence[int]) -> list[int]:
    """How many rows each gets of the room: none more than it wants, and what one does not want goes to the
    others, in turn."""
    given = [0] * len(wanted)
    while room > 0 and any(got < want for got, want in zip(given, wanted, strict=True)):
        for at, want in enumerate(wanted):
            if room > 0 and given[at] < want:
                given[at] += 1
                room -= 1
    return given


def _tables(found: Sequence[Table], room: Sequence[int], width: int) -> list[Line]:
    lines: list[Line] = []
    for table, count in zip(found, room, strict=True):
        total = len(table.rows)
        title = f"{table.title}  {count} of {total}" if total > count else table.title
        lines += [[], [(title, "bold cyan")]]
        if table.missing is not None:
            lines.append([(table.missing, DIM)])
        else:
            lines += grid(table.heads, table.rows[:count], width)
    return lines


def _title(seen: Seen, how: How, now: float) -> Line:
    stats = seen.stats or {}
    about = ["conduit top", printable(how.url)]
    if seen.nodes is not None:
        down_count = sum(node.state == "down" for node in seen.nodes)
        about.append(counted(len(seen.nodes) - down_count, "node") + " up")
        if down_count:
            about.append(f"{down_count} DOWN")
    if "uptime_seconds" in stats:
        about.append(f"up {_lasting(stats['uptime_seconds'])}")
    left = "  ".join(about)
    clock = f"{datetime.fromtimestamp(now, UTC):%H:%M:%S} UTC"
    gap = how.width - columns(left) - len(clock)
    if how.height is None or gap < 2:
        return [(left, "bold")]
    return [(left, "bold"), (" " * gap + clock, DIM)]


def _lasting(seconds: float) -> str:
    for unit_s, steps_s in ((86_400, 3600), (3600, 60), (60, 1)):
        if seconds >= unit_s:
            whole = int(seconds // unit_s) * unit_s
            rest = int((seconds - whole) // steps_s) * steps_s
            return duration_text(whole) + (duration_text(rest) if rest else "")
    return duration_text(seconds)


def _state(seen: Seen, how: How, now: float) -> Line:
    if seen.away_since is not None:
        since = f"{datetime.fromtimestamp(seen.away_since, UTC):%H:%M:%S}"
        old = "" if seen.at is None else ", figures are from before"
        told = f"no answer since {since} ({_lasting(now - seen.away_since)}){old}: "
        return [(told + printable(seen.away_why.removeprefix(f"no answer from {how.url}: ")), BAD)]
    if how.is_paused:
        old = "" if seen.at is None else f", figures are {_lasting(now - seen.at)} old"
        return [(f"PAUSED{old}", WARN)]
    if seen.stats is None:
        why = seen.refused.get("stats")
        return [(f"no figures: {printable(why)}" if why else "asking …", WARN if why else DIM)]
    unanswered = seen.stats.get("unanswered_count", 0)
    if unanswered:
        names = " ".join(seen.stats.get("unanswered", ()))
        return [(f"live; not in the figures: {printable(names) or unanswered}, no answer", WARN)]
    if how.height is None:
        return []
    return [("live", GOOD), (f", every {how.interval_s:g} s", "")]


def _figures(seen: Seen) -> list[Line]:
    stats = seen.stats or {}
    samples = (seen.history or {}).get("samples", [])
    dead = (seen.attention or {}).get("dead_letters")
    rows = (
        (
            "published",
            "messages_per_sec",
            _times(samples, "publish"),
            "backlog",
            stats.get("backlog"),
        ),
        ("delivered", "deliveries_per_sec", _times(samples, "delivery"), "dead letters", dead),
        ("acked", "acks_per_sec", _again(stats), "connections", stats.get("connections")),
    )
    lines: list[Line] = []
    for label, name, middle, other, count in rows:
        value = f"{rate(stats[name])}/s" if name in stats else "-"
        shown = "-" if count is None else f"{count:,}"
        style = BAD if other == "dead letters" and count else "bold"
        lines.append(
            [
                (f"{label:<10}", DIM),
                (f"{value:>14}", "bold"),
                (f"   {middle:<30}", ""),
                (f"{other:<13}", DIM),
                (f"{shown:>9}", style),
            ]
        )
    return lines


def _times(samples: Sequence[dict[str, Any]], what: str) -> str:
    """The newest that there are; nothing without any."""
    for sample in reversed(samples):
        half, most = sample.get(f"{what}_p50_ms"), sample.get(f"{what}_p99_ms")
        if half is not None and most is not None:
            return f"p50 {half:,.1f} ms  p99 {most:,.1f} ms"
    return ""


def _again(stats: dict[str, Any]) -> str:
    if "redeliveries_per_sec" not in stats:
        return ""
    return f"again {rate(stats['redeliveries_per_sec'])}/s"


def texts(lines: Sequence[Line]) -> list[str]:
    """The lines without their styles, for what is no terminal."""
    return [plain(line).rstrip() for line in lines]
