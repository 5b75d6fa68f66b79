"""What `conduit bench` does: the processes of a run, the bar beside them, and the result."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import click

from conduit.cli.bench import result as results
from conduit.cli.bench import text
from conduit.cli.bench.bar import Show, bar
from conduit.cli.bench.conditions import conditions, lines
from conduit.cli.bench.figures import Outcome, of_reading, of_run, result_of, work_of
from conduit.cli.bench.options import BenchOptions
from conduit.cli.bench.place import subscription_for, target, topic_for
from conduit.cli.exits import Exit
from conduit.cli.output import json_text, note, pick
from conduit.cli.server import Server
from conduit.client import AsyncConduit, ClientError
from conduit.client.models import Topic
from conduit.errors import ConduitError
from conduit.load import catching_up, publishing, receiving
from conduit.load.catching_up import CaughtUp, Own, Reading
from conduit.load.plan import LEAD_S, RECEIVED, SENT, STOP, Plan
from conduit.load.process import Counters, Load, counters
from conduit.load.publishing import Sent
from conduit.load.receiving import Received
from conduit.load.system import Conduit

T = TypeVar("T")

# After the last send so much longer it may take until everything has come.
DRAIN_S = 10.0
# Longer than the first wait for an ack of an ephemeral subscriber, so that needless redeliveries are seen.
QUIET_S, QUIET_AFTER_ACKS_S = 0.3, 1.5
# Of a durable one that is 30 s: a run does not wait for it.
_LOOK_EVERY_S = 0.1
# What was published is read afterwards; who reads less in a second is not waited for.
READ_BACK_MIN_PER_S = 2_000
# For a server to say what it is.
ANSWER_WITHIN_S = 10.0
# For processes to start and their connections to be made.
READY_WITHIN_S = 120.0


class Bench:
    """One run of the command."""

    def __init__(self, options: BenchOptions, server: Server) -> None:
        self._options = options
        self._at = target(server.target, allow_remote=options.allow_remote)
        self._format = pick(options.output, piped="json")
        self._old = None if options.compare is None else results.read(options.compare)
        self._cut_short = False
        if self._old is not None:
            results.check_same_work(self._old, options.command, work_of(options))

    async def run(self, client: AsyncConduit) -> None:
        """Measure, print, and end with the exit code of what was found. Cancelling cuts it short once it
        sends; what was measured is printed then."""
        said = await self._conditions(client)
        for line in lines(said, work_of(self._options)):
            (text.show if self._format == "table" else note)(line)
        async with AsyncExitStack() as stack:
            topic = await stack.enter_async_context(topic_for(client, self._options))
            await stack.enter_async_context(subscription_for(client, self._options))
            outcome = await self._measure(client, topic)
        result = result_of(self._options, outcome, said, cut_short=self._cut_short)
        self._show(result)
        if self._old is not None:
            results.check_same_read(self._old, result)
        if self._cut_short:
            raise click.exceptions.Exit(Exit.INTERRUPTED)
        if not result.is_good:
            raise click.exceptions.Exit(Exit.CHECK_FAILED)

    async def _conditions(self, client: AsyncConduit) -> dict[str, Any]:
        where = f"{self._at.host}:{self._at.port}"
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                said = conditions(await client.health(), where)
                await client.check_ready()
        except TimeoutError:
            raise ConduitError(
                f"{where} has not said within {ANSWER_WITHIN_S:.0f} s whether it is healthy",
                code="connection_failed",
            ) from None
        return said

    async def _measure(self, client: AsyncConduit, topic: str) -> Outcome:
        with bar() as show:
            if self._options.command == "sub":
                return of_reading(await self._read(client, topic, show))
            plan = self._plan(topic)
            before = await client.topics.get(topic)
            sent, received = await self._load(plan, show)
            read = None
            if received is None:
                read = await self._read_back(client, before, (plan, sent), show)
            return of_run(plan, sent, received, read)

    def _show(self, result: results.Result) -> None:
        if self._old is not None:
            for line in results.other_conditions(self._old, result):
                note(f"compared with other conditions: {line}")
            if results.is_same_read(self._old, result):
                result.compared = results.compare(self._old, result)
        if self._format == "table":
            click.echo()
            for line in text.lines(result):
                text.show(line)
            if result.compared is not None:
                click.echo()
                for line in text.comparison(result.compared):
                    text.show(line)
        else:
            click.echo(json_text(result, indent=self._format == "json"))
            for line in (*result.problems, *result.slo_missed):
                note(line)

    # Publishers and subscribers ---------------------------------------------------------------------

    def _plan(self, topic: str) -> Plan:
        options = self._options
        acks = options.ack or options.subscription is not None
        return Plan(
            system=Conduit(self._at, self._at),
            topic=topic,
            rate=options.rate,
            seconds=options.duration_s,
            warm_up_s=options.warmup_s,
            publishers=options.publishers,
            subscribers=options.subscribers,
            size_bytes=options.size,
            run=f"{time.monotonic_ns():x}",
            acks=acks,
            subscription=options.subscription,
            max_messages=options.max_messages,
            is_timed=True,
            quiet_s=QUIET_AFTER_ACKS_S if acks else QUIET_S,
            drain_s=DRAIN_S,
        )

    async def _load(self, plan: Plan, show: Show) -> tuple[Sent, Received | None]:
        board = plan.board()
        async with AsyncExitStack() as stack:
            receiver = None
            if plan.subscribers:
                receiver = stack.enter_context(Load(receiving.receive, plan, board))
                await _ready(receiver)
            publisher = stack.enter_context(Load(publishing.publish, plan, board))
            await _ready(publisher)
            if receiver is not None:
                receiver.go()
            publisher.go()
            begin = time.monotonic() + LEAD_S

            def look() -> None:
                done_s = time.monotonic() - begin
                if self._cut_short:
                    return
                if done_s < plan.warm_up_s:
                    show("warm-up", done_s, plan.warm_up_s, board[SENT])
                else:
                    show("measuring", done_s - plan.warm_up_s, plan.seconds, board[SENT])

            sent = await self._result(publisher, board, look, Sent)
            received: Received | None = None
            if receiver is not None:
                received = await self._result(receiver, board, look, Received)
            return sent, received

    async def _result(
        self, load: Load, board: Counters, look: Callable[[], None], kind: type[T]
    ) -> T:
        """What the load returns; meanwhile the bar is kept current. Cancelling has it end early."""
        while not load.has_news():
            look()
            try:
                await asyncio.sleep(_LOOK_EVERY_S)
            except asyncio.CancelledError:
                self._cut()
                board[STOP] = 1
        result = load.result()
        assert isinstance(result, kind)
        return result

    def _cut(self) -> None:
        """Have what is measured so far be the end."""
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        self._cut_short = True
        if sys.stderr.isatty():
            # Not behind the ^C that the terminal shows.
            click.echo(file=sys.stderr)
        note("ending; what was measured so far follows")

    # One that reads ---------------------------------------------------------------------------------

    async def _read(self, client: AsyncConduit, topic: str, show: Show) -> CaughtUp:
        options = self._options
        found = await client.topics.get(topic)
        reading = Reading(
            self._at,
            topic,
            _plain(options.start.at),
            found.last_seq,
            options.subscribers,
            options.duration_s,
            options.subscription,
            options.max_messages,
        )
        return await self._caught_up(reading, show)

    async def _read_back(
        self, client: AsyncConduit, before: Topic, run: tuple[Plan, Sent], show: Show
    ) -> CaughtUp | str:
        """What the topic has now of the run; or why that is not known."""
        plan, sent = run
        try:
            found = await _found(client, plan.topic)
            if found.epoch != before.epoch:
                return "it was deleted meanwhile, and made anew"
            reading = Reading(
                self._at,
                plan.topic,
                {"seq": before.last_seq + 1, "epoch": before.epoch},
                found.last_seq,
                subscribers=1,
                seconds=DRAIN_S + (found.last_seq - before.last_seq) / READ_BACK_MIN_PER_S,
                own=Own(plan.fields, sent.settled),
            )
            return await self._caught_up(reading, show)
        except ConduitError as error:
            return error.detail
        except asyncio.CancelledError:
            self._cut()
            return "it was ended before"

    async def _caught_up(self, reading: Reading, show: Show) -> CaughtUp:
        board = counters(RECEIVED + 1)
        began = time.monotonic()
        with Load(catching_up.catch_up, reading, board) as load:
            await _ready(load)
            load.go()

            def look() -> None:
                show("reading", time.monotonic() - began, reading.seconds, board[RECEIVED])

            return await self._result(load, board, look, CaughtUp)


async def _found(client: AsyncConduit, topic: str) -> Topic:
    """The topic after the run; a server that has ended may come again. Raises ClientError."""
    until = time.monotonic() + DRAIN_S
    while True:
        try:
            return await client.topics.get(topic)
        except ClientError as error:
            if not error.retryable or time.monotonic() > until:
                raise
        await asyncio.sleep(_LOOK_EVERY_S)


async def _ready(load: Load) -> None:
    """Raises what the load has raised."""
    for _ in range(int(READY_WITHIN_S / _LOOK_EVERY_S)):
        if load.has_news():
            break
        await asyncio.sleep(_LOOK_EVERY_S)
    else:
        raise ConduitError(
            f"the connections of the run were not made within {READY_WITHIN_S:.0f} s",
            code="connection_failed",
        )
    load.wait_ready(within_s=0)


def _plain(start: object) -> object:
    """As JSON has it."""
    import msgspec

    return msgspec.to_builtins(start)
