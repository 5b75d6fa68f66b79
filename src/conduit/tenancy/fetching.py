"""One document, from an address that an operator has set: bounded in time and size, and from there only."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

FETCH_TIMEOUT_S = 5.0
DOCUMENT_MAX_BYTES = 262_144
REASON_MAX_CHARS = 200


class FetchFailed(Exception):
    """There is no document. The text says why, for the log; it has no address."""


class Source:
    """The document at one address. Nothing is kept open between two fetches."""

    def __init__(self, url: str, timeout_s: float = FETCH_TIMEOUT_S) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._certificates: ssl.SSLContext | bool | None = None

    async def fetch(self) -> bytes:
        """The body of a 200 answer, all of it within the time. Raises FetchFailed.

        Cancelling closes the connection. No redirect is followed and no proxy of the environment is used.
        Certificates are those of the system, or those that SSL_CERT_FILE or SSL_CERT_DIR name.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._fetched()
        except TimeoutError:
            raise FetchFailed(f"no answer within {self._timeout_s:g} s") from None
        except FetchFailed:
            # Others may be there by the next time.
            self._certificates = None
            raise

    async def _fetched(self) -> bytes:
        try:
            if self._certificates is None:
                # Takes 20 ms, and loading httpx2 for it 70: the loop has others to serve.
                self._certificates = await asyncio.to_thread(_certificates, self._url)
        except OSError as error:
            raise FetchFailed(_why(error)) from None
        import httpx2

        # What the environment says of proxies is not for this.
        client = httpx2.AsyncClient(
            verify=self._certificates, trust_env=False, timeout=self._timeout_s
        )
        # What is compressed may be thousands of times as large as what comes.
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        try:
            async with (
                client,
                client.stream("GET", self._url, headers=headers, follow_redirects=False) as answer,
            ):
                return await _body(answer)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise FetchFailed(_why(error)) from None


def _certificates(url: str) -> ssl.SSLContext | bool:
    """Those that are trusted; of plain HTTP none are looked at. Raises OSError if what SSL_CERT_FILE names is
    not there, or is none."""
    import httpx2

    return False if url.startswith("http://") else httpx2.create_ssl_context()


async def _body(answer: httpx2.Response) -> bytes:
    if answer.status_code != 200:
        raise FetchFailed(f"the answer is HTTP {answer.status_code}")
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchFailed("the answer is compressed, although that was not asked for")
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > DOCUMENT_MAX_BYTES:
            raise FetchFailed(f"the answer has more than {DOCUMENT_MAX_BYTES} bytes")
    return bytes(body)


def _why(error: Exception) -> str:
    """In one line, and without what a peer could write to a terminal."""
    text = f"{type(error).__name__}: {error}"[:REASON_MAX_CHARS]
    return "".join(char if char.isprintable() else " " for char in text)
