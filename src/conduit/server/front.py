"""The HTTP side of the port: publishes are answered here, everything else is handed on.

uvicorn makes one `Front` for each connection. `POST /api/publish` and `/api/publish/batch` are
answered without a task, future or timer; `GET /ws` becomes a WebSocket; any other request goes
through `Control` to the FastAPI app, and the connection comes back.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from conduit.broker.publish.traced import carried
from conduit.errors import ConduitError, InvalidRequest, RequestError, StateError, Unavailable
from conduit.grants import Scope
from conduit.protocol.batch import decode_publish_batch
from conduit.protocol.codec import decode_publish
from conduit.protocol.records import BatchAnswer, Receipt
from conduit.server.admitting import admit, admit_all
from conduit.server.answers import Answers
from conduit.server.context import Context
from conduit.server.control import Control
from conduit.server.doors import Door
from conduit.server.framing import COPIED_MAX_BYTES, Request
from conduit.server.handshake import accept, check_upgrade, ticket_in
from conduit.server.head import Head, Route
from conduit.server.known_connection import KnownConnection
from conduit.server.linking import HANDSHAKE_MAX_BYTES, link_socket
from conduit.server.session import Session
from conduit.server.slot import Slot
from conduit.server.websocket import WebSocket
from conduit.tenancy.principal import Principal

_PUBLISH = Route.PUBLISH
_PUBLISHING: tuple[Scope, ...] = ("publish",)
# A publish with a larger body, which takes 0.1 ms and more, waits for its turn. A smaller one is `bytes`.
SMALL_MAX_BYTES = COPIED_MAX_BYTES
_NOT_READ = frozenset({Route.ENCODED, Route.MISTYPED})
logger = logging.getLogger(__name__)


def make_front(
    context: Context, door: Door | None = None, base: type[Front] | None = None
) -> type[Front]:
    """The class to give to uvicorn as `http`; its connections share `context`. `door`: where it listens, by
    default the port for everybody."""

    bound = cast(type[Front], type("BoundFront", (base or Front,), {"__slots__": ()}))
    bound.context = context
    bound.door = context.door if door is None else door
    bound.answers = Answers(bound.door.origins)
    return bound


class Front(KnownConnection):
    """One HTTP connection and where its requests go; `make_front` gives it its context."""

    __slots__ = ("_control", "_for_control")

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(server_state)
        self._for_control = (config, server_state, app_state, _loop)
        self._control: Control | None = None

    def on_request(self, request: Request, at_once_bytes: int = SMALL_MAX_BYTES) -> None:
        """Publish, or wait until there is time for something slower, and the connection is free for it."""
        head, caller, body = request
        if head.route is not _PUBLISH or len(body) > at_once_bytes:
            if not (caller.is_known or head.is_open):
                # Whoever is nobody costs no turn of the application.
                slot = Slot(head, None)
                self.enqueue(slot)
                self.fail(slot, caller.refusal(()))
            elif head.route in _NOT_READ:
                self._refuse_body(head)
            else:
                self.hold(request)
            return
        slot = _Publish(head, None, self)
        self._slots.append(slot)
        try:
            if caller.is_bounded:
                caller = self.context.rightful(caller)
                caller.check(_PUBLISHING)
            message = decode_publish(body, head.idempotency_key)
            if caller.is_bounded:
                admit(self.context, caller, message)
            if head.trace is not None:
                message = carried(self.context.broker.traces, message, head.trace)
            self.context.broker.publish(caller.tenant, message, slot.answer)
        except ConduitError as error:
            self._refuse_publish(slot, error)
        except Exception as error:  # noqa: BLE001 - the root of a publish: answered and logged
            self._refuse_publish(slot, StateError.of(error))

    def on_turn(self, request: Request) -> None:
        """Publish, or hand the request on."""
        route = request.head.route
        if route is _PUBLISH:
            self.free()
            self.on_request(request, len(request.body))
        elif route is Route.BATCH:
            self.free()
            self._publish_batch(request)
        elif self._transport is not None:
            self._hand_on(self._transport, request)

    def _hand_on(self, transport: asyncio.Transport, request: Request) -> None:
        route = request.head.route
        if route is Route.WEBSOCKET or (route is Route.LINK and self.context.links is not None):
            self._upgrade(transport, request)
        else:
            self.serve(transport, request)

    def serve(self, transport: asyncio.Transport, request: Request) -> None:
        """Let the application answer."""
        if self._control is None:
            self._control = Control(self.release, *self._for_control)
            self._control.connection_made(transport)
        self._control.handle(request, self.door)
        if self._ending:
            self._control.shutdown()

    def answer(self, slot: _Publish, outcome: Receipt | list[Receipt] | ConduitError) -> None:
        """What became of a publish; for its slot to call."""
        if isinstance(outcome, ConduitError):
            self.fail(slot, outcome)
        elif self._transport is None:
            return
        else:
            content = BatchAnswer(outcome) if isinstance(outcome, list) else outcome
            keeping, origin = self.keeping(slot), slot.head.origin
            self.fill(slot, self.answers.success(content, keeping, origin))

    def leave(self) -> bytes:
        """See `HttpConnection`."""
        if self._control is not None:
            self._control.leave()
            self._control = None
        return super().leave()

    # What the control plane must hear of ----------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything, and let the app know that nobody listens."""
        super().connection_lost(exc)
        if self._control is not None:
            self._control.connection_lost(exc)
            self._control = None

    def pause_writing(self) -> None:
        """The peer does not read its answers."""
        super().pause_writing()
        if self._control is not None:
            self._control.pause_writing()

    def resume_writing(self) -> None:
        """The peer has read most of its answers."""
        super().resume_writing()
        # After that: what it writes may be too much again, and then `pause_writing` has the last word.
        if self._control is not None:
            self._control.resume_writing()

    def shutdown(self) -> None:
        """Close when the requests that have arrived are answered."""
        super().shutdown()
        if self._busy and self._held is None and self._control is not None:
            self._control.shutdown()

    # Inside ---------------------------------------------------------------------------------------

    @property
    def _unsent_bytes(self) -> int:
        if self._transport is None:
            return 0
        unsent_bytes = self._transport.get_write_buffer_size()
        return unsent_bytes + (self._control.outgoing.waiting_bytes if self._control else 0)

    @property
    def _written_bytes(self) -> int:
        return 0 if self._control is None else self._control.outgoing.written_bytes

    def _publish_batch(self, request: Request) -> None:
        head, caller, body = request
        slot = _Publish(head, None, self)
        self.enqueue(slot)
        try:
            caller = self.context.rightful(caller)
            caller.check(_PUBLISHING)
            requests = decode_publish_batch(
                bytes(body), self.context.limits.max_batch_count
            ).messages
            if head.idempotency_key is not None:
                raise InvalidRequest(
                    "the messages of a batch have their own keys", field="Idempotency-Key"
                )
            if caller.is_bounded:
                admit_all(self.context, caller, requests)
            if head.trace is not None:
                requests = [
                    carried(self.context.broker.traces, each, head.trace) for each in requests
                ]
            self.context.broker.publish_batch(caller.tenant, requests, slot.answer)
        except ConduitError as error:
            self._refuse_publish(slot, error)
        except Exception as error:  # noqa: BLE001 - the root of a publish: answered and logged
            self._refuse_publish(slot, StateError.of(error))

    def _refuse_publish(self, slot: _Publish, error: ConduitError) -> None:
        self.context.broker.refused_publishes.add(error)
        slot.answer(error)

    def _refuse_body(self, head: Head) -> None:
        slot = Slot(head, None)
        self.enqueue(slot)
        if head.route is Route.ENCODED:
            field, given = "Content-Encoding", head.headers["content-encoding"]
            detail = (
                f"bodies are not decoded here: send it without Content-Encoding, not as {given!r}"
            )
        else:
            field, given = "Content-Type", head.headers.get("content-type", "")
            detail = f"send the body with Content-Type: application/json, not {given!r}"
        error = RequestError(detail, code="unsupported_media_type", field=field)
        if head.is_publish:
            self.context.broker.refused_publishes.add(error)
        self.fail(slot, error)

    def _upgrade(self, transport: asyncio.Transport, request: Request) -> None:
        head, caller, _ = request
        try:
            key = self._check_upgrade(request)
            websocket, max_bytes = self._websocket(head, caller)
        except ConduitError as error:
            # What follows a request to upgrade may not be HTTP.
            self._ending = self._ending or "upgrade" in head.headers
            self.free()
            slot = Slot(head, None)
            self.enqueue(slot)
            self.fail(slot, error)
            return
        rest = self.leave()
        transport.resume_reading()
        try:
            if not self._writable:
                # Answers before it are unread: the transport has said so to us, and says it only once.
                websocket.pause_writing()
            accept(transport, key, rest, websocket, max_bytes, self.context.intake)
        except Exception:
            logger.exception("a WebSocket could not be opened")
            transport.abort()

    def _check_upgrade(self, request: Request) -> str:
        """The key for `accept`. Raises ConduitError."""
        head, _, body = request
        if body:
            raise InvalidRequest("a request to upgrade has no body")
        if self.context.is_stopping:
            raise Unavailable("the server is stopping", code="shutting_down")
        key = check_upgrade(head.headers)
        if not head.wants_upgrade:
            raise InvalidRequest("HTTP/1.1 is needed to upgrade", code="upgrade_required")
        return key

    def _websocket(self, head: Head, caller: Principal) -> tuple[WebSocket, int]:
        """What the connection becomes, and how large its messages may be. Raises ConduitError."""
        if head.route is Route.LINK and self.context.links is not None:
            return link_socket(self.context, self.context.links, head), HANDSHAKE_MAX_BYTES
        if caller.is_refused:
            raise caller.refusal(())
        known = caller if caller.is_known else None
        session = Session(self.context, known, ticket_in(head.target))
        return session, self.context.limits.max_frame_bytes


class _Publish(Slot, eq=False, gc=False):
    """The slot of a publish; the broker calls it with the outcome."""

    head: Head
    front: Front

    def answer(self, outcome: Receipt | list[Receipt] | ConduitError) -> None:
        front = self.front
        if isinstance(outcome, Receipt) and not (front._ending or self.head.says_kept):
            front.fill(self, front.answers.receipt(outcome, self.head.origin))
        else:
            front.answer(self, outcome)
