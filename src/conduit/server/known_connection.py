"""An HTTP connection that knows who asks, if need be after a look at what other nodes have changed.

Whoever comes with a key that is not known here may have got it at another node just before. Until the look is
over nothing more is read of the connection.
"""

from __future__ import annotations

import asyncio
from abc import ABC

from uvicorn.server import ServerState

from conduit.errors import ConduitError
from conduit.server.connection import HttpConnection
from conduit.server.head import Head
from conduit.tenancy.catching_up import NotSure
from conduit.tenancy.principal import Principal


class KnownConnection(HttpConnection, ABC):
    """See the module; the subclass does what is asked."""

    __slots__ = ("_has_looked",)

    def __init__(self, server_state: ServerState) -> None:
        super().__init__(server_state)
        # The head that comes next is read for the second time.
        self._has_looked = False

    def admit(self, head: Head, credential: bytes | None) -> Principal | None:
        """See `HttpConnection.admit`."""
        has_looked, self._has_looked = self._has_looked, False
        if head.is_of_page:
            self.door.origins.check(head.headers)
        if self.door.caller is not None:
            return self.door.caller
        try:
            return self.context.gate.admit(head, credential, self._transport, is_last=has_looked)
        except NotSure as error:
            self._busy = True
            self._stall()
            error.look.add_done_callback(self._looked)
            return None

    def _looked(self, _look: asyncio.Future[None]) -> None:
        if self._transport is None:
            return
        self._has_looked = True
        if not self._ending:
            self.release()
            return
        # The peer sends no more, or the server stops: this one had come before.
        self.free()
        try:
            request = self._framer.next_request(self.admit)
            while request is None and self._framer.is_behind:
                request = self._framer.next_request(self.admit)
            if request is not None:
                self._take(request)
            elif not self._slots:
                self._finish()
        except ConduitError as error:
            self.refuse(error)
