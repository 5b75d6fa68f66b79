"""What `conduit sub` does: deliveries to lines, and acks behind them."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from shutil import get_terminal_size

import click
import msgspec

from conduit.cli.exits import Exit
from conduit.cli.lines import LineReader, LineWriter
from conduit.cli.options import SubOptions
from conduit.cli.output import bold, duration_text, json_text, note, pick, printable, size_text
from conduit.cli.width import columns
from conduit.client import (
    ApiError,
    AsyncConduit,
    ConnectionFailed,
    Delivery,
    GapAnswer,
    GapEvent,
    Stream,
)
from conduit.client.client import SubscriptionSettings
from conduit.names import is_pattern
from conduit.protocol.frames import MessageFrame

# While someone thinks, however long, the client is told so often that they are still there.
THINKING_INTERVAL_S = 60.0
QUESTION = "ack? [y]es · [n]o, again · [r]eject: "
# More of a payload than this says less, not more; -o jsonl shows all.
PAYLOAD_SHOWN_CHARS = 4000
# After a subscribe that the server could not serve.
AGAIN_S = 1.0
STDIN, STDOUT = 0, 1

_MISSING = ("topic_not_found", "subscription_not_found")
_DONE = {b"y": "acked", b"n": "to come again", b"r": "rejected"}


class Line(msgspec.Struct, omit_defaults=True):
    """A message as it is printed; `conduit pub --messages` takes it."""

    message_id: str
    topic: str
    seq: int
    epoch: str
    attempt: int
    published_at: str
    payload: msgspec.Raw
    failures: int = 0
    key: str | None = None
    headers: dict[str, str] | None = None
    subscription: str | None = None


class Subscriber:
    """One run of the command."""

    def __init__(self, options: SubOptions) -> None:
        self._options = options
        self._line = options.line
        self._is_pretty = pick(options.output, piped="jsonl") == "table"
        self._counts: Counter[str] = Counter(received=0)
        self._is_subscribed = False
        self._answers = LineReader(STDIN)
        self._lines = LineWriter(STDOUT)

    async def run(self, client: AsyncConduit) -> None:
        """Receive until told to end; then say on stderr what happened."""
        if self._options.ack == "manual" and not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise click.UsageError("--ack manual needs a terminal to ask on")
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        try:
            async with asyncio.timeout(self._options.timeout_s):
                await self._receive(client)
        except TimeoutError:
            if not self._is_subscribed:
                raise ConnectionFailed("time is up, and the server has not answered") from None
            count, received = self._options.count, self._counts["received"]
            # It may be up while the connection is closed, behind the last of them.
            if count is not None and received < count:
                note(f"error: time is up with {received:,} of {count:,} received")
                raise click.exceptions.Exit(Exit.INCOMPLETE) from None
        except asyncio.CancelledError:
            if sys.stderr.isatty():
                # Not behind the ^C that the terminal shows.
                click.echo(err=True)
            raise
        finally:
            counts = [
                f"{count:,} {'gap' if (what, count) == ('gaps', 1) else what}"
                for what, count in self._counts.items()
            ]
            if self._is_subscribed:
                note(" · ".join([*counts, duration_text(loop.time() - began_at)]))

    async def _receive(self, client: AsyncConduit) -> None:
        options = self._options
        async with AsyncExitStack() as stack:
            stream = await self._subscribe(client, stack)
            name = f" as {options.subscription}" if options.subscription else ""
            note(f"subscribed to {options.pattern}{name}")
            self._is_subscribed = True
            async for delivery in stream:
                # Written before it is acked, so that it cannot be lost in between.
                await self._lines.write(self._text(delivery.message))
                self._counts["received"] += 1
                if options.ack == "auto":
                    await delivery.ack()
                    self._counts["acked"] += 1
                elif options.ack == "manual":
                    await self._ask(delivery)
                # The client keeps alive what is referred to: `none` wants it to come again.
                del delivery
                if self._counts["received"] == options.count:
                    return

    async def _subscribe(self, client: AsyncConduit, stack: AsyncExitStack) -> Stream:
        """Subscribe, to what is there if it is; only else is it made, and said: the name may be misspelt."""
        options = self._options

        async def enter(*, create: bool) -> Stream:
            settings: SubscriptionSettings = {**options.settings, "create": create}
            stream = client.subscribe(
                options.pattern,
                options.subscription,
                start=options.start,
                on_gap=self._on_gap,
                **settings,
            )
            return await stack.enter_async_context(stream)

        try:
            return await self._until_available(lambda: enter(create=False))
        except ApiError as error:
            if not options.create or error.code not in _MISSING:
                raise
        new = []
        if not is_pattern(options.pattern) and await _is_missing(
            client.topics.get, options.pattern
        ):
            new.append(f"created topic {options.pattern}")
        name = options.subscription
        if name is not None and await _is_missing(client.subscriptions.get, name):
            new.append(f"created subscription {name}")
        stream = await enter(create=True)
        for what in new:
            note(what)
        return stream

    async def _until_available(self, enter: Callable[[], Awaitable[Stream]]) -> Stream:
        """Another node has the subscription, and cannot be reached: that does not last."""
        while True:
            try:
                return await enter()
            except ApiError as error:
                if error.code != "unavailable":
                    raise
                note(f"{error.detail} (code {error.code}); trying again")
            await asyncio.sleep(AGAIN_S)

    async def _ask(self, delivery: Delivery) -> None:
        """Settle as the person at the terminal says."""
        click.echo(QUESTION, err=True, nl=False)
        while True:
            await delivery.extend()
            try:
                async with asyncio.timeout(THINKING_INTERVAL_S):
                    lines = await self._answers.group()
            except TimeoutError:
                continue
            if lines is None:
                raise click.Abort
            answer = lines[0].strip().lower()[:1]
            if answer in (b"y", b"n", b"r"):
                break
            click.echo(QUESTION, err=True, nl=False)
        if answer == b"y":
            await delivery.ack()
        elif answer == b"n":
            await delivery.nack()
        else:
            await delivery.reject("rejected by hand")
        self._counts[_DONE[answer]] += 1

    def _on_gap(self, gap: GapEvent) -> None:
        self._counts["gaps"] += 1
        note(gap_text(gap))

    def _text(self, message: MessageFrame) -> str:
        if self._line is not None:
            return self._line.of(message)
        if self._is_pretty:
            return pretty(message, get_terminal_size().columns)
        return json_text(msgspec.convert(message, Line, from_attributes=True))


async def _is_missing(get: Callable[[str], Awaitable[object]], name: str) -> bool:
    try:
        await get(name)
    except ApiError as error:
        return error.code in _MISSING
    return False


def pretty(message: MessageFrame, width: int) -> str:
    """A message for people: a line about it, and its payload indented below."""
    size = size_text(len(message.payload))
    head = [f"{message.published_at[11:]}  {message.topic} #{message.seq}", size]
    if message.attempt > 1:
        head.insert(1, f"attempt {message.attempt}")
    if message.key is not None:
        head.append(f"key={message.key}")
    head += [f"{name}={value}" for name, value in (message.headers or {}).items()]
    text = json_text(message.payload)
    if columns(text) > width - 2:
        text = json_text(message.payload, indent=True)
    if len(text) > PAYLOAD_SHOWN_CHARS:
        text = f"{text[:PAYLOAD_SHOWN_CHARS]}… ({size}; -o jsonl shows all)"
    body = "\n".join(f"  {line}" for line in text.splitlines())
    return f"{bold(printable('  '.join(head)))}\n{body}"


def gap_text(gap: GapEvent | GapAnswer) -> str:
    """What is missing, for people."""
    if gap.from_seq is None:
        return f"gap: {gap.topic}: messages may be missing ({gap.reason})"
    if gap.reason == "log_lost" and gap.to_seq is not None:
        return _beyond_end(gap, gap.from_seq - 1, gap.to_seq + 1)
    end = " to the end of its numbering" if gap.to_seq is None else f" to #{gap.to_seq}"
    if gap.to_seq == gap.from_seq:
        end = ""
    # On the wire both have one name.
    why = "removed by retention or a purge" if gap.reason == "retention" else gap.reason
    return f"gap: {gap.topic} #{gap.from_seq}{end} cannot be given ({why})"


def _beyond_end(gap: GapEvent | GapAnswer, last: int, asked: int) -> str:
    where = f"gap: {gap.topic} ends at #{last}, and #{asked} was asked for"
    match getattr(gap, "was_published", None):
        case True:
            return f"{where}, which the log had, and has lost; what is new comes (log_lost)"
        case False:
            return f"{where}, which was not published yet; what is new comes"
        case _:
            return f"{where}; what is new comes (log_lost)"
