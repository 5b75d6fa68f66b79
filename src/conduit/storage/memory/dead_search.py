"""Finding dead letters in memory, a part in each turn of the loop: there may be very many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from conduit.core.message import DeadLetter
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.memory.dead_letters import DeadLetters

# Letters that are looked at in one turn, and bytes that are searched: a millisecond or two.
SLICE_COUNT = 1_000
SLICE_BYTES = 1 << 20


async def matching(
    letters: DeadLetters, tenant: str, which: DeadFilter, before_id: str | None, limit: int | None
) -> AsyncIterator[list[DeadLetter]]:
    """Those that match, below `before_id`, the newest first; some at a time, all together `limit`. In between
    anything may happen."""
    while True:
        ids = letters.ids(tenant, which)
        places = [] if ids is None else ids.below(before_id, SLICE_COUNT)
        found: list[DeadLetter] = []
        searched_bytes = 0
        for dead_id in places:
            before_id = dead_id
            letter = letters.by_id.get(dead_id)
            if letter is None:
                continue
            if which.q is not None:
                searched_bytes += len(letter.payload)
            if is_meant(letter, which):
                found.append(letter)
            if len(found) == limit or searched_bytes > SLICE_BYTES:
                break
        yield found
        if limit is not None:
            limit -= len(found)
        if not places or limit == 0:
            return
        await asyncio.sleep(0)


def is_meant(letter: DeadLetter, which: DeadFilter) -> bool:
    """Whether it matches."""
    return (
        (which.topic is None or letter.topic == which.topic)
        and (which.subscription is None or letter.subscription == which.subscription)
        and (which.reason is None or letter.reason == which.reason)
        and (which.from_ms is None or letter.died_at_ms >= which.from_ms)
        and (which.to_ms is None or letter.died_at_ms < which.to_ms)
        and which.is_redriven in (None, letter.redriven_at_ms is not None)
        and (which.q is None or _contains(letter, which.q))
    )


def _contains(letter: DeadLetter, text: str) -> bool:
    return (
        text.encode(errors="surrogatepass") in letter.payload
        or text in (letter.key or "")
        or text in letter.message_id
        or text in letter.reason
    )
