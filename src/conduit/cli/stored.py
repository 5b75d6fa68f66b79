"""Stored messages for people: pages of a topic, and what became of one message."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from shutil import get_terminal_size

import click

from conduit.cli.output import (
    Columns,
    bold,
    counted,
    json_text,
    note,
    pick,
    printable,
    show_all,
    show_one,
    size_text,
    spelled_pairs,
)
from conduit.cli.progress import progress
from conduit.cli.width import columns, cut
from conduit.client import AsyncConduit, DeliveryState, MessageDetail, StoredMessage
from conduit.client.messages import MESSAGE_PAGE_COUNT, Place

# More of a payload than this says less, not more, in a list; `conduit message get` shows all.
PAYLOAD_SHOWN_CHARS = 4000


async def purge(client: AsyncConduit, topic: str) -> int:
    """Remove all messages that are stored now; how many they were."""
    purged_count = 0
    with progress("purging") as show:

        def on_step(count: int, all_count: int) -> None:
            nonlocal purged_count
            purged_count = count
            show(count, all_count)

        try:
            return await client.topics.purge(topic, on_step=on_step)
        except BaseException:
            if purged_count:
                note(f"purged {counted(purged_count, 'message')} so far")
            raise


async def browse(
    client: AsyncConduit, topic: str, limit: int, which: Place
) -> tuple[list[StoredMessage], bool]:
    """The first `limit` of them, and whether it was interrupted before it had all; says on stderr where there
    are more."""
    found: list[StoredMessage] = []
    is_search = any(which.get(name) for name in ("key", "headers", "contains"))
    which, is_interrupted = which.copy(), False
    with progress("searching", wanted=is_search) as show:
        while not is_interrupted:
            count = min(limit - len(found), MESSAGE_PAGE_COUNT)
            try:
                page = await client.messages.page(topic, count, **which)
            except asyncio.CancelledError:
                # What was found by then is shown all the same.
                is_interrupted = True
                break
            found += page.messages
            show(len(found), limit)
            if page.next is None:
                return found, False
            which["from_seq"] = page.next
            if len(found) >= limit:
                break
    so_far = f"the first {limit:,}; --limit gives more" if not is_interrupted else "not all"
    note(f"{so_far}{_on(which)}")
    return found, is_interrupted


def _on(which: Place) -> str:
    """How to go on there, if `--from` is free for it."""
    following = which.get("from_seq")
    if following is None:
        return ""
    if not which.get("newest_first"):
        return f", and `--from {following} --oldest` goes on"
    return "" if which.get("from_time") else f", and `--from {following} --newest` goes on"


def show_messages(messages: Sequence[StoredMessage], output: str | None) -> None:
    """A list of messages, in the wanted format; for people each is a line about it, and its payload."""
    if pick(output, piped="json") != "table" or not messages:
        show_all(messages, {}, output)
        return
    width = get_terminal_size().columns if sys.stdout.isatty() else None
    for message in messages:
        click.echo(pretty(message, width))


def pretty(message: StoredMessage, width: int | None) -> str:
    """A message for people; on a terminal its lines are cut to the width, never its number, time and id."""
    head = f"#{message.seq}  {message.published_at}  {message.message_id}"
    about = [size_text(len(message.payload))]
    if message.key is not None:
        about.append(f"key={message.key}")
    about += [f"{name}={value}" for name, value in (message.headers or {}).items()]
    rest = printable("  ".join(about))
    line = f"{head}  {rest}"
    if width is not None and columns(line) > width:
        line = f"{head}\n  {cut(rest, width - 2)}"
    payload = json_text(message.payload)
    if len(payload) > PAYLOAD_SHOWN_CHARS:
        payload = payload[:PAYLOAD_SHOWN_CHARS] + "…"
    body = cut(payload, None if width is None else width - 2)
    return f"{bold(line)}\n  {body}"


def show_message(message: MessageDetail, output: str | None) -> None:
    """One message, with what became of it in each durable subscription."""
    show_one(message, _FIELDS, output)
    if pick(output, piped="json") == "table" and message.deliveries:
        click.echo()
        show_all(message.deliveries, _DELIVERIES, "table")


_FIELDS: Columns[MessageDetail] = {
    "id": lambda message: message.message_id,
    "topic": lambda message: message.topic,
    "seq": lambda message: message.seq,
    "published": lambda message: message.published_at,
    "size": lambda message: size_text(len(message.payload)),
    "key": lambda message: message.key,
    "headers": lambda message: spelled_pairs(message.headers),
    "payload": lambda message: json_text(message.payload),
}

# The server has one word for both: of a place behind a message nobody knows more.
_STATES = {"acked": "acked, or before its start"}


def _state_text(delivery: DeliveryState) -> str:
    """Its state; of what was redriven that it was."""
    if delivery.redriven_at is not None:
        return f"redriven, {delivery.state}"
    return _STATES.get(delivery.state, delivery.state)


_DELIVERIES: Columns[DeliveryState] = {
    "SUBSCRIPTION": lambda delivery: delivery.subscription,
    "STATE": lambda delivery: _state_text(delivery),
    "ATTEMPTS": lambda delivery: delivery.attempts,
    "REASON": lambda delivery: delivery.last_reason,
    "NEXT": lambda delivery: delivery.next_attempt_at,
}
