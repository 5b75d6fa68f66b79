"""`conduit sub`"""

from __future__ import annotations

import click

from conduit.cli.completion import subscriptions, topics
from conduit.cli.groups import Command
from conduit.cli.options import SubOptions
from conduit.cli.output import with_output
from conduit.cli.server import Server
from conduit.cli.server_options import with_server
from conduit.cli.session import call
from conduit.cli.values import DURATION, START, TEMPLATE, TIMEOUT, Whole


@click.command(cls=Command)
@click.argument("pattern", shell_complete=topics)
@click.option(
    "--subscription",
    metavar="NAME",
    shell_complete=subscriptions,
    help="The durable subscription; created if new.",
)
@click.option(
    "--from",
    "start",
    type=START,
    help="Where it begins if it is new: new (the default), earliest, SEQ, SEQ@EPOCH, a time, or -1h.",
)
@click.option("--count", type=Whole(1), help="End after so many.")
@click.option(
    "--timeout",
    "timeout_s",
    type=TIMEOUT,
    help="End after this time; with exit code 8 if --count is not reached.",
)
@click.option(
    "--ack",
    type=click.Choice(["auto", "manual", "none"]),
    default="auto",
    show_default=True,
    help="auto: each once it is printed; manual: asks; none: never, so they come again.",
)
@click.option(
    "--no-create",
    "create",
    is_flag=True,
    flag_value=False,
    default=True,
    help="End with an error if the topic or the subscription does not exist.",
)
@click.option(
    "--order",
    type=click.Choice(["publish", "strict"]),
    help="strict: the next message waits until the one before is settled.",
)
@click.option("--max-in-flight", type=Whole(1, 10_000), help="Most that is unacked; 256.")
@click.option(
    "--ack-wait",
    "ack_wait_s",
    type=DURATION,
    help="Time of the first attempt; 1s, or 30s with --subscription.",
)
@click.option("--max-attempts", type=Whole(1, 100), help="A dead letter after so many failures; 5.")
@click.option("--raw", is_flag=True, help="Print the payload alone; as --format '{payload}'.")
@click.option(
    "--format",
    "template",
    type=TEMPLATE,
    metavar="TEXT",
    help="Print this line for each message: '{topic} #{seq} {text}'. {text} is the payload, as text if "
    "it is a JSON string.",
)
@with_output(piped="jsonl")
@with_server
def sub(server: Server, **options: object) -> None:
    """Receive messages of PATTERN.

    It is a topic, which is created if it does not exist; or has * for one token, or > at its end for
    one or more.

    \b
      conduit sub orders
      conduit sub 'orders.>' --from -1h
      conduit sub orders --subscription billing
      conduit sub orders --from earliest --count 10 --raw | jq .total
      conduit sub logs --format '{published_at} {text}'

    Lost connections are renewed and nothing is missed. If the topic or the subscription is deleted, the
    command ends with exit code 3. A message is acked after its line is written,
    so none is lost between here and the reader of a pipe. Ctrl-C ends it.
    """
    plan = SubOptions(**options)  # type: ignore[arg-type]  # the names are those of the options above
    plan.check()
    from conduit.cli.subscriber import Subscriber

    call(server, Subscriber(plan).run)
