"""`conduit bench`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from conduit.cli.bench.options import START, SUBSCRIBERS_MAX, BenchOptions, with_bounds, with_work
from conduit.cli.completion import topics
from conduit.cli.groups import Group
from conduit.cli.output import with_output
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call
from conduit.cli.values import Whole


@click.group(cls=Group)
def bench() -> None:
    """Measure a server: latencies from when a message was due, and whether everything came.

    \b
      conduit bench pub --rate 2000
      conduit bench e2e --subscribers 8 --slo 'p99<50ms,loss=0'
      conduit bench fanout --subscribers 1000 --rate 50
      conduit bench sub orders --from earliest

    Ctrl-C ends a run with what was measured. Exit code 9: it is INVALID, for the generator itself was the
    limit; FAILED, for something was lost, doubled or refused; or UNVERIFIED, for not all was looked at.
    """


@bench.command()
@with_work
@with_bounds
@with_output()
@with_server
def pub(server: Server, **options: object) -> None:
    """Publish: how long until a message is stored?"""
    _run(server, "pub", options)


@bench.command()
@with_work
@click.option(
    "--subscribers",
    type=Whole(1, SUBSCRIBERS_MAX),
    default=1,
    show_default=True,
    help="Each gets every message; with --subscription they share them.",
)
@click.option(
    "--no-ack",
    "ack",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Messages are settled when they are sent. Else each is acked with a frame of its own.",
)
@click.option(
    "--subscription",
    metavar="NAME",
    help="A durable one, which is new, and deleted at the end. It acks.",
)
@with_bounds
@with_output()
@with_server
def e2e(server: Server, **options: object) -> None:
    """Publish and receive: how long until it is stored, and until it is there?"""
    _run(server, "e2e", options)


@bench.command()
@with_work
@click.option(
    "--subscribers",
    type=Whole(2, SUBSCRIBERS_MAX),
    default=100,
    show_default=True,
    help="Each gets every message.",
)
@with_bounds
@with_output()
@with_server
def fanout(server: Server, **options: object) -> None:
    """One topic, many subscribers: how long until the last of them has it?"""
    _run(server, "fanout", options)


@bench.command()
@click.argument("topic", shell_complete=topics)
@click.option(
    "--from",
    "start",
    type=START,
    default="earliest",
    show_default=True,
    help="Where to begin: earliest, SEQ, SEQ@EPOCH, a time, or -1h.",
)
@click.option(
    "--subscribers",
    type=Whole(1, SUBSCRIBERS_MAX),
    default=1,
    show_default=True,
    help="Each reads all; with --subscription they share.",
)
@click.option(
    "--subscription",
    metavar="NAME",
    help="A durable one, which is new, and deleted at the end. It acks.",
)
@with_bounds
@with_output()
@with_server
def sub(server: Server, **options: object) -> None:
    """Read what TOPIC has: how fast does a subscriber catch up?

    Messages and other subscribers are left as they are.
    """
    _run(server, "sub", options)


def _run(server: Server, command: str, options: Mapping[str, Any]) -> None:
    plan = BenchOptions(command=command, **options)
    plan.check()
    from conduit.cli.bench.runner import Bench

    call(server, Bench(plan, server).run)
