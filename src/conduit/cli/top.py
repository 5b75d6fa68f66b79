"""`conduit top`"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from conduit.cli.groups import Command
from conduit.cli.output import json_text, pick, with_output
from conduit.cli.server import Server, without_password
from conduit.cli.server_options import with_server
from conduit.cli.session import call
from conduit.cli.values import DURATION

if TYPE_CHECKING:
    from conduit.cli.watch.asking import Seen
    from conduit.client import AsyncConduit

INTERVAL_MIN_S, INTERVAL_MAX_S = 0.5, 60.0
SORTS = ("activity", "backlog", "name")
# What is shown of a snapshot where no terminal says how wide it is.
PIPED_COLUMNS = 200


def _interval(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    if not INTERVAL_MIN_S <= value <= INTERVAL_MAX_S:
        raise click.BadParameter(f"it must be {INTERVAL_MIN_S:g}s to {INTERVAL_MAX_S:g}s")
    return value


@click.command(cls=Command)
@click.option(
    "--interval",
    "interval_s",
    type=DURATION,
    default="2s",
    show_default=True,
    callback=_interval,
    help="Ask so often: 0.5s to 60s.",
)
@click.option(
    "--sort",
    type=click.Choice(SORTS),
    default=SORTS[0],
    show_default=True,
    help="Order of the rows.",
)
@click.option("--once", is_flag=True, help="Print one snapshot and end.")
@with_output()
@with_server
def top(server: Server, interval_s: float, sort: str, once: bool, output: str | None) -> None:
    """Watch a server, or all nodes of its cluster, live.

    Keys: q quits, p pauses, s sorts, r asks now, + and - change the interval. Elsewhere than on a terminal it
    prints one snapshot. One that does not answer is waited for. Needs the scope manage; nodes need admin.
    """
    # Not on top: `conduit --help` does without.
    from conduit.cli.watch.asking import Asking

    is_live = not once and output is None and _is_screen()
    url = without_password(server.target.url)

    async def watch(client: AsyncConduit) -> Seen | None:
        asking = Asking(client, _now)
        if is_live:
            from conduit.cli.watch.live import View

            await View(asking, url, interval_s, sort).run(_now)
            return None
        await asking.look()
        return asking.seen

    seen = call(server, watch)
    if seen is not None:
        _print(seen, url, sort, output)


def _now() -> float:
    from datetime import UTC, datetime

    return datetime.now(UTC).timestamp()


def _is_screen() -> bool:
    """Whether a picture can be drawn again in its place."""
    from rich.console import Console

    return sys.stdout.isatty() and not Console().is_dumb_terminal


def _print(seen: Seen, url: str, sort: str, output: str | None) -> None:
    from conduit.client import ConnectionFailed
    from conduit.errors import Forbidden

    if seen.away_since is not None:
        raise ConnectionFailed(seen.away_why)
    if seen.stats is None:
        raise Forbidden(seen.refused.get("stats", "the key may not see figures"))
    chosen = pick(output, piped="json")
    if chosen != "table":
        click.echo(json_text(_record(seen), indent=chosen == "json"))
        return
    from conduit.cli.watch.frame import How, frame, texts

    width = os.get_terminal_size().columns if sys.stdout.isatty() else PIPED_COLUMNS
    how = How(url, width, None, 0.0, sort, is_paused=False, requests_per_min=0.0)
    for line in texts(frame(seen, how, _now())):
        click.echo(line)


def _record(seen: Seen) -> dict[str, object]:
    """What is known, under the names of the API."""
    samples = (seen.history or {}).get("samples")
    return {
        "stats": seen.stats,
        "latest": samples[-1] if samples and isinstance(samples, list) else None,
        "nodes": seen.nodes,
        "attention": seen.attention,
        "topics": None if seen.topics is None else seen.topics.get("topics"),
        "not_looked_at": seen.refused,
    }
