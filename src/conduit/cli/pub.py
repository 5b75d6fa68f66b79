"""`conduit pub`"""

from __future__ import annotations

import click

from conduit.cli.completion import topics
from conduit.cli.groups import Command
from conduit.cli.options import PubOptions
from conduit.cli.output import with_output
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call
from conduit.cli.values import HEADER, RATE, Whole


@click.command(cls=Command)
@click.argument("topic", required=False, shell_complete=topics)
@click.argument("data", required=False)
@click.option(
    "--file",
    "files",
    metavar="FILE",
    multiple=True,
    help="A JSON value, or one per line; - is standard input. May be repeated.",
)
@click.option("--text", is_flag=True, help="DATA or each line is text; sent as a JSON string.")
@click.option(
    "--messages",
    is_flag=True,
    help="Lines are whole messages, as `sub -o jsonl` prints them. Instead of TOPIC.",
)
@click.option("--count", type=Whole(1), help="Publish DATA so many times.")
@click.option(
    "--rate",
    type=RATE,
    help="So many per second. What falls due during a request goes together in the next.",
)
@click.option(
    "--batch",
    type=Whole(1, 1000),
    default=100,
    show_default=True,
    help="Lines that are there go together, up to so many in one request, all or none.",
)
@click.option("--key", help="Key of the messages.")
@click.option(
    "-H", "--header", "headers", type=HEADER, multiple=True, help="One header; may be repeated."
)
@click.option("--idempotency-key", metavar="KEY", help="Publishing it again has no effect.")
@click.option("--create", is_flag=True, help="Create the topic if it does not exist.")
@with_output(piped="jsonl")
@with_server
def pub(server: Server, **options: object) -> None:
    """Publish DATA, which is JSON, to TOPIC.

    \b
      conduit pub orders '{"id": 42}'
      conduit pub logs --text 'disk is full'
      tail -F app.log | conduit pub logs - --text
      conduit pub orders --file orders.jsonl --rate 200
      conduit pub orders --file order-1.json --file order-2.json

    DATA - is standard input: one JSON value per line, published as the lines come, or one value on several
    lines. Each message gives
    a receipt on stdout; on a terminal many of them give a summary instead, unless -o is there.
    """
    plan = PubOptions(**options)  # type: ignore[arg-type]  # the names are those of the options above
    plan.check()
    from conduit.cli.publisher import Publisher

    call(server, Publisher(plan).run)
