"""Why something was not looked at."""

from __future__ import annotations

from conduit.errors import ConduitError


def why_not(error: ConduitError, scope: str) -> str:
    """A right that is missing, or what failed."""
    if error.code == "unauthenticated":
        return f"needs {scope}: the server does not know the key, or none was given"
    return f"needs {scope}" if error.code == "forbidden" else error.detail
