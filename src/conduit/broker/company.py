"""Other servers on the same log: the log of this one tells of them.

A server hears nothing from another one. What is published through another is in the log, and nobody here
knows of it until something is published to the same topic here.
"""

from __future__ import annotations

import logging

# Between two lines: servers that come and go all the time do not fill the log.
TELL_INTERVAL_S = 10.0

logger = logging.getLogger(__name__)


class Company:
    """How many servers use the log, and how many the log was told of last."""

    def __init__(self) -> None:
        self._told_count = 1
        self._tell_at = float("-inf")

    def tick(self, server_count: int, now: float) -> None:
        """So many use it now, this one included. Call it every second."""
        if server_count == self._told_count or now < self._tell_at:
            return
        self._told_count, self._tell_at = server_count, now + TELL_INTERVAL_S
        if server_count > 1:
            logger.warning(
                "%d servers use this log, and this version is for one at a time: what is published through "
                "one reaches the subscribers of another late, or after its restart; stop all but one "
                "(docs/postgresql.md)",
                server_count,
            )
        else:
            logger.warning(
                "this server uses the log alone again: what others have stored meanwhile comes with the next "
                "message of the same topic, or after a restart, which is better (docs/postgresql.md)"
            )
