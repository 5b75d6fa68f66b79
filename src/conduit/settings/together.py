"""What of the settings for several nodes does not go together.

What cannot work is refused, with the reason and what to do instead; what is harmless is said in the log. It
is looked at beside all else, so that everything that is wrong is told at once. No sentence has a value in it.
"""

from __future__ import annotations

from collections.abc import Mapping

from conduit import store_url
from conduit.settings.original import Original

_SQLITE_IS_ALONE = (
    "REDIS_URL is for several nodes, and a SQLite file is one server's alone: set DATABASE_URL to PostgreSQL "
    "for a log that all nodes share, or unset it for nodes that have their messages in memory; or unset "
    "REDIS_URL for one server."
)
_NO_NODES_ON_SQLITE = (
    "INTERNAL_SECRET has no effect: a SQLite file is one server's alone. For several nodes set DATABASE_URL "
    "to PostgreSQL."
)
_NOBODY_IS_FOUND = (
    "INTERNAL_SECRET has no effect: nodes without a database find each other in Redis. For several nodes set "
    "REDIS_URL, or DATABASE_URL to PostgreSQL."
)
_NO_LINKS = (
    "REDIS_URL has no effect: nodes tell each other nothing without INTERNAL_SECRET. Set that, to the same "
    "on all nodes."
)
_ONLY_SHOWN = (
    "NODE_ADDR is shown in the list of nodes and has no other effect: nodes do not link without "
    "INTERNAL_SECRET."
)
_KEYS_OF_ONE_NODE = (
    "ENABLE_AUTH without a database: each node knows only the API keys that were made there. Give all nodes "
    "the same DEFAULT_API_KEY or CONDUIT_JWKS_URL, or set DATABASE_URL to PostgreSQL."
)
_CLIENTS_ARE_NODES = (
    "INTERNAL_SECRET is DEFAULT_API_KEY too, so that every client with it can act as a node, for all "
    "tenants: give the nodes a secret of their own."
)
_ON_LOOPBACK = (
    "CONDUIT_HOST is an address that only this machine reaches, and NODE_ADDR names another one: other nodes "
    "reach this one only if something between passes it on. Set CONDUIT_HOST to 0.0.0.0, or NODE_ADDR to "
    "127.0.0.1 and the port if all nodes are on this machine."
)
_ON_LOOPBACK_UNTOLD = (
    "CONDUIT_HOST is an address that only this machine reaches, and NODE_ADDR is not set: other nodes are "
    "told the name of this machine, at which nobody listens. Set CONDUIT_HOST to 0.0.0.0, or NODE_ADDR to "
    "127.0.0.1 and the port if all nodes are on this machine."
)
_WORKERS_ARE_HIDDEN = (
    "NODE_ADDR is not set: nodes on other machines do not reach these workers, which listen for them on "
    "127.0.0.1."
)
_LOOPBACK = ("127.", "localhost", "[::1]", "::1")


def refusals(values: Mapping[str, object]) -> list[str]:
    """A sentence for each thing that cannot work. `values` by field name, as they were given: what is wrong
    with each alone is found elsewhere."""
    is_sqlite = str(values.get("database_url") or "").startswith(store_url.SQLITE)
    return [_SQLITE_IS_ALONE] if is_sqlite and values.get("redis_url") else []


def warnings(settings: Original, host: str, *, workers: int, has_provider: bool) -> list[str]:
    """A sentence for each thing that is set and does nothing, or less than it seems to. `host` is where the
    server listens, `workers` how many there are, `has_provider` whether tokens of an identity provider
    count."""
    has_workers, has_redis = workers > 1, settings.redis_url is not None
    has_secret = settings.internal_secret is not None
    is_sqlite, is_shared = settings.database_path is not None, bool(settings.postgres_urls)
    found = []
    if has_secret and is_sqlite:
        found.append(_NO_NODES_ON_SQLITE)
    elif has_secret and not is_shared and not has_redis:
        found.append(_NOBODY_IS_FOUND)
    if has_workers:
        # They have a secret in any case, and addresses of their own.
        return found + _of_workers(settings) + _of_keys(settings, has_provider=has_provider)
    if has_redis and not has_secret:
        found.append(_NO_LINKS)
    if settings.node_addr is not None and not has_secret:
        found.append(_ONLY_SHOWN)
    if has_secret and (is_shared or has_redis) and is_unreachable(host, settings.node_addr):
        found.append(_ON_LOOPBACK if settings.node_addr else _ON_LOOPBACK_UNTOLD)
    return found + _of_keys(settings, has_provider=has_provider)


def _of_workers(settings: Original) -> list[str]:
    is_meant = settings.internal_secret is not None and settings.node_addr is None
    return [_WORKERS_ARE_HIDDEN] if is_meant else []


def _of_keys(settings: Original, *, has_provider: bool) -> list[str]:
    if not settings.enable_auth or settings.internal_secret is None:
        return []
    key, found = settings.default_api_key, []
    if settings.meets_in_redis and key is None and not has_provider:
        found.append(_KEYS_OF_ONE_NODE)
    if key is not None and key.get_secret_value() in settings.internal_secrets:
        found.append(_CLIENTS_ARE_NODES)
    return found


def is_unreachable(host: str, node_addr: str | None) -> bool:
    """Whether who goes to `node_addr` does not come to a server that listens on `host`, for all that is
    known."""
    return host.startswith(_LOOPBACK) and not (node_addr or "").startswith(_LOOPBACK)
