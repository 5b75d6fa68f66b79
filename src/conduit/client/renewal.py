"""Signs an open stream in again, before what it has signed in with expires."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from conduit.client.credential import Credential
from conduit.client.faults import ClientError
from conduit.client.resume import renew_after_s
from conduit.protocol.frames import Auth, Authenticated, ClientFrame

# After a function that gives tokens has failed.
AGAIN_AFTER_S = 10.0
AUTH_REF = "auth"

_log = logging.getLogger("conduit.client")
_dice = random.Random()


class Renewal:
    """Of one stream. If it fails or comes too late the server closes the connection, and the next one signs
    in with another token: that costs a connection and no message."""

    def __init__(
        self, credential: Credential, send: Callable[[ClientFrame], Awaitable[object]]
    ) -> None:
        self._credential = credential
        self._send = send
        self._wake = asyncio.Event()
        self._due_at: float | None = None

    def authenticated(self, frame: Authenticated) -> None:
        """The server says until when the connection is signed in."""
        self._due_at = None
        if frame.expires_at is not None:
            after_s = renew_after_s(frame.expires_at, datetime.now(UTC), _dice.random())
            self._due_at = asyncio.get_running_loop().time() + after_s
        self._wake.set()

    def lost(self) -> None:
        """The connection ended; the next one says anew."""
        self._due_at = None
        self._wake.set()

    async def run(self) -> None:
        """Wait, and sign in again, for as long as there is a stream."""
        while True:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._due_at):
                    await self._wake.wait()
                continue
            self._due_at = None
            try:
                token = await self._credential.fresh()
            except ClientError as error:
                _log.warning("%s; trying again in %.0f s", error.detail, AGAIN_AFTER_S)
                if not self._wake.is_set():
                    self._due_at = asyncio.get_running_loop().time() + AGAIN_AFTER_S
                continue
            await self._send(Auth(str(token), AUTH_REF))
