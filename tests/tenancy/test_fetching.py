import asyncio
import gzip
import ssl
import subprocess
from contextlib import suppress

import pytest

from conduit.tenancy.fetching import DOCUMENT_MAX_BYTES, FetchFailed, Source
from tests.tenancy.kit import identity_provider, serving


async def failure(url, **more):
    with pytest.raises(FetchFailed) as raised:
        await Source(url, **more).fetch()
    assert raised.value.__cause__ is None
    text = str(raised.value)
    assert text.isprintable()
    assert url not in text
    return text


async def test_the_body_comes_as_it_is_and_nothing_is_said_of_us():
    async with identity_provider() as provider:
        provider.body = b"x" * DOCUMENT_MAX_BYTES
        assert await Source(f"http://127.0.0.1:{provider.port}/keys?a=1").fetch() == provider.body
        (head,) = provider.asked
        assert head.startswith(b"GET /keys?a=1 HTTP/1.1\r\n")
        assert b"accept-encoding: identity\r\n" in head.lower()
        assert b"authorization" not in head.lower()


async def test_what_is_too_large_is_not_taken():
    async with identity_provider() as provider:
        provider.body = b"x" * (DOCUMENT_MAX_BYTES + 1)
        assert "more than 262144 bytes" in await failure(f"http://127.0.0.1:{provider.port}/")


async def test_what_is_compressed_is_not_taken():
    async with identity_provider() as provider:
        provider.headers = ["Content-Encoding: gzip"]
        provider.body = gzip.compress(bytes(100 << 20), compresslevel=1)[:DOCUMENT_MAX_BYTES]
        assert "compressed" in await failure(f"http://127.0.0.1:{provider.port}/")


@pytest.mark.parametrize("status", ["302 Found", "404 Not Found", "500 Oops", "204 No Content"])
async def test_any_other_answer_is_a_failure_and_no_redirect_is_followed(status):
    async with identity_provider() as provider:
        provider.status = status
        provider.headers = [f"Location: http://127.0.0.1:{provider.port}/elsewhere"]
        provider.body = b""
        assert f"HTTP {status[:3]}" in await failure(f"http://127.0.0.1:{provider.port}/")
        assert len(provider.asked) == 1


async def test_an_answer_that_does_not_come_in_time_is_a_failure():
    async with identity_provider() as provider:
        provider.is_silent = True
        text = await failure(f"http://127.0.0.1:{provider.port}/", timeout_s=0.2)
        assert text == "no answer within 0.2 s"


async def test_all_of_an_answer_has_to_come_in_time():
    async def trickle(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            # Each piece comes well before a limit for the next piece alone would be over.
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await reader.read()
                    return

    async with serving(trickle) as port:
        assert "within 0.3 s" in await failure(f"http://127.0.0.1:{port}/", timeout_s=0.3)


async def test_nobody_there_is_a_failure():
    async with identity_provider() as provider:
        port = provider.port
    assert await failure(f"http://127.0.0.1:{port}/", timeout_s=5)


async def test_what_is_no_http_is_a_failure():
    async def answer(_reader, writer):
        writer.write(b"\x1b[31mSSH-2.0\r\n\r\n")

    async with serving(answer) as port:
        assert await failure(f"http://127.0.0.1:{port}/")


async def test_proxies_of_the_environment_are_not_used(monkeypatch):
    async with identity_provider() as proxy, identity_provider() as provider:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert await Source(f"http://127.0.0.1:{provider.port}/").fetch() == provider.body
        assert proxy.asked == []


@pytest.fixture
def identity(tmp_path):
    """A key and its certificate, which signs itself, for localhost."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    # Debian's postgresql, which the tests need, brings openssl.
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*make.split(), *names, *files], check=True, capture_output=True)
    return certificate, key


@pytest.mark.process
async def test_a_certificate_is_trusted_only_if_the_system_or_the_environment_says_so(
    identity, tmp_path, monkeypatch
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity)
    async with identity_provider(context) as provider:
        url = f"https://localhost:{provider.port}/"
        source = Source(url)
        with pytest.raises(FetchFailed, match="self-signed certificate"):
            await source.fetch()
        monkeypatch.setenv("SSL_CERT_FILE", str(identity[0]))
        assert await source.fetch() == provider.body
        assert await source.fetch() == provider.body
        # It is for another name.
        assert "certificate verify failed" in await failure(f"https://127.0.0.1:{provider.port}/")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
        assert await failure(url)
