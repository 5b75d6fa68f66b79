"""Who asks: the credential of a request, or of a socket, as somebody with rights.

One for all connections. Where there is no authentication everybody is `anyone`, and credentials are not
looked at. Failed sign-ins are counted for the audit log.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Sequence

from conduit.errors import ConduitError, Forbidden, NotFound, Unauthenticated
from conduit.server import kernel
from conduit.server.cookies import COOKIE_HEADER, OWN_SITES, sessions_in
from conduit.server.head import COOKIES, INTERNAL, Head, Route
from conduit.tenancy.audit import Audit
from conduit.tenancy.catching_up import NotSure, after, is_spelled
from conduit.tenancy.page_sessions import PageSessions
from conduit.tenancy.principal import NOT_KNOWN, Nobody, Principal, make_anyone
from conduit.tenancy.registry import Registry
from conduit.tenancy.ticketing import Ticketing

_TENANT_HEADER = "x-conduit-tenant"
# What is asked by those who have no credential, and answered whatever credential they have.
_OPEN = frozenset({Route.PROBE})
_SOCKETS = frozenset({Route.WEBSOCKET, Route.LINK})
# Where nodes of a cluster speak with each other.
INTERNAL_PATH = b"/internal/"


class Gate:
    """Tells callers apart; `registry` None: there is no authentication."""

    def __init__(
        self,
        registry: Registry | None = None,
        audit: Audit | None = None,
        ticketing: Ticketing | None = None,
        internal_secrets: Sequence[str] = (),
        pages: PageSessions | None = None,
    ) -> None:
        self._pages = pages
        self._registry = registry
        self._ticketing = ticketing
        self._audit = audit
        self.internal_secrets = internal_secrets
        """Each of which proves that a node asks; none: no node is known."""
        self.node = Principal("", "node", ())
        """Another node of the cluster, which has proved it: at `/internal/` it needs no other right."""
        self.nobody: Principal = make_anyone() if registry is None else Nobody()
        """Who gives no credential."""

    @property
    def is_open(self) -> bool:
        """Whether there is no authentication."""
        return self._registry is None

    def admit(
        self,
        head: Head,
        credential: bytes | None,
        transport: asyncio.BaseTransport | None,
        *,
        is_last: bool = True,
    ) -> Principal:
        """Who has sent this head, with the credential that was in it. Somebody who is not known, for whatever
        reason, is a Nobody that says it. Raises NotSure if he may be known soon; not if that `is_last`."""
        if credential is None:
            return self.nobody
        if credential.startswith(INTERNAL):
            return self._node(head, credential)
        if self._registry is None:
            return self.nobody
        is_last = is_last or (head.is_open and head.route is not Route.WEBSOCKET)
        try:
            if credential.startswith(COOKIES):
                return self._of_page(head, credential, transport, is_last=is_last)
            caller = self.sign_in(credential, transport, is_last=is_last)
            name = head.headers.get(_TENANT_HEADER)
            if name is not None and caller.may("admin"):
                return self._acting_for(caller, name, is_last=is_last)
        except ConduitError as error:
            return self.nobody if head.route in _OPEN else Nobody(error)
        return caller

    def _acting_for(self, caller: Principal, name: str, *, is_last: bool) -> Principal:
        assert self._registry is not None
        try:
            return self._registry.acting_for(caller, name, is_named=True)
        except NotFound:
            if not is_last and (look := self._registry.catching_up.ask()) is not None:
                raise NotSure(look) from None
            raise

    def _of_page(
        self,
        head: Head,
        credential: bytes,
        transport: asyncio.BaseTransport | None,
        *,
        is_last: bool,
    ) -> Principal:
        """Who has a session's cookie. Browsers send it with whatever any page asks for: it counts only with
        the header that a page of another origin cannot send, and opens no socket. Raises as `sign_in`, and
        NotFound for a tenant that is named and is not there."""
        if self._pages is None or COOKIE_HEADER not in head.headers or head.route in _SOCKETS:
            return self.nobody
        texts = sessions_in(credential[len(COOKIES) :], self._pages.cookie_name)
        if not texts or head.headers.get("sec-fetch-site", "none") not in OWN_SITES:
            return self.nobody
        assert self._registry is not None
        text = self._pages.chosen(texts, head.headers[COOKIE_HEADER])
        try:
            return self._pages.verify(text, head.headers.get(_TENANT_HEADER))
        except (Unauthenticated, NotFound) as error:
            # Its key, or the tenant, may have been made elsewhere just before.
            if not is_last and self._pages.signed([text]):
                look = self._registry.catching_up.ask()
                if look is not None:
                    raise NotSure(look) from None
            # A session that is over was good once: nobody has tried a key.
            if isinstance(error, Unauthenticated) and not self._pages.signed([text]):
                self._failed(transport)
            raise

    def _node(self, head: Head, credential: bytes) -> Principal:
        if not head.target.startswith(INTERNAL_PATH):
            return self.nobody
        # Of the same length, or the time would tell how long a secret is; and all of them, or it would tell
        # which.
        given = _digest(credential[len(INTERNAL) :])
        right_count = sum(
            hmac.compare_digest(given, _digest(secret.encode())) for secret in self.internal_secrets
        )
        return self.node if right_count else self.nobody

    def sign_in(
        self,
        credential: bytes,
        transport: asyncio.BaseTransport | None,
        *,
        is_last: bool = True,
    ) -> Principal:
        """Raises Unauthenticated, Unavailable; NotSure as `admit`."""
        if self._registry is None:
            return self.nobody
        try:
            return self._registry.authenticate(credential)
        except Unauthenticated:
            # Whatever is wrong with it: the time must not tell which keys there are.
            if not is_last and is_spelled(credential):
                look = self._registry.catching_up.ask()
                if look is not None:
                    raise NotSure(look) from None
            self._failed(transport)
            raise

    async def sign_in_after(
        self,
        look: asyncio.Future[None],
        credential: bytes,
        transport: asyncio.BaseTransport | None,
    ) -> Principal:
        """As `sign_in`, when that look is over. Raises Unauthenticated, Unavailable."""
        await after(look)
        return self.sign_in(credential, transport)

    def _failed(self, transport: asyncio.BaseTransport | None) -> None:
        if self._audit is not None:
            self._audit.sign_in_failed(kernel.peer_address(transport))

    async def redeem(self, ticket: bytes, transport: asyncio.BaseTransport | None) -> Principal:
        """Who has got a one-time ticket. Raises Unauthenticated, Unavailable."""
        if self._ticketing is None:
            return self.nobody
        try:
            return await self._ticketing.redeem(ticket)
        except Unauthenticated:
            self._failed(transport)
            raise

    def renewed(self, caller: Principal) -> Principal:
        """The same caller, as it is now. Raises Unauthenticated, Unavailable."""
        return caller if self._registry is None else self._registry.renewed(caller)

    def refreshed(
        self, caller: Principal, credential: bytes, transport: asyncio.BaseTransport | None
    ) -> Principal:
        """Who signs in again on a connection that is `caller`'s. Raises as `sign_in`; Forbidden for one of
        another tenant."""
        again = self.sign_in(credential, transport)
        if self._registry is not None and again.may("admin"):
            again = self._registry.acting_for(again, caller.tenant)
        if again.tenant != caller.tenant:
            raise Forbidden("the key or token is of another tenant than this connection")
        return again


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def not_in_time() -> Unauthenticated:
    """What a socket is told that does not sign in."""
    return Unauthenticated(f"{NOT_KNOWN}: it did not come in time")
