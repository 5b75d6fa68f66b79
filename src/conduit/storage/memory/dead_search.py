"""Finding dead letters in memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from conduit.core.message import DeadLetter
from conduit.core.scan import finder
from conduit.storage.dead import Look, Span, topics_meant
from conduit.storage.dead_letters import DeadFilter, DeadGroup, Found
from conduit.storage.memory.dead_letters import DeadLetters

# What is searched in one turn of the loop, which is one call: a millisecond or two.
SEARCH_MAX_BYTES = 1 << 20


def matching(letters: DeadLetters, look: Look) -> Found[DeadLetter]:
    """See `Store.dead_list`; not copies."""
    span, seen = _seen(letters, look)
    return span.found(list(islice(seen, look.limit)), look.limit)


def groups(letters: DeadLetters, look: Look) -> Found[DeadGroup]:
    """See `Store.dead_groups`."""
    span, seen = _seen(letters, look)
    found: dict[tuple[str, str], DeadGroup] = {}
    for letter in seen:
        at_ms, is_redriven = letter.died_at_ms, letter.redriven_at_ms is not None
        one = DeadGroup(
            letter.topic, letter.reason, 1, int(is_redriven), at_ms, at_ms, letter.dead_id
        )
        known = found.setdefault((letter.topic, letter.reason), one)
        if known is not one:
            known.add(one)
    return span.grouped(found.values())


def _seen(letters: DeadLetters, look: Look) -> tuple[Span, Iterator[DeadLetter]]:
    """What is looked at, and those of it that match."""
    if look.which.q is not None:
        look = look._replace(max_bytes=min(look.max_bytes or SEARCH_MAX_BYTES, SEARCH_MAX_BYTES))
    places = letters.ids(look.tenant, look.which)
    ids = [] if places is None else places.below(look.before_id, look.max_count)
    # One that has gone keeps its place.
    span = look.span([(dead_id, _size(letters.by_id.get(dead_id)), "") for dead_id in ids])
    topics = (letters.by_id[dead_id].topic for dead_id in ids if dead_id in letters.by_id)
    meant = topics_meant(look.which, topics)
    kept = None if meant is None else frozenset(meant)

    def seen() -> Iterator[DeadLetter]:
        for dead_id in ids:
            if span.low_id is not None and dead_id < span.low_id:
                return
            letter = letters.by_id.get(dead_id)
            if letter is None or (kept is not None and letter.topic not in kept):
                continue
            if is_meant(letter, look.which):
                yield letter

    return span, seen()


def _size(letter: DeadLetter | None) -> int:
    return 0 if letter is None else letter.size_bytes


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
    is_in = finder(text)
    return bool(
        finder(text.encode(errors="surrogatepass"))(letter.payload)
        or is_in(letter.key or "")
        or is_in(letter.message_id)
        or is_in(letter.reason)
    )
