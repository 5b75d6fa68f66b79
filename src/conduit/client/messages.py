"""Stored messages: pages of a topic, and single ones with what became of them. Nothing is consumed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TypedDict, Unpack

from conduit.client.models import MessageDetail, MessagePage, StoredMessage
from conduit.client.rest import Rest, address
from conduit.client.text import time_text

# One page of a list; messages come with their payloads, of up to 256 KiB each.
MESSAGE_PAGE_COUNT = 100
# Subscriptions that are told of with one message; more come in further pages.
DELIVERY_PAGE_COUNT = 500


class Place(TypedDict, total=False):
    """Which messages of a topic: from a number, upwards or `newest_first` downwards; published at `from_time`
    or later, and before `to_time`. Only those with this `key`, these `headers`, and this text in the payload
    as it was published. What is left out, or None, does not restrict."""

    from_seq: int | None
    from_time: datetime | str | None
    to_time: datetime | str | None
    newest_first: bool
    key: str | None
    headers: dict[str, str] | None
    contains: str | None


class Messages:
    """`/api/topics/{name}/messages` and `/api/messages`"""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def find(self, topic: str, **which: Unpack[Place]) -> AsyncIterator[StoredMessage]:
        """The stored messages of a topic, the oldest first unless told otherwise. Raises ApiError
        `topic_not_found`."""
        while True:
            page = await self.page(topic, **which)
            for message in page.messages:
                yield message
            if page.next is None:
                return
            which["from_seq"] = page.next

    async def page(
        self, topic: str, limit: int = MESSAGE_PAGE_COUNT, **which: Unpack[Place]
    ) -> MessagePage:
        """Up to `limit` of them, 1,000 at most; its `next` is the `from_seq` of the next page. Who searches
        gets what one request has found, which may be nothing although `next` goes on."""
        query = {
            "from_seq": which.get("from_seq"),
            "from_time": time_text(which.get("from_time"), "from_time"),
            "to_time": time_text(which.get("to_time"), "to_time"),
            "order": "desc" if which.get("newest_first") else "asc",
            "limit": limit,
            "key": which.get("key"),
            "contains": which.get("contains"),
        }
        headers = which.get("headers") or {}
        query |= {f"header.{name}": value for name, value in headers.items()}
        return await self._rest.get(address("topics", topic, "messages"), MessagePage, query)

    async def get(self, message_id: str) -> MessageDetail:
        """One message, and what became of it in each durable subscription of its topic. Raises ApiError
        `message_not_found`."""
        there, limit = address("messages", message_id), {"limit": DELIVERY_PAGE_COUNT}
        page = found = await self._rest.get(there, MessageDetail, limit)
        while page.next is not None:
            page = await self._rest.get(there, MessageDetail, {**limit, "cursor": page.next})
            found.deliveries.extend(page.deliveries)
        return found
