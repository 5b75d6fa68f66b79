"""Streams that sign in: with a key, and with tokens that expire; and what limits do to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from conduit.cli.exits import Exit, exit_for
from conduit.client import ApiError, AsyncConduit, attachment, renewal, resume
from conduit.client.connection import Connection
from conduit.protocol.frames import ClientFrame
from tests.client.peer import Peer, answer, http_peer, peers, problem
from tests.client.test_credential import KEY, in_turn
from tests.client.test_publish import RECEIPT
from tests.client.test_stream import take


def expires_in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@asynccontextmanager
async def upgrades(*handles: Callable[[Peer], object] | int) -> AsyncIterator[tuple[str, list]]:
    """A server whose upgrades are refused with these statuses, or followed by these scripts, in order."""
    left, tokens = list(handles), []

    def answer_upgrade(socket: ServerConnection, request: Request) -> Response | None:
        tokens.append(request.headers["Authorization"].split()[1])
        if not isinstance(left[0], int):
            return None
        status = left.pop(0)
        code = {401: "unauthenticated", 403: "forbidden"}[status]
        return socket.respond(status, f'{{"code":"{code}","detail":"no"}}')

    async def handle(socket: ServerConnection) -> None:
        await left.pop(0)(Peer(socket))

    async with serve(handle, "127.0.0.1", 0, process_request=answer_upgrade) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", tokens
    assert not left


async def good(peer: Peer) -> None:
    """Signed in, with one message."""
    frame = await peer.expect("auth")
    await peer.send("authenticated", tenant="default", ref=frame["ref"])
    await peer.subscribed(seq=0, epoch="e", recovered=True)
    await peer.deliver(1)
    await peer.left(acks=True)


def closing(code: int) -> Callable[[Peer], object]:
    """Signed in, and then closed."""

    async def script(peer: Peer) -> None:
        frame = await peer.expect("auth")
        await peer.send("authenticated", tenant="default", ref=frame["ref"])
        await peer.subscribed(seq=0, epoch="e", recovered=True)
        await peer.close(code)

    return script


@pytest.mark.parametrize(("status", "code"), [(401, "unauthenticated"), (403, "forbidden")])
async def test_a_key_that_is_refused_is_told_on_entering(status: int, code: str) -> None:
    async with upgrades(status) as (url, _), AsyncConduit(url, api_key=KEY) as client:
        with pytest.raises(ApiError) as raised:
            await client.subscribe("t").__aenter__()
    assert (raised.value.code, raised.value.status) == (code, status)
    assert not raised.value.retryable


@pytest.mark.parametrize(
    ("close", "code", "status"), [(4501, "unauthenticated", 401), (4503, "forbidden", 403)]
)
@pytest.mark.parametrize("is_told", [True, False])
async def test_a_key_that_is_revoked_ends_the_stream(
    close: int, code: str, status: int, is_told: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed()
        if is_told:
            await peer.send("error", code=code, message="the key is gone")
        await peer.close(close)

    async with (
        peers(script) as url,
        AsyncConduit(url, api_key=KEY) as client,
        client.subscribe("t") as stream,
    ):
        for _ in range(2):
            with pytest.raises(ApiError) as raised:
                await anext(stream)
    assert (raised.value.code, raised.value.status) == (code, status)
    assert ("the key is gone" if is_told else str(close)) in raised.value.detail


@pytest.mark.parametrize("status", [401, 403])
async def test_of_a_function_another_token_is_tried_on_entering(status: int) -> None:
    async with (
        upgrades(status, good) as (url, tokens),
        AsyncConduit(url, api_key=in_turn("one", "two")) as client,
        client.subscribe("t") as stream,
    ):
        assert await take(stream, 1) == [1]
    assert tokens == ["one", "two"]


async def test_and_one_only() -> None:
    async with (
        upgrades(401, 401) as (url, tokens),
        AsyncConduit(url, api_key=in_turn("one", "two", "three")) as client,
    ):
        with pytest.raises(ApiError):
            await client.subscribe("t").__aenter__()
    assert tokens == ["one", "two"]


@pytest.mark.parametrize("code", [4501, 4503])
async def test_a_stream_whose_token_expired_goes_on_with_another(code: int) -> None:
    async with (
        upgrades(closing(code), good) as (url, tokens),
        AsyncConduit(url, api_key=in_turn("one", "two")) as client,
        client.subscribe("t") as stream,
    ):
        assert await take(stream, 1) == [1]
    assert tokens == ["one", "two"]


async def test_but_not_if_that_one_is_closed_at_once_as_well() -> None:
    async with (
        upgrades(closing(4501), closing(4501)) as (url, tokens),
        AsyncConduit(url, api_key=in_turn("one", "two", "three")) as client,
        client.subscribe("t") as stream,
    ):
        with pytest.raises(ApiError) as raised:
            await anext(stream)
    assert (raised.value.code, tokens) == ("unauthenticated", ["one", "two"])


async def test_after_a_connection_that_held_there_is_another_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attachment, "STABLE_S", 0.0)
    async with (
        upgrades(closing(4501), closing(4501), good) as (url, tokens),
        AsyncConduit(url, api_key=in_turn("one", "two", "three")) as client,
        client.subscribe("t") as stream,
    ):
        assert await take(stream, 1) == [1]
    assert tokens == ["one", "two", "three"]


async def test_a_function_that_fails_for_a_while_does_not_end_a_stream() -> None:
    given = iter(["one", RuntimeError(), RuntimeError(), "two"])

    async def token() -> str:
        item = next(given)
        if isinstance(item, Exception):
            raise item
        return item

    async with (
        upgrades(closing(1012), good) as (url, tokens),
        AsyncConduit(url, api_key=token) as client,
        client.subscribe("t") as stream,
    ):
        assert await take(stream, 1) == [1]
    assert tokens == ["one", "two"]


async def test_an_open_stream_signs_in_again_before_its_token_expires(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resume, "RENEW_MIN_S", 0.0)

    async def script(peer: Peer) -> None:
        for number, token in enumerate(("one", "two", "three")):
            frame = await peer.expect("auth")
            assert frame == {"type": "auth", "token": token, "ref": "auth"}
            left_s = 3600 if token == "three" else 0.1
            await peer.send("authenticated", tenant="t", ref="auth", expires_at=expires_in(left_s))
            if not number:
                await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(1)
        await peer.left(acks=True)

    async with (
        peers(script) as url,
        AsyncConduit(url, api_key=in_turn("one", "two", "three")) as client,
        client.subscribe("t") as stream,
    ):
        assert await take(stream, 1) == [1]


async def test_a_function_that_fails_then_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resume, "RENEW_MIN_S", 0.0)
    monkeypatch.setattr(renewal, "AGAIN_AFTER_S", 0.0)

    async def script(peer: Peer) -> None:
        await peer.expect("auth")
        await peer.send("authenticated", tenant="t", ref="auth", expires_at=expires_in(0.1))
        await peer.subscribed(seq=0, epoch="e")
        assert (await peer.expect("auth"))["token"] == "two"
        await peer.deliver(1)
        await peer.left(acks=True)

    given = iter(["one", "", "two"])
    async with (
        peers(script) as url,
        AsyncConduit(url, api_key=lambda: next(given)) as client,
        client.subscribe("t") as stream,
    ):
        assert await take(stream, 1) == [1]
    assert "trying again" in caplog.text


async def test_a_stream_with_a_key_stays_without_auth_frames() -> None:
    async def script(peer: Peer) -> None:
        await peer.send("authenticated", tenant="t", expires_at=expires_in(0.1))
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(1)
        await peer.left(acks=True)

    async with (
        peers(script) as url,
        AsyncConduit(url, api_key=KEY) as client,
        client.subscribe("t") as stream,
    ):
        assert await take(stream, 1) == [1]


# Limits ---------------------------------------------------------------------------------------------


async def test_the_error_names_the_limit() -> None:
    body = {"code": "limit_reached", "detail": "too many", "limit": "topics"}
    async with http_peer(answer(403, body)) as (url, _), AsyncConduit(url) as client:
        with pytest.raises(ApiError) as raised:
            await client.topics.create("t")
    assert (raised.value.code, raised.value.limit) == ("limit_reached", "topics")


async def test_a_publish_that_is_too_fast_is_sent_again_at_the_time_that_is_named() -> None:
    replies = (problem(429, "rate_limited", retry_after="0"), answer(200, RECEIPT))
    async with http_peer(*replies) as (url, bodies), AsyncConduit(url, api_key=KEY) as client:
        await client.publish("t", 1)
    assert len(bodies) == 2


async def test_a_stream_that_is_closed_for_a_rate_waits_and_goes_on() -> None:
    loop = asyncio.get_running_loop()
    times = []

    async def first(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        refusal = {"code": "rate_limited", "message": "too many frames", "limit": "frames_per_s"}
        await peer.send("error", **refusal, retry_after_ms=200)
        times.append(loop.time())
        await peer.close(4529)

    async def second(peer: Peer) -> None:
        times.append(loop.time())
        await peer.subscribed(seq=0, epoch="e", recovered=True)
        await peer.deliver(1)
        await peer.left(acks=True)

    async with (
        peers(first, second) as url,
        AsyncConduit(url, api_key=KEY) as client,
        client.subscribe("t") as stream,
    ):
        assert await take(stream, 1) == [1]
    assert times[1] - times[0] >= 0.2


async def test_a_subscribe_that_names_a_limit_is_told_with_it() -> None:
    async def script(peer: Peer) -> None:
        frame = await peer.expect("subscribe")
        refusal = {"code": "limit_reached", "message": "no", "limit": "subscriptions"}
        await peer.send("error", **refusal, ref=frame["ref"])

    async with peers(script) as url, AsyncConduit(url) as client:
        with pytest.raises(ApiError) as raised:
            await client.subscribe("t", "s").__aenter__()
    assert raised.value.limit == "subscriptions"


async def full(peer: Peer) -> None:
    """As many connections as there may be."""
    refusal = {"code": "limit_reached", "message": "no", "limit": "connections"}
    await peer.send("error", **refusal)
    await peer.close(1013)


@pytest.mark.parametrize("is_closed", [True, False])
async def test_a_connection_too_many_is_told_with_its_limit_on_entering(
    monkeypatch: pytest.MonkeyPatch, is_closed: bool
) -> None:
    send = Connection.send

    async def send_later(connection: Connection, frame: ClientFrame) -> None:
        await connection._socket.wait_closed()
        await send(connection, frame)

    if is_closed:
        monkeypatch.setattr(Connection, "send", send_later)
    async with peers(full) as url, AsyncConduit(url, api_key=KEY) as client:
        with pytest.raises(ApiError) as raised:
            await client.subscribe("t").__aenter__()
    assert (raised.value.code, raised.value.limit) == ("limit_reached", "connections")
    assert exit_for(raised.value) is Exit.LIMIT


async def test_a_lost_connection_comes_again_when_its_own_place_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resume.Backoff, "failed", lambda *_: 0.0)

    async def lost(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        peer.socket.transport.abort()

    async def again(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e", recovered=True)
        await peer.deliver(1)
        await peer.left(acks=True)

    async with (
        peers(lost, full, full, again) as url,
        AsyncConduit(url, api_key=KEY) as client,
        client.subscribe("t") as stream,
    ):
        assert await take(stream, 1) == [1]
