"""What a client signs in with: where it goes, where it does not, and when there is another one."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable

import pytest

from conduit.client import ApiError, AsyncConduit, NoToken
from conduit.client.credential import ApiKey, Credential
from conduit.errors import InvalidRequest
from tests.client.peer import Head, Peer, answer, http_peer, peers, problem
from tests.client.test_publish import RECEIPT

KEY = "ck_live_abcd1234_0123456789abcdefghijklmnopqrstuv012345"
SECRET = KEY.split("_")[3]
ELSEWHERE = "http://events.example"


def in_turn(*tokens: str) -> Callable[[], str]:
    """Gives one after the other, and fails when there are no more."""
    left = iter(tokens)
    return lambda: next(left)


# Where it goes --------------------------------------------------------------------------------------


async def test_requests_have_the_key_and_the_tenant() -> None:
    heads: list[Head] = []
    async with (
        http_peer(answer(200, RECEIPT), heads=heads) as (url, _),
        AsyncConduit(url, api_key=KEY, tenant="acme") as client,
    ):
        await client.publish("t", 1)
    assert heads[0].headers["authorization"] == f"Bearer {KEY}"
    assert heads[0].headers["x-conduit-tenant"] == "acme"


async def test_without_a_key_there_is_no_header() -> None:
    heads: list[Head] = []
    async with (
        http_peer(answer(200, RECEIPT), heads=heads) as (url, _),
        AsyncConduit(url) as client,
    ):
        await client.publish("t", 1)
    assert not {"authorization", "x-api-key", "x-conduit-tenant"} & set(heads[0].headers)


async def test_a_stream_has_them_in_its_upgrade_and_sends_nothing_more() -> None:
    async def script(peer: Peer) -> None:
        assert peer.socket.request is not None
        headers = peer.socket.request.headers
        assert headers["Authorization"] == f"Bearer {KEY}"
        assert headers["X-Conduit-Tenant"] == "acme"
        await peer.subscribed()

    async with (
        peers(script) as url,
        AsyncConduit(url, api_key=KEY, tenant="acme") as client,
        client.subscribe("t"),
    ):
        pass


async def test_a_redirect_is_not_followed_with_it() -> None:
    heads: list[Head] = []
    async with (
        http_peer(heads=heads) as (other, _),
        http_peer(
            answer(307, "", location=f"{other}/x"),
            answer(307, "", location=f"ws{other.removeprefix('http')}/x"),
        ) as (url, _),
        AsyncConduit(url, api_key=KEY) as client,
    ):
        with pytest.raises(Exception, match="307"):
            await client.stats()
        with pytest.raises(ApiError, match="307") as raised:
            await client.subscribe("t").__aenter__()
    assert (raised.value.code, heads) == ("upgrade_refused", [])


@pytest.mark.parametrize("key", ["", " q42", "q42\n", "q42\r\ny: z", "q42ü", "q42\x00", 42])
def test_a_key_that_no_header_can_hold_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        AsyncConduit(api_key=key)
    assert raised.value.code == "invalid_api_key"
    assert "42" not in raised.value.detail


def test_an_address_with_a_password_and_a_key_are_two_ways_to_sign_in() -> None:
    with pytest.raises(InvalidRequest, match="name and password") as raised:
        AsyncConduit("https://user:word@events.example", api_key=KEY)
    assert "word@" not in raised.value.detail


def test_a_tenant_that_there_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidRequest) as raised:
        AsyncConduit(tenant="Acme & Co")
    assert (raised.value.code, raised.value.field) == ("invalid_name", "tenant")


# Who can read it ------------------------------------------------------------------------------------


def test_that_it_goes_unencrypted_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        AsyncConduit("http://plain.example", api_key=KEY)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "http://plain.example unencrypted" in line


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://events.example", KEY),
        ("http://127.0.0.1:1", KEY),
        ("http://[::1]:1", KEY),
        ("http://localhost:1", KEY),
        ("http://without.example", None),
    ],
)
def test_where_nobody_can_read_it_nothing_is_said(
    caplog: pytest.LogCaptureFixture, url: str, key: str | None
) -> None:
    AsyncConduit(url, api_key=key)
    assert caplog.records == []


@pytest.mark.parametrize("key", [KEY, "any text, as DEFAULT_API_KEY may be"])
async def test_it_is_in_no_log_and_no_error(caplog: pytest.LogCaptureFixture, key: str) -> None:
    # The server of the test is the other side. The level that is set last is also what is caught.
    caplog.set_level(logging.WARNING, "websockets.server")
    caplog.set_level(logging.DEBUG)

    async def script(peer: Peer) -> None:
        await peer.expect("auth")
        await peer.send("authenticated", tenant="default", ref="auth")
        await peer.subscribed()
        await peer.send("error", code="unauthenticated", message="no longer")
        await peer.close(4501)

    texts = []
    async with peers(script, script) as url, AsyncConduit(url, api_key=lambda: key) as client:
        async with client.subscribe("t") as stream:
            with pytest.raises(ApiError) as raised:
                await anext(stream)
        texts += traceback.format_exception(raised.value)
        texts.append(repr(vars(client)) + repr(vars(stream)))
    async with (
        http_peer(problem(401, "unauthenticated")) as (url, _),
        AsyncConduit(url, api_key=key) as client,
    ):
        with pytest.raises(ApiError) as raised:
            await client.publish("t", 1)
    texts += traceback.format_exception(raised.value)
    async with AsyncConduit("http://127.0.0.1:9", api_key=key, retry_s=0) as client:
        with pytest.raises(Exception, match="no answer") as failed:
            await client.publish("t", 1)
    texts += traceback.format_exception(failed.value)
    told = "\n".join([*texts, caplog.text, *map(repr, (record.args for record in caplog.records))])
    # What websockets tells is there, without it.
    assert "authorization" in told
    assert "an auth frame" in told
    assert key[20:] not in told


def locals_of(error: BaseException) -> str:
    """What a reporter of errors shows of the client's own frames."""
    frames = traceback.walk_tb(error.__traceback__)
    return repr(
        [
            frame.f_locals
            for frame, _ in frames
            if "conduit/client/" in frame.f_code.co_filename
            and "tests" not in frame.f_code.co_filename
        ]
    )


async def test_it_is_in_no_local_variable_that_a_traceback_shows() -> None:
    async with (
        http_peer(*[problem(401, "unauthenticated")] * 4) as (url, _),
        AsyncConduit(url, api_key=lambda: KEY) as client,
    ):
        for work in (client.publish("t", 1), client.subscribe("t").__aenter__()):
            with pytest.raises(ApiError) as raised:
                await work
            told = locals_of(raised.value)
            assert "'secret': '…'" in told
            assert SECRET not in told


# When there is another one --------------------------------------------------------------------------


async def test_a_function_is_asked_once_and_again_when_its_token_is_refused() -> None:
    heads: list[Head] = []
    replies = (
        answer(200, RECEIPT),
        problem(401, "unauthenticated"),
        answer(200, RECEIPT),
        answer(200, RECEIPT),
    )
    async with (
        http_peer(*replies, heads=heads) as (url, bodies),
        AsyncConduit(url, api_key=in_turn("one", "two")) as client,
    ):
        for number in range(3):
            await client.publish("t", number)
    tokens = [head.headers["authorization"].split()[1] for head in heads]
    assert tokens == ["one", "one", "two", "two"]
    assert bodies[1] == bodies[2]


async def test_who_is_refused_with_a_fresh_token_as_well_is_told() -> None:
    refusals = [problem(401, "unauthenticated")] * 2
    async with (
        http_peer(*refusals) as (url, _),
        AsyncConduit(url, api_key=in_turn("one", "two")) as client,
    ):
        with pytest.raises(ApiError) as raised:
            await client.publish("t", 1)
    assert (raised.value.code, raised.value.status) == ("unauthenticated", 401)


async def test_many_at_once_ask_for_one_token() -> None:
    asked = []

    async def token() -> str:
        await asyncio.sleep(0)
        asked.append(1)
        return f"token{len(asked)}"

    credential = Credential(token)
    assert set(await asyncio.gather(*[credential.secret() for _ in range(9)])) == {"token1"}
    refused = [credential.secret(refused="token1") for _ in range(9)]
    assert set(await asyncio.gather(*refused)) == {"token2"}


async def test_what_a_function_raises_is_the_cause_and_its_text_is_not_repeated() -> None:
    def broken() -> str:
        raise RuntimeError(f"no token for {KEY}")

    async with AsyncConduit("http://127.0.0.1:9", api_key=broken, retry_s=0) as client:
        with pytest.raises(NoToken) as raised:
            await client.publish("t", 1)
    assert raised.value.detail == "the function that gives the token failed: RuntimeError"
    assert isinstance(raised.value.__cause__, RuntimeError)


@pytest.mark.parametrize("given", [None, "", "a\nb", b"x"])
async def test_what_is_no_token_is_not_sent(given: object) -> None:
    def wrong() -> str:
        return given

    with pytest.raises(NoToken):
        await Credential(wrong).secret()


# The environment ------------------------------------------------------------------------------------


async def test_address_and_key_come_from_the_environment_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heads: list[Head] = []
    async with http_peer(*[answer(200, {})] * 2, heads=heads) as (url, _):
        monkeypatch.setenv("CONDUIT_URL", url)
        monkeypatch.setenv("CONDUIT_API_KEY", KEY)
        async with AsyncConduit.from_environment(tenant="acme") as client:
            await client.stats()
        # The address of the program is not what the key is for.
        async with AsyncConduit(url) as client:
            await client.stats()
    assert [head.headers.get("authorization") for head in heads] == [f"Bearer {KEY}", None]


def test_variables_that_are_empty_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONDUIT_URL", "CONDUIT_API_KEY"):
        monkeypatch.setenv(name, "")
    assert AsyncConduit.from_environment().url == "http://127.0.0.1:8080"


def test_a_key_and_functions_of_both_kinds_are_taken() -> None:
    async def later() -> str:
        return "x"

    kinds: list[ApiKey] = [KEY, lambda: "x", later]
    assert [Credential(kind).can_renew for kind in kinds] == [False, True, True]
