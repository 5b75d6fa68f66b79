"""Which addresses are taken, and when there is a proxy on the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conduit.client import AsyncConduit, BadAnswer, ConnectionFailed
from conduit.client.place import find
from conduit.errors import InvalidRequest
from tests.client.peer import Peer, answer, http_peer, peers
from tests.support.server import clean_environment, free_port

ELSEWHERE = "http://events.example:8080"
PROXY = "http://127.0.0.1:1"
JUNK = (
    "::::",
    "http://127.0.0.1:99999",
    "junk://x",
    "http://",
    "socks5://127.0.0.1:1",
    "http://[::1",
)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ws_proxy", "socks_proxy"):
        for spelled in (name, name.upper()):
            monkeypatch.delenv(spelled, raising=False)


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost:8080", "ftp://x", "http://", "http://:80", "http://[::1", "http://a..b"),
        *("http://127.0.0.1:99999", "http://127.0.0.1:abc", "http://127.0.0.1:-1", "http://x:0"),
        *("http://a b/", "http://a\x00b", "http://x/?q=1", "http://x/#top", f"http://{'a' * 64}/"),
    ],
)
def test_what_nothing_can_be_at_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        AsyncConduit(url)
    assert raised.value.code == "invalid_url"


@pytest.mark.parametrize(
    ("url", "websocket_url"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/ws"),
        ("http://[::1]:8080/", "ws://[::1]:8080/ws"),
        ("https://events.example/base/", "wss://events.example/base/ws"),
        ("HTTP://bücher.example", "ws://bücher.example/ws"),
    ],
)
def test_websockets_are_where_the_rest_is(url: str, websocket_url: str) -> None:
    assert find(url).websocket_url == websocket_url


@pytest.mark.parametrize("variable", ["http_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", [PROXY, *JUNK])
async def test_nothing_goes_through_a_proxy_to_this_machine(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str
) -> None:
    monkeypatch.setenv(variable, proxy)

    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")

    async with http_peer(answer(200, {"status": "ok"})) as (url, _), AsyncConduit(url) as client:
        assert await client.health() == {"status": "ok"}
    async with peers(script) as url, AsyncConduit(url) as client, client.subscribe("t"):
        pass
    for host in ("localhost", "a.localhost", "[::1]", "0.0.0.0", "127.9.9.9"):
        assert find(f"http://{host}").proxy is find(f"https://{host}").proxy is None


def test_the_environment_names_the_proxy_for_other_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert find(ELSEWHERE).proxy is None
    monkeypatch.setenv("all_proxy", "all.example:3128")
    assert find(ELSEWHERE).proxy == "http://all.example:3128"
    monkeypatch.setenv("http_proxy", PROXY)
    assert find(ELSEWHERE).proxy == PROXY
    assert find("https://events.example").proxy == "http://all.example:3128"
    monkeypatch.setenv("no_proxy", "other.example,events.example")
    assert find(ELSEWHERE).proxy is None


@pytest.mark.parametrize("proxy", JUNK)
def test_a_proxy_that_cannot_be_used_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(InvalidRequest, match="the environment names the proxy") as raised:
        AsyncConduit(ELSEWHERE)
    assert raised.value.code == "invalid_proxy"


async def test_who_cannot_be_reached_is_named_with_the_proxy_and_without_passwords(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{free_port()}")
    async with AsyncConduit("http://me:secret@events.example") as client:
        for call in (client.health(), client.subscribe("t").__aenter__()):
            with pytest.raises(ConnectionFailed) as raised:
                await call
            said = raised.value.detail
            assert "http://events.example through http://127.0.0.1:" in said
            assert "secret" not in said


async def test_what_the_system_said_is_the_reason() -> None:
    async with AsyncConduit(f"http://127.0.0.1:{free_port()}") as client:
        for call in (client.health(), client.subscribe("t").__aenter__()):
            with pytest.raises(ConnectionFailed, match="Connection refused"):
                await call


async def test_certificates_that_cannot_be_read_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    async with AsyncConduit("https://127.0.0.1:1") as client:
        with pytest.raises(InvalidRequest, match="SSL_CERT_FILE"):
            await client.health()


async def test_an_answer_that_is_not_packed_as_it_says_is_no_answer_of_conduit() -> None:
    packed = answer(200, "this is no gzip", content_encoding="gzip")
    async with http_peer(packed) as (url, _), AsyncConduit(url) as client:
        with pytest.raises(BadAnswer):
            await client.health()


@pytest.mark.process
def test_who_only_publishes_does_not_load_websockets_nor_who_subscribes_httpx() -> None:
    check = (
        "import sys; from conduit.client import AsyncConduit; client = AsyncConduit();"
        "assert not {'websockets', 'httpx2'} & set(sys.modules);"
        "client.subscribe('t'); assert 'httpx2' not in sys.modules;"
        "from conduit.client import Stream"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, env=clean_environment()
    )
    assert done.stderr == ""
