"""Who a WebSocket is: signed in by its upgrade, by a ticket or by an `auth` frame, and for how long.

Until it has signed in nothing is read but that frame, which must come soon and be small. Once a second it is
looked whether the credential is still good: so a socket ends within two seconds of its token, or of a key
that was revoked, on this server or on another.
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from conduit.errors import (
    ConduitError,
    Forbidden,
    InvalidRequest,
    LimitReached,
    NotFound,
    StateError,
    Unauthenticated,
    Unavailable,
)
from conduit.protocol.codec import decode_client_frame, decode_ref, format_time, server_frame
from conduit.protocol.codes import (
    CLOSE_FORBIDDEN,
    CLOSE_TOO_BIG,
    CLOSE_TRY_LATER,
    CLOSE_UNAUTHENTICATED,
)
from conduit.protocol.frames import Auth, Authenticated
from conduit.server.context import Context
from conduit.server.watched_socket import WatchedWebSocket
from conduit.tenancy.catching_up import NotSure
from conduit.tenancy.meters import Meter
from conduit.tenancy.principal import NOT_KNOWN, Principal

# Of a frame before the sign-in: a credential may have 8 KiB.
UNSIGNED_MAX_BYTES = 9 * 1024
_NOTHING_GIVEN = "no key or token came with the upgrade, so the first frame must be auth"


class SigningWebSocket(WatchedWebSocket):
    """A WebSocket that is somebody's. The subclass does what it is there for, once it is."""

    __slots__ = ("_caller", "_early", "_meter", "_opened_at", "_redeeming", "_ticket")

    def __init__(self, context: Context, caller: Principal | None, ticket: bytes | None) -> None:
        super().__init__(context)
        # None until it has signed in.
        self._caller = caller
        self._ticket = ticket
        self._meter: Meter | None = None
        self._redeeming: asyncio.Task[Principal] | None = None
        # Frames that came while it is found out who it is.
        self._early: list[bytes] = []
        self._opened_at = context.now()

    @property
    def node_name(self) -> None:
        """See `Outlet.node_name`."""

    @abc.abstractmethod
    def on_signed_in(self, caller: Principal) -> None:
        """It is this one's. Called once; raises ConduitError if it may not be."""

    @abc.abstractmethod
    def may_go_on(self, caller: Principal) -> bool:
        """Whether all that the connection does is allowed, with these rights."""

    @abc.abstractmethod
    def fail(self, ref: str | None, error: ConduitError) -> None:
        """Tell the peer of an error, and close if that is what it means."""

    def open_signed(self) -> None:
        """The socket is open: sign in with what came with the upgrade, or wait for the frame."""
        if self._caller is not None:
            caller, self._caller = self._caller, None
            try:
                self._signed_in(caller)
            except ConduitError as error:
                self.refuse(error, close_code(error))
            return
        self._context.unsigned.add(self)
        if self._ticket is not None:
            self._find_out(self._context.gate.redeem(self._ticket, self._transport), self._redeemed)

    def close_signed(self) -> None:
        """The connection is gone."""
        self._context.unsigned.remove(self)
        if self._redeeming is not None:
            # If the work is done already, `_redeemed` still comes: nothing would end what it began now.
            self._redeeming.cancel()
            self._redeeming = None
        if self._meter is not None:
            self._meter.leave()
            self._meter = None

    def check(self, now: float) -> None:
        """See `WebSocket.check`."""
        super().check(now)
        if self.closing:
            return
        caller = self._caller
        if caller is None:
            if now - self._opened_at > self._context.limits.auth_timeout_s:
                self._context.closings.count("auth", self._transport)
                self.refuse(Unauthenticated("no auth frame came in time"), CLOSE_UNAUTHENTICATED)
        elif caller.is_bounded:
            self.look_again(caller)

    def on_growing(self) -> None:
        """See `WebSocket.on_growing`."""
        if self._caller is None and not self.closing and self._kept_bytes > UNSIGNED_MAX_BYTES:
            self.close(CLOSE_TOO_BIG, "sign in first: that frame is too long")
            return
        super().on_growing()

    @property
    def _kept_bytes(self) -> int:
        """Of a message that is not complete."""
        pending_bytes = 0 if self._source is None else self._source.pending_bytes
        return pending_bytes + (0 if self.unfinished is None else len(self.unfinished.data))

    def turn_away(self) -> None:
        """See `Waiting.turn_away`."""
        self._context.closings.count("unsigned", self._transport)
        # It hears of its end in a later turn, and more may come in this one.
        self._context.unsigned.remove(self)
        self.abort()

    # Frames ---------------------------------------------------------------------------------------

    def sign_in(self, text: bytes) -> None:
        """A frame before it is somebody's: the first one, or one that came behind a ticket."""
        if self._redeeming is not None:
            self._early.append(text)
            if sum(map(len, self._early)) > UNSIGNED_MAX_BYTES:
                self.close(CLOSE_TOO_BIG, "too much came before it was known who it is")
            return
        ref, token = None, b""
        try:
            if len(text) > UNSIGNED_MAX_BYTES:
                raise Unauthenticated(_NOTHING_GIVEN)
            frame = decode_client_frame(text)
            if not isinstance(frame, Auth):
                raise Unauthenticated(_NOTHING_GIVEN)
            ref, token = frame.ref, _bytes_of(frame.token)
            caller = self._context.gate.sign_in(token, self._transport, is_last=False)
            self._signed_in(caller)
            self._welcome(caller, ref)
        except NotSure as error:
            work = self._context.gate.sign_in_after(error.look, token, self._transport)
            self._find_out(work, partial(self._named, ref))
        except InvalidRequest as error:
            # Whoever cannot say who he is has no second frame.
            self.fail(decode_ref(text)[0], error)
            self.close(CLOSE_UNAUTHENTICATED, "unauthenticated")
        except ConduitError as error:
            self.fail(ref, error)
            self.close(close_code(error), error.code)

    def sign_in_again(self, caller: Principal, frame: Auth) -> None:
        """A newer credential. Raises ConduitError; then the one before counts."""
        again = self._context.gate.refreshed(caller, _bytes_of(frame.token), self._transport)
        self._caller = again
        self.look_again(caller)
        self._welcome(again, frame.ref)

    def _welcome(self, caller: Principal, ref: str | None) -> None:
        until = caller.expires_at_ms
        expires_at = None if until is None else format_time(until)
        self.write(server_frame(Authenticated(caller.tenant, expires_at, ref)))

    def _find_out(
        self, work: Coroutine[Any, Any, Principal], done: Callable[[Principal | ConduitError], None]
    ) -> None:
        """Who it is takes a while: what comes meanwhile waits."""
        self.pause_reading()
        self._redeeming = asyncio.get_running_loop().create_task(work)
        self._redeeming.add_done_callback(partial(self._found_out, done))

    def _found_out(
        self, done: Callable[[Principal | ConduitError], None], work: asyncio.Task[Principal]
    ) -> None:
        if work.cancelled():
            return
        error = work.exception()
        if self._redeeming is not work:
            # The connection was lost in this turn of the loop.
            return
        self._redeeming = None
        if not self.closing:
            if isinstance(error, Exception):
                done(error if isinstance(error, ConduitError) else StateError.of(error))
            else:
                done(work.result())
        # Before the frames, which may pause it.
        self.resume_reading()
        early, self._early = self._early, []
        for text in early:
            if not self.closing:
                self.on_text(text)

    def _redeemed(self, found: Principal | ConduitError) -> None:
        """By a ticket."""
        refused = self._refused(found)
        if refused is not None:
            self.refuse(refused, close_code(refused))

    def _named(self, ref: str | None, found: Principal | ConduitError) -> None:
        """By a frame with this `ref`."""
        refused = self._refused(found)
        if refused is not None:
            self.fail(ref, refused)
            self.close(close_code(refused), refused.code)
        elif isinstance(found, Principal):
            self._welcome(found, ref)

    def _refused(self, found: Principal | ConduitError) -> ConduitError | None:
        """Why he who was found may not come in; None: he has. Not raised again: an error that is held by a
        frame of its own traceback stays in memory until the collector comes."""
        if isinstance(found, ConduitError):
            return found
        try:
            self._signed_in(found)
        except ConduitError as error:
            return error
        return None

    def _signed_in(self, caller: Principal) -> None:
        self._context.unsigned.remove(self)
        if caller.meter is not None:
            caller.meter.enter()
            # It counts there until its end, whatever it signs in with later.
            self._meter = caller.meter
        self.on_signed_in(caller)
        self._caller = caller

    # Later ----------------------------------------------------------------------------------------

    def rightful(self, caller: Principal) -> Principal:
        """The same caller, if it is still good, or as it is now. Raises Unauthenticated, Forbidden,
        NotFound."""
        rightful = self._context.rightful(caller)
        if rightful is not caller:
            if not self.may_go_on(rightful):
                raise Forbidden("the key or token gives no more what this connection does")
            self._caller = rightful
        return rightful

    def look_again(self, allowed: Principal) -> None:
        """The credential may have changed, or its time be over: go on with what it gives now, or end.

        `allowed`: who may do all that the connection does. What that one may do never changes, so that only
        another one is asked for each subscription."""
        caller = self._caller
        if caller is None:
            return
        try:
            # One that is new by now has been asked.
            is_asked = self.rightful(caller) is not caller
            if not is_asked and caller is not allowed and not self.may_go_on(caller):
                raise Forbidden("the key or token gives no more what this connection does")
        except Unauthenticated:
            self.refuse(Unauthenticated(NOT_KNOWN), CLOSE_UNAUTHENTICATED)
        except ConduitError as error:
            # Among others, the tenant that an operator acts for is gone.
            self.refuse(error, close_code(error))

    def leave_tenant(self, tenant: str) -> None:
        """See `OpenSession`. At once: it would hear what is published in the next tenant of the name."""
        caller = self._caller
        if self.closing or caller is None or caller.tenant != tenant:
            return
        error: ConduitError = Unauthenticated(NOT_KNOWN)
        if caller.is_acting:
            error = NotFound(f"tenant {tenant!r} does not exist", code="tenant_not_found")
        self.refuse(error, close_code(error))


def close_code(error: ConduitError) -> int:
    """With which a socket is closed that may not be somebody's because of this."""
    # A connection that is too many may be let in when another one is gone.
    if isinstance(error, LimitReached | Unavailable):
        return CLOSE_TRY_LATER
    return CLOSE_UNAUTHENTICATED if isinstance(error, Unauthenticated) else CLOSE_FORBIDDEN


def _bytes_of(token: str) -> bytes:
    # JSON can say half of a surrogate pair, which is in no credential.
    return token.encode(errors="surrogatepass")
