"""`conduit pub`"""

from __future__ import annotations

from dataclasses import dataclass

import click

from conduit.cli.output import with_output
from conduit.cli.session import call, with_url
from conduit.cli.values import HEADER


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to publish, and how."""

    topic: str | None
    data: str | None
    file: str | None
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
    def is_stdin(self) -> bool:
        """Whether the messages come from standard input."""
        return self.data == "-" or self.file == "-"

    @property
    def is_many(self) -> bool:
        """Whether there can be more than one message."""
        return self.file is not None or self.is_stdin or self.count is not None

    def check(self) -> None:
        """Raise click.UsageError for options that do not fit together."""
        if self.messages:
            if self.topic or self.text or self.key or self.headers or not self.file:
                raise click.UsageError(
                    "--messages takes --file, and neither TOPIC, --text, --key nor -H"
                )
        elif self.topic is None:
            raise click.UsageError("TOPIC is missing")
        elif (self.data is None) == (self.file is None):
            raise click.UsageError("say what to publish: DATA, or - for standard input, or --file")
        if self.count is not None and (self.file is not None or self.is_stdin):
            raise click.UsageError("--count repeats DATA; it does not go with lines")
        if self.idempotency_key is not None and self.is_many:
            raise click.UsageError("--idempotency-key is for one message")


@click.command()
@click.argument("topic", required=False)
@click.argument("data", required=False)
@click.option("--file", metavar="FILE", help="One JSON value per line; - is standard input.")
@click.option("--text", is_flag=True, help="DATA or each line is text; sent as a JSON string.")
@click.option(
    "--messages",
    is_flag=True,
    help="Lines are whole messages, as `sub -o jsonl` prints them. Instead of TOPIC.",
)
@click.option("--count", type=click.IntRange(1), help="Publish DATA so many times.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="So many per second. What falls due during a request goes together in the next.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Lines that are there go together, up to so many in one request, all or none.",
)
@click.option("--key", help="Key of the messages.")
@click.option("-H", "--header", "headers", type=HEADER, multiple=True, help="May be repeated.")
@click.option("--idempotency-key", metavar="KEY", help="Publishing it again has no effect.")
@click.option("--create", is_flag=True, help="Create the topic if it does not exist.")
@with_output(piped="jsonl")
@with_url
def pub(url: str, **options: object) -> None:
    """Publish DATA, which is JSON, to TOPIC.

    \b
      conduit pub orders '{"id": 42}'
      conduit pub logs --text 'disk is full'
      tail -F app.log | conduit pub logs - --text
      conduit pub orders --file orders.jsonl --rate 200

    DATA - is standard input: one JSON value per line, published as the lines come. Each message gives
    a receipt on stdout; on a terminal many of them give a summary instead, unless -o is there.
    """
    plan = Options(**options)  # type: ignore[arg-type]  # the names are those of the options above
    plan.check()
    from conduit.cli.publisher import Publisher

    call(url, Publisher(plan).run)
