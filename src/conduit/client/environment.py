"""The one place in which the client reads the environment."""

from __future__ import annotations

import os


def found() -> tuple[str | None, str | None]:
    """The address of a server and the key for it, as far as they are set; an empty variable is not."""
    return os.environ.get("CONDUIT_URL") or None, os.environ.get("CONDUIT_API_KEY") or None
