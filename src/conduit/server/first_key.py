"""The operator's first key: made when authentication begins and there is no key, and shown to nobody else.

It goes to the terminal, or into a file that only its owner can read; a log is read by many, and kept.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from pydantic import SecretStr

from conduit.core.access import KeyRecord
from conduit.errors import ConfigError, Unauthenticated, Unavailable
from conduit.names import DEFAULT_TENANT
from conduit.settings import Settings
from conduit.storage.access import AccessStore
from conduit.tenancy.opening import Tenancy, make_first_key
from conduit.tenancy.registry import Registry

FILE_NAME = "conduit-admin-key"
# A key and a line feed are less.
FILE_MAX_BYTES = 1024

logger = logging.getLogger(__name__)


def secret_of(secret: SecretStr | None) -> str | None:
    """What it holds."""
    return None if secret is None else secret.get_secret_value()


async def offer_first_key(settings: Settings, tenancy: Tenancy) -> KeyRecord | None:
    """Make it, if there is none, and say where it is; None: it was not made. Raises ConfigError if there is
    no place for it."""
    path = settings.admin_key_file or _default_path(settings)
    if tenancy.registry.has_keys:
        if path is not None:
            _look_at(path, tenancy.registry)
        if not tenancy.registry.has_admin():
            logger.warning(
                "no key with the scope admin is good, so nobody can make tenants or see all of the server: "
                "`conduit store admin-key` makes one"
            )
        return None
    if settings.default_api_key is not None and settings.admin_key_file is None:
        logger.info(
            "there is no operator's key, and with DEFAULT_API_KEY nobody makes tenants, or looks at nodes or "
            "drains them (conduit node): CONDUIT_ADMIN_KEY_FILE says where the next start puts one"
        )
        return None
    try:
        made = await make_first_key(tenancy, path, _show)
    except OSError as error:
        raise ConfigError(
            [
                f"The first admin key cannot be written to {path}: {error.strerror or error}. "
                "Set CONDUIT_ADMIN_KEY_FILE to a file that does not exist, in a directory that does; the "
                "file of an earlier start can be removed if its key is of no use any more."
            ]
        ) from error
    if made is not None and path is not None:
        logger.warning(
            "the first admin key is in %s: take it from there, and remove the file", path
        )
    return made


def _default_path(settings: Settings) -> Path | None:
    """None: it is shown on the terminal."""
    if sys.stderr.isatty():
        return None
    database = settings.database_path
    return (Path() if database is None else database.parent) / FILE_NAME


def _look_at(path: Path, registry: Registry) -> None:
    """Say so of a file whose key counts for nothing, such as that of a start which was killed while another
    server made the key. Nobody would know why it is refused."""
    try:
        if not path.is_file():
            return
        with path.open("rb") as file:
            text = file.read(FILE_MAX_BYTES).strip()
    except OSError:
        return
    try:
        registry.authenticate(text)
    except Unavailable:
        return
    except Unauthenticated:
        logger.warning(
            "the key in %s is not one of this store: the operator's key is another one, which another server "
            "has made or which was made later; remove the file",
            path,
        )


async def warn_of_open_keys(store: AccessStore) -> None:
    """Say that this server asks nobody for a key, if its store has some: it was another's, or ENABLE_AUTH was
    forgotten. Raises StoreUnavailable."""
    changes = await store.access_since(0)
    if changes.keys:
        logger.warning(
            "this store has %s and %s, and ENABLE_AUTH is not set: nobody is asked for a key, and everybody "
            "reads and writes the tenant %r",
            _counted(len(changes.keys), "key"),
            _counted(len(changes.tenants), "tenant"),
            DEFAULT_TENANT,
        )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _show(key: str) -> None:
    """Past the log."""
    print(
        f"\nThis is the operator's API key. It is shown once:\n\n  {key}\n",
        file=sys.stderr,
        flush=True,
    )
