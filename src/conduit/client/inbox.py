"""Where deliveries wait for the application."""

from __future__ import annotations

import asyncio

from conduit.client.holds import Held


class Inbox(asyncio.Queue[Held | Exception]):
    """A bounded queue that can be emptied. An exception in it ends the iteration."""

    def drop(self) -> None:
        """Forget what waits."""
        while not self.empty():
            self.get_nowait()
