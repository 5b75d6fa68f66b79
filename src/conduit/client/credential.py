"""What a client signs in with: a key or a token, or a function that gives a token which is good now.

It is shown nowhere: not in a `repr`, a log or an error. What a function gave is kept until the server refuses
it, and asked for anew for each WebSocket.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache

from conduit.client.faults import NoToken
from conduit.client.place import Place
from conduit.errors import InvalidRequest
from conduit.names import check_tenant

ApiKey = str | Callable[[], str | Awaitable[str]]
"""An API key or a token; or a function, which may be async, that gives one."""

# How long such a function may take.
TOKEN_TIMEOUT_S = 30.0
# Servers of which it is remembered that it was said: keys go to them unencrypted.
_WARNED_MAX_COUNT = 64

_log = logging.getLogger("conduit.client")


class Secret(str):
    """A text that does not show itself, as in the local variables of a traceback."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


class Credential:
    """Whom a client is. Raises InvalidRequest for a key that no header can hold, and for a bad tenant."""

    __slots__ = ("_give", "_secret", "_tenant", "_turn")

    def __init__(self, api_key: ApiKey | None = None, tenant: str | None = None) -> None:
        self._give = api_key if callable(api_key) else None
        self._secret = None if api_key is None or callable(api_key) else _checked(api_key)
        self._tenant = None if tenant is None else check_tenant(tenant, "tenant")
        # One asks for a token at a time, and the others have it too.
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return "Credential(…)"

    @property
    def can_renew(self) -> bool:
        """Whether there is another secret to be had when one is refused, or expires."""
        return self._give is not None

    def check(self, place: Place) -> None:
        """Raise InvalidRequest if it cannot be sent there; warn, once for each server, if it would be sent
        for everybody on the way to read."""
        if self._secret is None and self._give is None:
            return
        if place.has_password:
            raise InvalidRequest(
                "the address has a name and password in it, which would be sent in the place of the API key",
                code="invalid_url",
            )
        if not place.is_private:
            _warn(place.shown)

    async def secret(self, refused: str | None = None) -> str | None:
        """The key or token to use now: not the one that was refused, if another can be had. Raises
        NoToken."""
        if self._give is None:
            return self._secret
        async with self._turn:
            if self._secret is None or self._secret == refused:
                self._secret = await self._given()
            return self._secret

    async def fresh(self) -> str | None:
        """As `secret`, asked for anew."""
        async with self._turn:
            if self._give is not None:
                self._secret = await self._given()
            return self._secret

    def headers(self, secret: str | None) -> dict[str, str]:
        """What goes with a request."""
        headers: dict[str, str] = {}
        if secret is not None:
            headers["authorization"] = Secret(f"Bearer {secret}")
        if self._tenant is not None:
            headers["x-conduit-tenant"] = self._tenant
        return headers

    async def _given(self) -> Secret:
        assert self._give is not None
        try:
            async with asyncio.timeout(TOKEN_TIMEOUT_S):
                given = self._give()
                return _checked(await given if inspect.isawaitable(given) else given)
        except InvalidRequest as error:
            raise NoToken(error.detail) from None
        except Exception as error:
            # Its text is not repeated: it may have the token in it, or what it was to be had for.
            raise NoToken(
                f"the function that gives the token failed: {type(error).__name__}"
            ) from error


def _checked(secret: object) -> Secret:
    """A secret that a header can hold. Raises InvalidRequest, which does not repeat it."""
    if not isinstance(secret, str):
        raise InvalidRequest("the API key or token is not a text", code="invalid_api_key")
    if not secret or not (secret.isascii() and secret.isprintable()) or secret.strip() != secret:
        raise InvalidRequest(
            "the API key or token is empty, or has a character in it that none has: a line end, for example",
            code="invalid_api_key",
        )
    return Secret(secret)


@lru_cache(_WARNED_MAX_COUNT)
def _warn(shown: str) -> None:
    _log.warning(
        "the API key goes to %s unencrypted: whoever is on the way can read it; use https", shown
    )
