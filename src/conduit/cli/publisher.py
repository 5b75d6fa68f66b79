"""What `conduit pub` does: messages from a source, at a pace, in order."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import click

from conduit.cli.options import STDIN_NAME, PubOptions
from conduit.cli.output import counted, json_text, note, pick
from conduit.cli.pace import Pace
from conduit.cli.progress import Show, progress
from conduit.cli.sources import Source
from conduit.client import ApiError, AsyncConduit, Receipt
from conduit.protocol.frames import PublishRequest

# What one request holds at most: half of what a server takes by default.
REQUEST_MAX_BYTES = 4 << 20


class Publisher:
    """One run of the command."""

    def __init__(self, options: PubOptions) -> None:
        self._options = options
        self._source = Source(options)
        self._format = pick(options.output, piped="jsonl")
        # On a terminal a line for each of many messages says less than a bar.
        self._shows_receipts = not (
            options.is_many and self._format == "table" and options.output is None
        )
        # A bar would be drawn over what somebody types, and over receipts.
        self._shows_bar = (
            options.is_many
            and not (STDIN_NAME in options.sources and sys.stdin.isatty())
            and not (self._shows_receipts and sys.stdout.isatty())
        )
        self._known_topics: set[str] = set()
        self._published_count = 0
        self._duplicate_count = 0

    async def run(self, client: AsyncConduit) -> None:
        """Publish everything; then, or when it fails or is interrupted, say how far it came."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        pace = Pace(self._options.rate, self._options.batch, began_at)
        try:
            with progress("publishing", wanted=self._shows_bar) as show:
                await self._publish_all(client, pace, show)
            if not self._published_count:
                note(f"nothing is published: {self._source.shown} had no message")
        finally:
            if self._options.is_many and self._published_count:
                note(self._summary(loop.time() - began_at, pace))
            if self._source.replaced_count:
                texts = counted(self._source.replaced_count, "text")
                note(f"{texts} had bytes that are not UTF-8; \ufffd is in their place")

    async def _publish_all(self, client: AsyncConduit, pace: Pace, show: Show) -> None:
        loop = asyncio.get_running_loop()
        groups = self._source.messages()
        while True:
            waiting_since = loop.time()
            group = await anext(groups, None)
            if group is None:
                return
            pace.starve(loop.time() - waiting_since)
            at = 0
            while at < len(group):
                await asyncio.sleep(pace.wait_s(loop.time()))
                part = one_request(group, at, pace.due_count(loop.time()))
                pace.send(len(part), loop.time())
                self._show(await self._send(client, part))
                at += len(part)
                show(self._published_count, self._options.count)

    async def _send(
        self, client: AsyncConduit, part: Sequence[PublishRequest]
    ) -> Sequence[Receipt]:
        if self._options.create:
            for request in part:
                await self._create(client, request.topic)
        if len(part) > 1:
            return await client.publish_batch(part)
        request = part[0]
        receipt = await client.publish(
            request.topic,
            request.payload,
            key=request.key,
            headers=request.headers,
            idempotency_key=request.idempotency_key,
        )
        return (receipt,)

    async def _create(self, client: AsyncConduit, topic: str) -> None:
        if topic in self._known_topics:
            return
        try:
            await client.topics.create(topic)
            note(f"created topic {topic}")
        except ApiError as error:
            if error.code != "topic_exists":
                raise
        self._known_topics.add(topic)

    def _show(self, receipts: Sequence[Receipt]) -> None:
        self._published_count += len(receipts)
        self._duplicate_count += sum(receipt.duplicate for receipt in receipts)
        if self._shows_receipts:
            line = json_text if self._format != "table" else receipt_line
            click.echo("\n".join(map(line, receipts)))

    def _summary(self, took_s: float, pace: Pace) -> str:
        parts = [f"{self._published_count:,} published in {took_s:.1f} s"]
        if took_s > 0:
            parts.append(f"{self._published_count / took_s:,.0f}/s")
        if self._duplicate_count:
            parts.append(f"{self._duplicate_count:,} known already")
        if self._options.rate is not None:
            parts.append(f"at most {pace.behind_s * 1000:,.0f} ms behind schedule")
        return " · ".join(parts)


def one_request(group: list[PublishRequest], at: int, count: int) -> list[PublishRequest]:
    """Up to `count` messages of the group from `at` on, as far as they fit; at least one."""
    size_bytes = 0
    for end in range(at, min(at + count, len(group))):
        size_bytes += len(group[end].payload)
        if size_bytes > REQUEST_MAX_BYTES and end > at:
            return group[at:end]
    return group[at : at + count]


def receipt_line(receipt: Receipt) -> str:
    """A receipt for people."""
    notes = "  duplicate" if receipt.duplicate else "" if receipt.durable else "  in memory"
    return f"published  {receipt.topic} #{receipt.seq}  {receipt.message_id}{notes}"
