"""Dead letters of ephemeral subscribers: they have no subscription to go back to and are published anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import msgspec

from conduit.broker.changes import after_change
from conduit.broker.waiting import result_of
from conduit.core.message import DeadLetter, DeadPlace, Redriven
from conduit.errors import ConduitError, Conflict, NotFound
from conduit.names import own_key
from conduit.protocol.frames import PublishRequest
from conduit.storage.base import Store

# Letters that are published at a time, each with its payload.
PUBLISH_MAX_COUNT = 16

Failed = dict[str, ConduitError]
"""Why letters could not be redriven, by their ids."""

_headers = msgspec.json.Decoder(dict[str, str]).decode


class Publish(Protocol):
    """Publishes for the tenant, once for each `own_key`; `answer` gets a receipt or a ConduitError."""

    def __call__(
        self,
        tenant: str,
        request: PublishRequest,
        answer: Callable[[object], None],
        *,
        own_key: str,
    ) -> None:
        """See `Publisher.publish`."""


async def publish_anew(
    store: Store, publish: Publish, tenant: str, places: Sequence[DeadPlace], at_ms: int
) -> Failed:
    """Publish them to their topics, and mark them as redriven at `at_ms`. Returns those that could not be, or
    of which it is not known (OutcomeUnknown).

    Each is published under an idempotency key of its own, which no client can have taken. So who repeats this
    because of an error, or does the same at the same time, publishes nothing twice. A crash before the mark
    leaves a letter unmarked, and after the window of the keys it may be published once more: at least once.
    """
    failed: Failed = {}
    for start in range(0, len(places), PUBLISH_MAX_COUNT):
        some = places[start : start + PUBLISH_MAX_COUNT]
        answers = await asyncio.gather(*(_publish(store, publish, tenant, each) for each in some))
        errors = {
            place.dead_id: error
            for place, error in zip(some, answers, strict=True)
            if error is not None
        }
        done = [place.dead_id for place in some if place.dead_id not in errors]
        failed |= errors
        try:
            with after_change():
                await store.settle([], [], [Redriven(dead_id, at_ms) for dead_id in done])
        except ConduitError as error:
            failed |= dict.fromkeys(done, error)
    return failed


async def _publish(
    store: Store, publish: Publish, tenant: str, place: DeadPlace
) -> ConduitError | None:
    try:
        letter = await store.dead_get(tenant, place.dead_id)
        if letter is None:
            raise NotFound("no dead letter has this id", code="dead_letter_not_found")
        if letter.redriven_at_ms is not None and not place.is_redriven:
            raise Conflict(
                "another request has redriven it meanwhile: it was published anew",
                code="already_redriven",
            )
        own = _own_key(letter)
        await result_of(partial(publish, tenant, _request(letter), own_key=own))
    except ConduitError as error:
        return error
    return None


def _request(letter: DeadLetter) -> PublishRequest:
    return PublishRequest(
        letter.topic,
        msgspec.Raw(letter.payload),
        key=letter.key,
        headers=_headers(letter.headers) if letter.headers is not None else None,
    )


def _own_key(letter: DeadLetter) -> str:
    """The same for each repetition, until it is marked or has died again."""
    return own_key(f"redrive:{letter.dead_id}:{letter.died_at_ms}:{letter.redriven_at_ms}")
