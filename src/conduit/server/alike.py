"""Settings that must be the same on all nodes, as they tell each other of them."""

from __future__ import annotations

from conduit import redis_url
from conduit.settings import Settings


def alike(settings: Settings) -> dict[str, str]:
    """In words, by name; nothing of it is a secret. One Redis may have several addresses, so these say
    nothing; with another number of its database nodes do not meet there."""
    url = settings.redis_url
    return {
        "ENABLE_AUTH": "true" if settings.enable_auth else "false",
        "REDIS_URL": "not set"
        if url is None
        else f"database {redis_url.database(url.get_secret_value())}",
    }
