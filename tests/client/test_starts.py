"""Where to begin, as applications say it; what no server would take is refused before anything is sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from conduit.client import AsyncConduit, ClientError, StartAt
from conduit.client.starts import start_spec
from conduit.errors import InvalidRequest
from tests.client.peer import answer, http_peer


@pytest.mark.parametrize(
    ("start", "spec"),
    [
        ("new", "new"),
        (StartAt(seq=5, epoch="e"), StartAt(seq=5, epoch="e")),
        (
            datetime.fromisoformat("2026-11-28T18:00:00.1239+02:00"),
            StartAt(time="2026-11-28T16:00:00.123Z"),
        ),
        ({"time": "2026-11-28T16:00:00Z"}, StartAt(time="2026-11-28T16:00:00Z")),
    ],
)
def test_a_start_is_a_word_a_time_or_a_position(start: Any, spec: object) -> None:
    assert start_spec(start) == spec


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (datetime.fromisoformat("2026-11-28T18:00:00"), "no time zone"),
        ("2026-11-28T18:00:00Z", "'new', 'earliest', a datetime, or StartAt"),
        (5, "'new', 'earliest', a datetime, or StartAt"),
        (StartAt(time="yesterday"), "RFC 3339"),
    ],
)
async def test_any_other_start_is_refused_before_it_is_sent(start: Any, why: str) -> None:
    async with AsyncConduit("http://127.0.0.1:1") as client:
        with pytest.raises(InvalidRequest, match=why):
            client.subscribe("t", start=start)
        with pytest.raises(InvalidRequest, match=why):
            await client.subscriptions.create("s", "t", start=start)
        with pytest.raises(InvalidRequest, match=why):
            await client.subscriptions.seek("s", start)


async def test_a_change_sends_what_is_given_and_nothing_else() -> None:
    refusals = (answer(404, "no"), answer(404, "no"))
    async with http_peer(*refusals) as (url, bodies), AsyncConduit(url) as client:
        with pytest.raises(ClientError):
            await client.topics.change("t", max_age_s=None, max_bytes=5)
        with pytest.raises(ClientError):
            await client.subscriptions.change("s", max_lost=None)
    assert bodies == [{"retention": {"max_age_s": None, "max_bytes": 5}}, {"max_lost": None}]
