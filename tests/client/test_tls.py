"""What is told of a server with which TLS cannot be spoken."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from conduit.client import AsyncConduit, ClientError
from conduit.client.faults import why
from tests.support.wait import DEADLINE_S


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and its certificate, which signs itself, for localhost."""
    file = tmp_path_factory.mktemp("tls") / "identity.pem"
    # Debian's postgresql, which the tests need, brings openssl.
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(file), "-out", str(file.with_suffix(".crt"))]
    subprocess.run([*make.split(), *names, *files], check=True, capture_output=True)
    with file.open("a") as both:
        both.write(file.with_suffix(".crt").read_text())
    return file


@asynccontextmanager
async def closing_server(identity: Path | None = None) -> AsyncIterator[int]:
    """The port of a server that answers in plain text, or in TLS if it has an identity; and closes."""
    context = None
    if identity is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 204 X\r\n\r\n")
        writer.close()

    async with asyncio.timeout(DEADLINE_S):
        async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context) as server:
            yield server.sockets[0].getsockname()[1]


async def refusals(url: str) -> list[ClientError]:
    """What a request and a subscription end with."""
    errors = []
    async with AsyncConduit(url) as client:
        for call in (client.health(), client.subscribe("t").__aenter__()):
            with pytest.raises(ClientError) as raised:
                await call
            errors.append(raised.value)
    return errors


@pytest.mark.process
async def test_a_certificate_that_nobody_trusts_is_told_as_that(identity: Path) -> None:
    async with closing_server(identity) as port:
        for error in await refusals(f"https://localhost:{port}"):
            assert error.code == "certificate_verify_failed"
            assert error.detail.endswith("certificate verify failed: self-signed certificate")


@pytest.mark.process
async def test_a_certificate_is_trusted_if_the_environment_says_so(
    identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(identity))
    async with closing_server(identity) as port:
        for error in await refusals(f"https://localhost:{port}"):
            assert "certificate" not in error.code


async def test_who_does_not_speak_tls_is_said_not_to() -> None:
    async with closing_server() as port:
        for error in await refusals(f"https://127.0.0.1:{port}"):
            assert error.code == "tls_failed"
            assert error.detail.endswith("it does not speak TLS")


def test_the_numbers_of_tls_are_not_those_of_the_system() -> None:
    for fault, said in (
        (ssl.SSLWantReadError(2, "The operation did not complete"), "it does not answer in TLS"),
        (ssl.SSLError(1, "something_of tomorrow"), "something of tomorrow"),
    ):
        late = TimeoutError()
        late.__cause__ = fault
        assert said in why(late)


def test_a_time_limit_does_not_say_how_it_was_built() -> None:
    late = TimeoutError()
    late.__cause__ = asyncio.CancelledError("Cancelled via cancel scope 7f")
    assert why(late) == "timed out"
