"""Why something was not looked at."""

from __future__ import annotations

from conduit.errors import ConduitError


def why_not(error: ConduitError, scope: str) -> str:
    """A right that is missing, or what failed."""
    return f"needs {scope}" if error.code in ("unauthenticated", "forbidden") else error.detail
